"""Files that users name: what is no small, plain file of values is refused in one sentence."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from streampetr_ros.core.reading import (
    FileError,
    read_bytes,
    read_json,
    read_text,
    read_yaml,
    require_file,
)


def said(tmp_path, text, read=read_yaml, name="settings"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FileError) as caught:
        read(file, "settings file")
    sentence = str(caught.value)
    assert str(file) in sentence
    assert "\n" not in sentence
    assert len(sentence) - len(str(file)) < 300
    assert sentence.isprintable()
    return sentence


class TestNames:
    @pytest.mark.parametrize("read", [read_bytes, read_text, read_yaml, read_json, require_file])
    def test_what_is_no_file(self, tmp_path, read):
        pipe, door = tmp_path / "pipe", tmp_path / "door"
        os.mkfifo(pipe)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(str(door))
            for path, kind in (
                (pipe, "is a pipe; give a file"),
                (tmp_path, "is a folder; give a file"),
                ("/dev/zero", "is a device; give a file"),
                (tmp_path / "absent", "No such file"),
                ("a\0b", r"a\\x00b|null byte"),
                (door, "socket|No such device"),
            ):
                with pytest.raises(FileError, match=f"settings file .*{kind}"):
                    read(path, "settings file")

    def test_a_pipe_that_somebody_writes_to(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=lambda: os.open(pipe, os.O_WRONLY), daemon=True)
        writer.start()
        with pytest.raises(FileError, match="is a pipe"):
            read_yaml(pipe, "settings file")

    def test_large_files_are_not_read(self, tmp_path):
        file = tmp_path / "large"
        with file.open("wb") as stream:
            stream.truncate(1 << 40)
        with pytest.raises(FileError, match="1099511627776 bytes, more than the 262144"):
            read_yaml(file, "settings file")
        with pytest.raises(FileError, match="more than the 5 that"):
            require_file(file, "settings file", most=5)

    def test_links_are_followed(self, tmp_path):
        (tmp_path / "file").write_text("a: 1")
        (tmp_path / "link").symlink_to("file")
        assert read_yaml(tmp_path / "link", "settings file") == {"a": 1}

    def test_no_text(self, tmp_path):
        (tmp_path / "file").write_bytes(b"a: \xff")
        with pytest.raises(FileError, match=r"not UTF-8 text .* at byte 3"):
            read_yaml(tmp_path / "file", "settings file")


class TestYaml:
    def test_values(self, tmp_path):
        file = tmp_path / "settings"
        file.write_text(
            "\ufeffa: 1\nb: [true, ~, 2.5, x]\nc: {d: 2026-12-01}\ne: .inf\nf: 1e-3\n",
            encoding="utf-8",
        )
        assert read_yaml(file, "settings file") == {
            "a": 1,
            "b": [True, None, 2.5, "x"],
            "c": {"d": "2026-12-01"},
            "e": float("inf"),
            "f": "1e-3",
        }
        file.write_text("")
        assert read_yaml(file, "settings file") is None

    def test_deep_nesting(self, tmp_path):
        assert "nests more than 32 deep in line 1; flatten" in said(tmp_path, "[" * 5000)
        assert "nests more than 32 deep" in said(tmp_path, "a: " + "{b: " * 40 + "1" + "}" * 40)
        (tmp_path / "ok").write_text("[" * 32 + "]" * 32)
        read_yaml(tmp_path / "ok", "settings file")

    def test_aliases(self, tmp_path):
        levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9))
        bomb = f"l0: &l0 [x, x]\n{levels}\n"
        assert len(bomb) < 600
        assert "repeats a value by '*l0' in line 2; write it out" in said(tmp_path, bomb)
        assert "repeats a value" in said(tmp_path, "a: &a [*a]")

    @pytest.mark.parametrize("digits", [400, 5000])
    def test_numbers_of_any_length(self, tmp_path, digits):
        assert "settings file" in said(tmp_path, "a: [{b: " + "9" * digits + "}]")
        assert "settings file" in said(tmp_path, "-" + "9" * digits)

    @pytest.mark.parametrize("text", ["!!python/object/apply:os.system [ls]", "a: !!set {b}"])
    def test_types(self, tmp_path, text):
        assert "names a type in line 1" in said(tmp_path, text)

    def test_keys(self, tmp_path):
        assert "in line 2: it names 'a' twice" in said(tmp_path, "a: 1\na: 2\n")
        assert "a key is no word" in said(tmp_path, "{[1, 2]: 3}")

    @pytest.mark.parametrize("text", ["a: [1", "\t", "a: b: c", "--- 1\n--- 2", "\x07", "%YAML 9"])
    def test_no_yaml(self, tmp_path, text):
        assert "is not valid YAML" in said(tmp_path, text)

    def test_times_of_day_and_hex_are_numbers_as_ever(self, tmp_path):
        (tmp_path / "s").write_text("a: 0x10\nb: 1:30\n")
        assert read_yaml(tmp_path / "s", "settings file") == {"a": 16, "b": 90}


class TestJson:
    def test_values(self, tmp_path):
        (tmp_path / "s").write_text('{"a": [1, -9223372036854775808, 2.5, null, "x"]}')
        expected = {"a": [1, -(2**63), 2.5, None, "x"]}
        assert read_json(tmp_path / "s", "settings file") == expected

    def test_deep_nesting(self, tmp_path):
        assert "nests far too deeply" in said(tmp_path, "[" * 200_000, read_json)

    @pytest.mark.parametrize("digits", [20, 400, 5000])
    def test_numbers_of_any_length(self, tmp_path, digits):
        assert "more than 64 bits" in said(tmp_path, "[" + "9" * digits + "]", read_json)

    @pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "nul", '{"a" 1}'])
    def test_no_json(self, tmp_path, text):
        assert "is not valid JSON" in said(tmp_path, text, read_json)


def test_settings_that_come_with_the_package_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = "config/train/tiny_synthetic.yaml"
    assert read_yaml(recipe, "recipe")["name"] == "tiny_synthetic"
    with pytest.raises(FileError, match=r"config/train/other.yaml.*No such file"):
        read_yaml("config/train/other.yaml", "recipe")
    with pytest.raises(FileError, match="No such file"):
        read_yaml("package.xml", "recipe")
    own = tmp_path / recipe
    own.parent.mkdir(parents=True)
    own.write_text("name: mine")
    assert read_yaml(recipe, "recipe")["name"] == "mine"
