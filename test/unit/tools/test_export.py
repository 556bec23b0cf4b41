"""``streampetr export``: graphs, engines without a GPU, and one line for everything that fails."""

import sys

import micro_detector as micro
import pytest
import torch
from typer.testing import CliRunner

from streampetr_ros.backends.exported import open_exported
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.tools.cli import build_app

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and everything written."""
    words = ["export", *map(str, arguments)]
    result = CliRunner().invoke(build_app({"export"}), words)
    expected = result.exception is None or isinstance(result.exception, SystemExit)
    assert expected, result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "micro.safetensors"
    save_weights(path, micro.detector())
    return path


def test_graphs_are_compared_and_engines_built_afterwards_from_the_folder(weights, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    out = tmp_path / "micro"
    code, text = run(weights, "--out", out, "--precision", "fp16")
    assert code == 0, text
    assert f"wrote {out}: micro for 6 cameras, fp16" in text
    assert "logits" in text
    assert "centers_m" in text
    assert open_exported(out).precision == "fp16"
    code, text = run(out, "--to", "tensorrt_rtx", "--compute-capability", "8.9")
    assert code == 0, text
    assert text.count("wrote") == 3
    assert "head: Building engine" in text
    assert len(list((out / "engines").iterdir())) == 3
    code, text = run(out, "--to", "tensorrt_rtx", "--compute-capability", "8.9")
    assert (code, text) == (0, "compute capability 8.9: 3 engines are ready")


def test_failures_are_one_line(weights, tmp_path):
    out = tmp_path / "out"
    cases = [
        ((tmp_path / "none.safetensors", "--out", out), "none.safetensors"),
        ((weights,), "name one with --out"),
        (("random:0", "--out", out), "need a model name"),
    ]
    for arguments, message in cases:
        code, text = run(*arguments)
        assert code == 1
        assert text.startswith("error: ")
        assert message in text
    assert not out.exists()


@pytest.mark.parametrize(
    ("package", "target"),
    [("onnx", "onnx"), ("onnxruntime", "onnx"), ("tensorrt_rtx", "tensorrt_rtx")],
)
def test_missing_packages_are_one_line_with_a_remedy(
    weights, tmp_path, monkeypatch, package, target
):
    for name in [name for name in sys.modules if name.startswith("streampetr_ros.export.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    options = ("--to", target, "--compute-capability", "8.9")
    code, text = run(weights, "--out", tmp_path / "micro", *options)
    assert code == 1
    assert text.startswith("error: ")
    assert f"'{package}'" in text
    assert "pip install" in text
    assert not (tmp_path / "micro").exists()


def test_exported_folder_needs_a_target_and_no_other_folder(weights, tmp_path):
    out = tmp_path / "micro"
    run(weights, "--out", out)
    for arguments in ((out,), (out, "--out", tmp_path / "other")):
        code, text = run(*arguments)
        assert code == 1
        assert "is exported already" in text


def test_engines_need_a_gpu_or_its_compute_capability(weights, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    out = tmp_path / "micro"
    code, text = run(weights, "--out", out, "--to", "tensorrt_rtx")
    assert code == 1
    assert "error: there is no GPU here" in text
    assert "--compute-capability" in text
    assert not out.exists(), "what cannot be finished is not begun"
    run(weights, "--out", out)
    code, text = run(out, "--to", "tensorrt_rtx", "--compute-capability", "nine")
    assert code == 1
    assert "cannot build for compute capability nine" in text
