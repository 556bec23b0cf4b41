"""Which network runs is what the parameters say; another device only where they allow it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import micro_detector as micro

from streampetr_ros.backends.base import BackendError
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.ros import backend as node_backend
from streampetr_ros.ros.backend import open_configured_backend, readiness
from streampetr_ros.ros.params import ModelParameters


class Logger:
    """Takes what the node's logger would."""

    def __init__(self):
        self.warnings = []

    def info(self, text):
        pass

    def warning(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "micro"
    export_onnx(micro.detector(), folder)
    return str(folder)


def test_graphs_run_on_onnxruntime_by_default(graphs):
    logger = Logger()
    backend = open_configured_backend(ModelParameters(weights=graphs), logger)
    assert "onnxruntime" in backend.name
    assert not logger.warnings


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx"])
def test_tensorrt_falls_back_only_where_allowed_and_says_so(graphs, backend):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    wanted = {"weights": graphs, "backend": backend, "device": "cuda"}
    with pytest.raises(BackendError, match=r"not installed|no CUDA GPU"):
        open_configured_backend(ModelParameters(**wanted), Logger())
    logger = Logger()
    allowed = ModelParameters(**wanted, fall_back_to_cpu=True)
    assert "onnxruntime" in open_configured_backend(allowed, logger).name
    (warning,) = logger.warnings
    assert "instead" in warning
    assert "fall_back_to_cpu" in warning


def test_engines_that_are_to_be_built_are_not_done_without(graphs):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    wanted = {"weights": graphs, "backend": "tensorrt_rtx", "device": "cuda"}
    asked = ModelParameters(**wanted, fall_back_to_cpu=True, build_only=True)
    with pytest.raises(BackendError, match=r"not installed|no CUDA GPU"):
        open_configured_backend(asked, Logger())


def test_engines_that_are_ready_are_named_in_one_line(graphs):
    files = (Path("engines/encoder.engine"), Path("engines/head.engine"))
    built = readiness(SimpleNamespace(name="some runtime", engine_files=files))
    assert built == f"engines are ready: {files[0]}, {files[1]}"
    none = readiness(open_configured_backend(ModelParameters(weights=graphs), Logger()))
    assert "onnxruntime" in none
    assert "needs no engines" in none


def test_torch_falls_back_to_the_cpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    wanted = {"weights": "random:1", "name": "tiny", "device": "cuda"}
    with pytest.raises(BackendError, match="no CUDA GPU"):
        open_configured_backend(ModelParameters(**wanted), Logger())
    logger = Logger()
    allowed = ModelParameters(**wanted, fall_back_to_cpu=True)
    assert open_configured_backend(allowed, logger).name.endswith("on cpu")
    assert len(logger.warnings) == 1


def test_what_cannot_run_anywhere_is_no_reason_to_fall_back():
    wanted = ModelParameters(weights="random:1", name="tiny", backend="tensorrt")
    with pytest.raises(BackendError, match="streampetr export"):
        open_configured_backend(wanted, Logger())


def test_cuda_graphs_are_handed_on(monkeypatch):
    seen = []
    monkeypatch.setattr(node_backend, "open_backend", lambda *given: seen.append(given[2]))
    wanted = ModelParameters(weights="random:1", name="tiny", cuda_graphs="never")
    node_backend.open_configured_backend(wanted, Logger())
    assert seen[0].cuda_graphs == "never"
