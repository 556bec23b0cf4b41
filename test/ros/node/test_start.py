"""What keeps the node from starting is one sentence with the place and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

NODE = (
    sys.executable,
    "-c",
    "from streampetr_ros.core.programs import run_program; run_program('ros.node.node')",
)


def started(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run the node as its executable does; return exit code and what it said last."""
    ended = subprocess.run(
        [*NODE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("streampetr: [1\n", r"params file: '--params-file {file}'. .* line 1"),
        ("streampetr:\n  ros__parameters:\n    a: [1, x]\n", r"'string' .* line_num 3"),
        (None, r"'--params-file {file}'. Error: Error opening YAML file"),
    ],
    ids=["no YAML", "mixed list", "absent"],
)
def test_parameter_files(tmp_path: Path, text: str | None, expected: str) -> None:
    file = tmp_path / "p.yaml"
    if text is not None:
        file.write_text(text)
    code, said = started("--ros-args", "--params-file", str(file))
    assert code == 1
    assert said.startswith("cannot start: ")
    for part in expected.format(file=file).split(" .* "):
        assert part in said
    assert said.endswith("; correct it and start again")
    assert "parser.c" not in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-p", "model.name"), "parameter override rule: '-p model.name'"),
        (("-r", "x"), "remap rule: '-r x'"),
        (("--log-level", "loud"), "log level: '--log-level loud'"),
        (("--bogus",), "unknown ROS arguments ['--bogus']"),
    ],
)
def test_arguments(arguments: tuple[str, ...], expected: str) -> None:
    code, said = started("--ros-args", *arguments)
    assert code == 1
    assert said.startswith("cannot start: ")
    assert expected in said


def test_folder_of_logs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = started(ROS_LOG_DIR=str(tmp_path / "file"))
    assert code == 1
    assert f"'{tmp_path / 'file'}'" in said
    assert said.endswith("set ROS_LOG_DIR to a folder that can be written")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_signal_while_libraries_are_imported(number: int, code: int) -> None:
    node = subprocess.Popen(
        [sys.executable, "-X", "importtime", *NODE[1:]], stderr=subprocess.PIPE, text=True
    )
    assert node.stderr is not None
    for line in node.stderr:
        if "numpy" in line:
            break
    node.send_signal(number)
    said = [line for line in node.stderr if not line.startswith("import time:")]
    assert node.wait(30) == code
    assert said == ["ended before the program had begun\n"]
