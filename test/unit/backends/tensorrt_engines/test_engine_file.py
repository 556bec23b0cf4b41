"""Engine files are found by their whole key and never used when anything about them is wrong."""

from dataclasses import replace

import pytest

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.tensorrt.engine_file import (
    EngineFileError,
    EngineKey,
    read_engine,
    write_engine,
)

KEY = EngineKey(
    graph="head",
    onnx_sha256="ab" * 32,
    precision="fp16",
    runtime="tensorrt",
    version="10.3.0",
    compute_capability="8.7",
)
ENGINE = bytes(range(256)) * 4

OTHERS = {
    "graph": "encoder",
    "onnx_sha256": "cd" * 32,
    "precision": "fp32",
    "runtime": "tensorrt_rtx",
    "version": "10.4.0",
    "compute_capability": "8.9",
}


def test_what_is_written_is_read(tmp_path):
    path = write_engine(tmp_path / "engines", KEY, ENGINE)
    assert path.name == "head-fp16-tensorrt-10.3.0-sm87-abababababab.engine"
    assert read_engine(tmp_path / "engines", KEY) == ENGINE
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("field", OTHERS)
def test_every_part_of_the_key_counts(tmp_path, field):
    path = write_engine(tmp_path, KEY, ENGINE)
    other = replace(KEY, **{field: OTHERS[field]})
    assert read_engine(tmp_path, other) is None
    path.rename(tmp_path / other.file_name)
    with pytest.raises(EngineFileError, match=f"another {field.replace('_', ' ')}"):
        read_engine(tmp_path, other)


def test_same_beginning_of_the_checksum_is_not_enough(tmp_path):
    write_engine(tmp_path, KEY, ENGINE)
    with pytest.raises(EngineFileError, match="another onnx sha256"):
        read_engine(tmp_path, replace(KEY, onnx_sha256="ab" * 31 + "00"))


@pytest.mark.parametrize("length", [0, 5, 25, 200, -1, -1000])
def test_truncated_file_is_refused(tmp_path, length):
    path = write_engine(tmp_path, KEY, ENGINE)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(EngineFileError, match=path.name):
        read_engine(tmp_path, KEY)


@pytest.mark.parametrize("position", [3, 30, 100, -1, -500])
def test_changed_byte_is_noticed(tmp_path, position):
    path = write_engine(tmp_path, KEY, ENGINE)
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(EngineFileError):
        read_engine(tmp_path, KEY)


def test_something_appended_is_noticed(tmp_path):
    path = write_engine(tmp_path, KEY, ENGINE)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(EngineFileError, match="truncated"):
        read_engine(tmp_path, KEY)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "engines").write_text("a file where the folder should be")
    with pytest.raises(BackendError, match="where you may write"):
        write_engine(tmp_path / "engines", KEY, ENGINE)
