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
from streampetr_ros.parameters.node import ModelParameters
from streampetr_ros.ros.node import backend as node_backend
from streampetr_ros.ros.node.backend import open_configured_backend, readiness


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


@pytest.fixture
def any_device(monkeypatch):
    """Opens backends that are nothing but a name."""

    def opened(weights, name, choice, progress):
        return SimpleNamespace(name=f"{choice.backend} on {choice.device}")

    monkeypatch.setattr(node_backend, "open_backend", opened)


class FirstRun:
    """Fails on everything but the CPU."""

    def __init__(self, error):
        self.error = error
        self.seen = []

    def __call__(self, backend):
        self.seen.append(backend.name)
        if not backend.name.endswith("cpu"):
            raise self.error


@pytest.mark.parametrize(("backend", "other"), [("torch", "torch"), ("tensorrt", "onnxruntime")])
def test_a_first_run_that_fails_is_a_reason_to_fall_back(any_device, backend, other):
    begin, logger = FirstRun(BackendError("no kernel image; check this")), Logger()
    wanted = {"weights": "random:1", "name": "tiny", "backend": backend, "device": "cuda:1"}
    allowed = ModelParameters(**wanted, fall_back_to_cpu=True)
    assert open_configured_backend(allowed, logger, begin).name == f"{other} on cpu"
    assert begin.seen == [f"{backend} on cuda:1", f"{other} on cpu"]
    (warning,) = logger.warnings
    assert warning.startswith(f"no kernel image; check this; running on {other} on cpu instead")


@pytest.mark.parametrize("asked", [{}, {"fall_back_to_cpu": True, "build_only": True}])
def test_a_first_run_that_fails_fails_where_falling_back_is_not_allowed(any_device, asked):
    begin = FirstRun(BackendError("no kernel image"))
    wanted = ModelParameters(weights="random:1", name="tiny", device="cuda", **asked)
    with pytest.raises(BackendError, match="no kernel image"):
        open_configured_backend(wanted, Logger(), begin)
    assert len(begin.seen) == 1


def test_a_mistake_in_the_program_is_no_reason_to_fall_back(any_device):
    begin = FirstRun(RuntimeError("sizes do not match"))
    asked = {"device": "cuda", "fall_back_to_cpu": True}
    wanted = ModelParameters(weights="random:1", name="tiny", **asked)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        open_configured_backend(wanted, Logger(), begin)
    assert len(begin.seen) == 1
