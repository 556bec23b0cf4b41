"""Every backend gives what plain PyTorch gives, over a drive with a reset and a lost camera."""

import json
import sys
from types import SimpleNamespace

import micro_detector as micro
import pytest
import torch
from drives import drive

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.exported import open_exported
from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import sha256
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.export.parity import compare_backends


@pytest.fixture(scope="module", params=[True, False], ids=["temporal", "single frame"])
def exported(request, tmp_path_factory):
    detector = micro.detector(temporal=request.param)
    folder = tmp_path_factory.mktemp("export") / "micro"
    export_onnx(detector, folder)
    return detector, folder


def test_onnxruntime_follows_torch_over_a_drive(exported):
    pytest.importorskip("onnxruntime")
    detector, folder = exported
    reference, subject = TorchBackend(detector), OnnxBackend(open_exported(folder))
    expected_memory = memory = None
    for frame in drive():
        expected, expected_memory = reference.run(frame, expected_memory)
        outputs, memory = subject.run(frame, memory)
        torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(outputs.codes, expected.codes, atol=1e-3, rtol=1e-4)
        for ours, theirs in zip(memory or (), expected_memory or (), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_another_number_of_cameras_is_refused(exported):
    pytest.importorskip("onnxruntime")
    with pytest.raises(BackendError, match="6 cameras"):
        OnnxBackend(open_exported(exported[1])).run(micro.inputs(0, cameras=5), None)


def test_damaged_file_is_named(exported, tmp_path):
    folder = tmp_path / "copy"
    export_onnx(exported[0], folder)
    head = folder / "head.onnx"
    head.write_bytes(head.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"head\.onnx.*damaged"):
        open_exported(folder)


def test_folder_without_a_model(tmp_path):
    with pytest.raises(UserError, match="streampetr export"):
        open_exported(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"cameras": 6}))
    with pytest.raises(UserError, match="streampetr export"):
        open_exported(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "int4"}, "precision 'int4'"),
        ({"cameras": "six"}, "cameras 'six'"),
        ({"sha256": {"head": "00"}}, r"its graphs are \['head'\]"),
        ({"color": "red"}, "color"),
    ],
)
def test_description_that_cannot_be(exported, tmp_path, change, message):
    export_onnx(exported[0], tmp_path / "copy")
    path = tmp_path / "copy" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        open_exported(tmp_path / "copy")


def with_other_head(folder, change):
    """Change the head and let the description agree."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "head.onnx")
    change(model)
    onnx.save(model, folder / "head.onnx")
    description = json.loads((folder / "model.json").read_text())
    description["sha256"]["head"] = sha256(folder / "head.onnx")
    (folder / "model.json").write_text(json.dumps(description))


def test_opset_and_operator_that_onnxruntime_lacks(exported, tmp_path):
    pytest.importorskip("onnxruntime")

    def newer(model):
        model.opset_import[0].version = 99

    def unknown(model):
        model.graph.node[0].op_type = "Frobnicate"

    for change, message in ((newer, "opset"), (unknown, "Frobnicate")):
        folder = tmp_path / change.__name__
        export_onnx(exported[0], folder)
        with_other_head(folder, change)
        with pytest.raises(BackendError, match=message) as caught:
            OnnxBackend(open_exported(folder))
        assert "\n" not in str(caught.value)
        assert "export the model again" in str(caught.value)


def test_missing_onnxruntime_is_one_line_with_a_remedy(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match="not installed; install it with 'pip install onnxrunt"):
        OnnxBackend(open_exported(exported[1]))


def test_onnxruntime_does_not_change_to_the_cpu_by_itself(exported, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    with pytest.raises(BackendError, match=r"CUDAExecutionProvider.*or choose cpu"):
        OnnxBackend(open_exported(exported[1]), device="cuda")


@pytest.mark.parametrize(("device", "index"), [("cuda", "0"), ("cuda:1", "1")])
def test_onnxruntime_on_a_gpu_keeps_float32_and_takes_the_gpu_asked_for(
    exported, monkeypatch, device, index
):
    onnxruntime = pytest.importorskip("onnxruntime")
    name = "CUDAExecutionProvider"
    asked = []

    def session(path, sess_options, providers):
        asked.extend(providers)
        return SimpleNamespace(get_providers=lambda: [name])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [name])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    assert OnnxBackend(open_exported(exported[1]), device=device).name.endswith(f"on {device}")
    assert asked == [(name, {"device_id": index, "use_tf32": "0"})] * 3


@pytest.mark.parametrize("device", ["abacus", "cuda:", "cuda:one", "cpu:1"])
def test_onnxruntime_on_devices_that_are_not_there(exported, device):
    pytest.importorskip("onnxruntime")
    with pytest.raises(BackendError, match=rf"cannot use device '{device}' here.*or choose cpu"):
        OnnxBackend(open_exported(exported[1]), device=device)


def test_runtime_that_fails_is_one_line(exported, monkeypatch):
    pytest.importorskip("onnxruntime")
    backend = OnnxBackend(open_exported(exported[1]))

    def run(*_):
        raise RuntimeError("Failed to allocate memory\nfor requested buffer")

    for session in backend._sessions.values():
        monkeypatch.setattr(session, "run", run)
    with pytest.raises(
        BackendError, match=r"cannot run the encoder of micro \(Failed to allo.*mem"
    ):
        backend.run(micro.inputs(0), None)


def test_export_leaves_other_folders_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("keep")
    with pytest.raises(UserError, match="other files"):
        export_onnx(micro.detector(), tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "keep"


def test_export_twice_replaces_the_first(exported, tmp_path):
    first = export_onnx(exported[0], tmp_path / "model")
    again = export_onnx(exported[0], tmp_path / "model")
    assert first.sha256 == again.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_export_may_be_read_by_whom_other_folders_may(exported, tmp_path):
    """The user that the node runs as may be another one."""
    export_onnx(exported[0], tmp_path / "model")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "abacus", "meta"])
def test_devices_that_are_not_there(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BackendError, match="cpu"):
        TorchBackend(micro.detector(), device)


def test_torch_backend_keeps_no_memory():
    backend = TorchBackend(micro.detector())
    frame = micro.inputs(0)
    first, memory = backend.run(frame, None)
    backend.run(micro.inputs(1), memory)
    again, _ = backend.run(frame, None)
    assert torch.equal(first.logits, again.logits)
    assert "torch" in backend.name


def test_comparison_accepts_the_export_and_catches_other_weights(exported):
    pytest.importorskip("onnxruntime")
    detector, folder = exported
    differences = compare_backends(TorchBackend(detector), OnnxBackend(open_exported(folder)))
    assert max(differences.values()) < 1e-3
    other = micro.detector(seed=1, temporal=detector.config.temporal)
    with pytest.raises(UserError, match="differs from PyTorch"):
        compare_backends(TorchBackend(other), OnnxBackend(open_exported(folder)))
