"""Everything that the page on deployment shows is run, or checked where it needs a GPU or ROS."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from repository import project
from typer.testing import CliRunner

from streampetr_ros.backends.tensorrt.api import RUNTIMES
from streampetr_ros.export.parity import LIMITS
from streampetr_ros.tools.cli import build_app

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    return [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]


def needs_a_gpu(command: list[str]) -> bool:
    return command[-2:] == ["--to", "tensorrt"]


def test_commands_run_in_the_order_shown(tmp_path, monkeypatch):
    for package in ("onnx", "onnxruntime", "tensorrt_rtx"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    shown = [command for command in commands() if command[0] == "streampetr"]
    assert len(shown) >= 4
    for command in shown:
        result = CliRunner().invoke(build_app({command[1]}), command[1:])
        text = " ".join(result.output.split())
        if needs_a_gpu(command) and result.exit_code:
            assert re.search("not installed|no GPU", text), text
            assert text.startswith("error: ")
            continue
        assert result.exit_code == 0, (command, result.output, result.exception)
    assert torch.cuda.is_available() or len(list(tmp_path.glob("out/tiny_fp16/engines/*"))) == 6


def test_every_command_is_run_or_checked():
    assert {command[0] for command in commands()} == {"streampetr", "ros2", "python"}


def test_parameters_of_the_example_exist():
    tree = pytest.importorskip("streampetr_ros.parameters.tree")
    params = pytest.importorskip("streampetr_ros.parameters.node")
    (block,) = blocks("yaml")
    values = yaml.safe_load(block)["/**"]["ros__parameters"]["model"]
    flat = {f"model.{name}": value for name, value in values.items()}
    assert tree.build(params.NodeParameters, flat).model.backend == "tensorrt_rtx"


def test_packages_to_install_are_offered():
    named = set(re.findall(r"streampetr_ros\[([\w-]+)\]", PAGE))
    assert named >= {"onnx", "tensorrt", "tensorrt-rtx"}
    assert named <= set(project()["optional-dependencies"])


def test_limits_and_backends_are_those_of_the_code():
    for precision, limits in LIMITS.items():
        shown = f"| {limits['logits']:g}, {1000 * limits['centers_m']:.0f} mm |"
        rows = [line for line in PAGE.splitlines() if f"| {precision} | " in line and " mm" in line]
        assert rows
        assert all(row.replace("2e-3", "0.002").endswith(shown) for row in rows)
    for runtime in RUNTIMES:
        assert f"| `{runtime}` |" in PAGE
