"""Every registered backbone and shipped model, small, goes from published names to engines."""

from dataclasses import replace
from pathlib import Path

import micro_detector as micro
import pytest
import torch
from drives import drive
from engine_log import CAPABILITIES, built_engines
from published_names import published_state

from streampetr_ros.backends.exported import EXPORT_PRECISIONS, open_exported
from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend, prepared
from streampetr_ros.export.parity import compare_backends
from streampetr_ros.model.backbones import BACKBONES
from streampetr_ros.model.checkpoints.published import load_published
from streampetr_ros.model.config import MODEL_NAMES, detector_config

pytest.importorskip("onnx")
from streampetr_ros.export.onnx_export import export_onnx


def small(name):
    """Return the configuration of a shipped model with fewer and smaller parts."""
    wanted, sizes = detector_config(name), micro.config()
    return replace(
        wanted,
        image=replace(wanted.image, height=sizes.image.height, width=sizes.image.width),
        backbone=sizes.backbone,
        **{key: getattr(sizes, key) for key in micro.SIZES},
    )


SUBJECTS = {name: micro.config(backbone=name) for name in BACKBONES}
SUBJECTS |= {f"{name}, small": small(name) for name in MODEL_NAMES}


@pytest.fixture(scope="module", params=SUBJECTS.values(), ids=SUBJECTS)
def detector(request):
    """A detector whose features depend on its images, with batch norms that do something."""
    built = micro.listening(request.param)
    with torch.no_grad():
        for part in built.backbone.modules():
            if isinstance(part, torch.nn.Conv2d):
                # Fresh ones let a signal fade away within some ten layers.
                torch.nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.add_(0.1 * torch.randn_like(part.running_mean))
                part.running_var.add_(0.1 * torch.rand_like(part.running_var))
    return built


@pytest.fixture(scope="module")
def folders(detector, tmp_path_factory):
    """Exported graphs by precision."""
    found = {each: tmp_path_factory.mktemp("export") / each for each in EXPORT_PRECISIONS}
    for precision, folder in found.items():
        export_onnx(detector, folder, precision=precision)
    return found


def test_published_weights_are_read(detector):
    state = published_state(detector)
    own = load_published(state, detector.config, Path("official.pth")).state_dict()
    assert all(torch.equal(own[key], value) for key, value in detector.state_dict().items())


def test_torch_backend_is_the_detector_and_leaves_it_alone(detector):
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    backend = TorchBackend(detector)
    expected_memory = memory = None
    for frame in drive()[3:6]:
        with torch.no_grad():
            expected, expected_memory = detector(frame, expected_memory)
        outputs, memory = backend.run(frame, memory)
        pairs = zip((*outputs, *(memory or ())), (*expected, *(expected_memory or ())), strict=True)
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    assert all(torch.equal(before[key], value) for key, value in detector.state_dict().items())


def test_half_precision_encodes_images_alike(detector):
    exact, half = (prepared(detector, torch.device("cpu"), each) for each in ("fp32", "bf16"))
    images = micro.inputs(0, cameras=1).images
    with torch.inference_mode():
        expected, found = exact.encode_images(images), half.encode_images(images)
    assert found.dtype == torch.float32
    assert expected.std() > 0.01, "the trunk lets images through"
    assert 0.0 < (found - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("precision", EXPORT_PRECISIONS)
def test_onnxruntime_follows(detector, folders, precision):
    pytest.importorskip("onnxruntime")
    subject = OnnxBackend(open_exported(folders[precision]), threads=1)
    compare_backends(TorchBackend(detector), subject, precision=precision)


def test_graphs_become_engines(detector, folders, log_engines):
    pytest.importorskip("tensorrt_rtx")
    capabilities = CAPABILITIES if detector.config.name == "micro" else CAPABILITIES[:1]
    title = f"{detector.config.name} with {detector.config.backbone}"
    model = open_exported(folders["fp16"])
    assert len(list(built_engines(title, model, capabilities, log_engines))) == len(capabilities)
