"""The TensorRT backend's own logic, with onnxruntime in the place of engines."""

import gc
import json
import re
import shutil
import sys
from itertools import pairwise

import micro_detector as micro
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from drives import drive
from fake_tensorrt import Engine, FakeGpu, FakeModule, fake_runtime

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda.memory_slots import MemorySlots
from streampetr_ros.backends.exported import open_exported
from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.backends.tensorrt.api import load_tensorrt
from streampetr_ros.backends.tensorrt.backend import TensorRtBackend
from streampetr_ros.core.files import sha256
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.model.checkpoints.weights import save_weights

VERSIONS = ["10.3.0", "11.4.0.106"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "micro"
    export_onnx(micro.detector(), path)
    return path


@pytest.fixture(scope="module")
def half_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "micro"
    export_onnx(micro.detector(), path, precision="fp16")
    return path


@pytest.fixture
def story():
    return []


def opened(folder, story, version="10.3.0", gpu=None):
    gpu = gpu or FakeGpu()
    runtime = fake_runtime(version, gpu)
    return TensorRtBackend(open_exported(folder), runtime, gpu, story.append), runtime.module


@pytest.mark.parametrize("version", VERSIONS)
def test_follows_torch_over_a_drive(folder, story, version):
    reference = TorchBackend(micro.detector())
    subject, _ = opened(folder, story, version)
    expected_memory = memory = None
    for frame in drive():
        expected, expected_memory = reference.run(frame, expected_memory)
        outputs, memory = subject.run(frame, memory)
        torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(outputs.codes, expected.codes, atol=1e-3, rtol=1e-4)
        for ours, theirs in zip(memory, expected_memory, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("version", VERSIONS)
def test_half_precision_is_that_of_the_graph(half_folder, story, version):
    reference = OnnxBackend(open_exported(half_folder), threads=1)
    subject, _ = opened(half_folder, story, version)
    assert "fp16" in subject.name
    memory = None
    for frame in drive()[:3]:
        expected, _ = reference.run(frame, memory)
        outputs, memory = subject.run(frame, memory)
        torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-6, rtol=1e-6)


def test_single_frame_model(tmp_path, story):
    detector = micro.detector(temporal=False)
    export_onnx(detector, tmp_path / "micro")
    subject, _ = opened(tmp_path / "micro", story)
    reference = TorchBackend(detector)
    for frame in drive()[:2]:
        expected, _ = reference.run(frame, None)
        outputs, memory = subject.run(frame, None)
        assert memory is None
        torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=1e-4)


def test_memory_stays_where_it_is(folder, story, monkeypatch):
    """In the ordinary loop states are neither copied in nor copied away."""
    subject, _ = opened(folder, story)
    monkeypatch.setattr(MemorySlots, "_fill", lambda *_: pytest.fail("copied a state"))
    addresses, memory = [], None
    for frame in drive():
        _, following = subject.run(frame, memory)
        memory = following
        del following
        addresses.append(memory.embedding.data_ptr())
    assert len(set(addresses)) == 2
    assert all(one != other for one, other in pairwise(addresses))


def test_step_that_is_not_kept_repeats_from_the_same_memory(folder, story):
    """As with memory written less often than frames arrive."""
    subject, _ = opened(folder, story)
    frames = drive()
    _, memory = subject.run(frames[0], None)
    before = [item.clone() for item in memory]
    first, _ = subject.run(frames[1], memory)
    subject.run(frames[2], memory)
    again, _ = subject.run(frames[1], memory)
    assert torch.equal(first.logits, again.logits)
    assert all(torch.equal(item, old) for item, old in zip(memory, before, strict=True))


def test_states_somebody_holds_stay_as_they_are(folder, story):
    """Two streams through one backend do not disturb each other."""
    subject, _ = opened(folder, story)
    reference = TorchBackend(micro.detector())
    held, expected_held = [], []
    memories, expected_memories = [None, None], [None, None]
    for index, frame in enumerate(drive()):
        stream = index % 2
        outputs, memories[stream] = subject.run(frame, memories[stream])
        expected, expected_memories[stream] = reference.run(frame, expected_memories[stream])
        torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-4, rtol=1e-3)
        held.append(memories[stream])
        expected_held.append(expected_memories[stream])
    gc.collect()
    for ours, theirs in zip(held, expected_held, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, atol=2e-3, rtol=1e-3)


def test_state_from_elsewhere_is_taken_over(folder, story):
    subject, _ = opened(folder, story)
    reference = TorchBackend(micro.detector())
    frames = drive()
    _, memory = reference.run(frames[0], None)
    expected, _ = reference.run(frames[1], memory)
    outputs, _ = subject.run(frames[1], memory)
    torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=1e-4)


def test_ready_before_the_first_frame(folder, story):
    """Encoder, position and both directions of the memory are recorded while opening."""
    gpu = FakeGpu()
    opened(folder, story, gpu=gpu)
    assert gpu.recorded == 4


def test_progress_and_reuse_of_engines(folder, tmp_path, story):
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    _, module = opened(tmp_path / "micro", story)
    assert module.builds == 3
    assert module.cleared == ["tf32"] * 3
    assert any("head: Building engine 1/2" in line for line in story)
    assert not any("Tactics" in line for line in story), "phases inside of others are left out"
    again = []
    subject, module = opened(tmp_path / "micro", again)
    assert (module.builds, again) == (0, [])
    assert set(subject.engine_files) == set((tmp_path / "micro" / "engines").iterdir())
    for version, gpu in (("10.4.0", FakeGpu()), ("10.3.0", FakeGpu("8.7"))):
        _, module = opened(tmp_path / "micro", [], version, gpu)
        assert module.builds == 3


def test_engines_are_built_and_loaded_on_the_gpu_that_runs_them(
    folder, tmp_path, story, monkeypatch
):
    """Runtimes take the GPU that is current, which the device chooses while it is working."""
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    gpu, places = FakeGpu(), set()

    def watch(owner, name):
        call = getattr(owner, name)

        def watched(*given):
            places.add((name, gpu.is_working))
            return call(*given)

        monkeypatch.setattr(owner, name, watched)

    for name in ("Builder", "_build", "Runtime", "_deserialise"):
        watch(FakeModule, name)
    watch(Engine, "create_execution_context")
    opened(tmp_path / "micro", story, gpu=gpu)
    assert len(places) == 5
    assert all(is_working for _, is_working in places)


def test_engine_that_does_not_load_is_built_again(folder, tmp_path, story):
    """An engine with the right key that the runtime still refuses."""
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    opened(tmp_path / "micro", story)
    gpu = FakeGpu()
    runtime = fake_runtime("10.3.0", gpu)
    refused = []
    real = runtime.deserialise

    def refusing(engine):
        if not refused:
            refused.append(engine)
            runtime.module.say("Engine plan file is generated on an incompatible device")
            return None
        return real(engine)

    runtime.module.logger = runtime.log
    runtime.deserialise = refusing
    TensorRtBackend(open_exported(tmp_path / "micro"), runtime, gpu, story.append)
    assert runtime.module.builds == 1
    assert any("incompatible device" in line for line in story)


@pytest.mark.parametrize("version", ["8.6.1", "9.1.0"])
def test_runtimes_that_cannot_keep_types_are_too_old(version, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", FakeModule("10.3.0", None))
    sys.modules["tensorrt"].__version__ = version
    with pytest.raises(BackendError, match=rf"tensorrt {version} is too old.*10 or .*JetPack 6.1"):
        load_tensorrt("tensorrt")
    sys.modules["tensorrt"].__version__ = "10.3.0"
    assert load_tensorrt("tensorrt").title == "tensorrt 10.3.0"


@pytest.mark.parametrize("version", VERSIONS)
def test_runtime_without_a_gpu_to_build_on(version):
    runtime = fake_runtime(version, None)
    title = re.escape(f"tensorrt {version}")
    with pytest.raises(BackendError, match=rf"{title} cannot build .*failure.*tensorrt_rtx"):
        runtime.builder()
    with pytest.raises(BackendError, match=rf"{title} cannot use the GPU \(CUDA init.*driver"):
        runtime.deserialise(b"an engine")


@pytest.mark.parametrize(("version", "flags"), zip(VERSIONS, (0b10, 0b1), strict=True))
def test_networks_take_their_types_from_the_graph(folder, tmp_path, version, flags):
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    _, module = opened(tmp_path / "micro", [], version)
    assert module.network_flags == [flags] * 3


@pytest.mark.parametrize("version", VERSIONS)
def test_operator_that_is_not_supported(folder, tmp_path, version):
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    gpu = FakeGpu()
    runtime = fake_runtime(version, gpu)
    runtime.module.lacks_operator = "Frobnicate"
    with pytest.raises(BackendError, match=r"cannot read .*Frobnicate.*export the model") as caught:
        TensorRtBackend(open_exported(tmp_path / "micro"), runtime, gpu, lambda _: None)
    assert "operator Frobnicate ('the_node')" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("OutOfMemory: no 3 GiB of memory", "ran out of memory building"),
        ("no implementation for node 7", "cannot build .*no implementation for node 7"),
    ],
)
def test_build_that_fails(folder, tmp_path, said, message):
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    gpu = FakeGpu()
    runtime = fake_runtime("10.3.0", gpu)
    runtime.module.fails_to_build = said
    with pytest.raises(BackendError, match=message) as caught:
        TensorRtBackend(open_exported(tmp_path / "micro"), runtime, gpu, lambda _: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "micro" / "engines").exists()


def test_too_little_memory_for_a_context(folder):
    gpu = FakeGpu()
    runtime = fake_runtime("10.3.0", gpu)
    runtime.module.is_out_of_memory = True
    with pytest.raises(BackendError, match="fake GPU has too little free memory for the encoder"):
        TensorRtBackend(open_exported(folder), runtime, gpu, lambda _: None)


def test_too_little_memory_for_buffers(folder, story, monkeypatch):
    def zeros(shape, dtype):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 GiB")

    gpu = FakeGpu()
    gpu.zeros = zeros
    with pytest.raises(BackendError, match="too little free memory for micro"):
        opened(folder, story, gpu=gpu)


def other_encoder(folder, shape, kind):
    """Put a graph of the right names but other tensors in the place of the encoder."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    images = helper.make_tensor_value_info("images", kind, shape)
    features = helper.make_tensor_value_info("features", kind, shape)
    node = helper.make_node("Identity", ["images"], ["features"])
    graph = helper.make_graph([node], "encoder", [images], [features])
    opsets = [helper.make_opsetid("", 17)]
    path = folder / "encoder.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    description = json.loads((folder / "model.json").read_text())
    description["sha256"]["encoder"] = sha256(path)
    (folder / "model.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ([1, 6, 3, 64, 64], 1, r"has 'images' as \(\(1, 6, 3, 64, 64\).*export the model again"),
        ([1, 6, 3, 32, 64], 7, r"'images' in the encoder of micro is of type INT64"),
    ],
)
def test_engine_with_other_tensors(folder, tmp_path, story, shape, kind, message):
    shutil.copytree(folder, tmp_path / "micro", ignore=shutil.ignore_patterns("engines"))
    other_encoder(tmp_path / "micro", shape, kind)
    with pytest.raises(BackendError, match=message):
        opened(tmp_path / "micro", story)


def test_run_that_fails_is_one_line_and_the_next_frame_starts_clean(folder, story):
    subject, module = opened(folder, story)
    _, memory = subject.run(micro.inputs(0), None)
    before = [item.clone() for item in memory]
    module.fails_to_run = True
    with pytest.raises(BackendError, match=r"tensorrt 10\.3\.0 cannot run.*misaligned address"):
        subject.run(micro.inputs(1), memory)
    module.fails_to_run = False
    assert all(torch.equal(item, old) for item, old in zip(memory, before, strict=True))
    expected, _ = OnnxBackend(open_exported(folder), threads=1).run(micro.inputs(1), memory)
    outputs, _ = subject.run(micro.inputs(1), memory)
    torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=1e-4)


def test_address_that_is_refused_is_not_passed_over(folder, story):
    subject, module = opened(folder, story)
    module.refuses_addresses = True
    with pytest.raises(BackendError, match=r"cannot run the .* \(Given invalid tensor name"):
        subject.run(micro.inputs(0), None)


def test_another_number_of_cameras_is_refused(folder, story):
    subject, _ = opened(folder, story)
    with pytest.raises(BackendError, match="6 cameras"):
        subject.run(micro.inputs(0, cameras=5), None)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:9", "abacus"])
def test_devices_that_are_not_there(folder, device):
    pytest.importorskip("tensorrt_rtx")
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BackendError, match=r"GPU|cuda"):
        open_backend(str(folder), choice=Choice(device=device, backend="tensorrt_rtx"))


def test_backend_and_weights_have_to_fit(folder, tmp_path):
    weights = tmp_path / "micro.safetensors"
    save_weights(weights, micro.detector())
    with pytest.raises(BackendError, match="streampetr export"):
        open_backend(str(weights), choice=Choice(backend="tensorrt"))
    with pytest.raises(BackendError, match="streampetr export"):
        open_backend(str(weights), choice=Choice(backend="onnxruntime"))
    with pytest.raises(BackendError, match="weights file"):
        open_backend(str(folder), choice=Choice(backend="torch"))
    with pytest.raises(BackendError, match=r"no backend 'abacus'.*tensorrt_rtx"):
        open_backend(str(folder), choice=Choice(backend="abacus"))
    assert "onnxruntime" in open_backend(str(folder), choice=Choice(backend="onnxruntime")).name
    assert "torch" in open_backend(str(weights), choice=Choice(backend="torch")).name


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt_rtx"])
def test_real_runtime_follows_torch_over_a_drive(folder, half_folder, runtime):
    # This test's own folder is called tensorrt too, and has no version.
    module = pytest.importorskip(runtime, minversion="1")
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    if runtime == "tensorrt_rtx":
        target = "SM{}{}".format(*torch.cuda.get_device_capability())
        if not hasattr(module.ComputeCapability, target):
            pytest.skip(f"{runtime} {module.__version__} has no kernels for {target}")
    reference = TorchBackend(micro.detector())
    for path, limit in ((folder, 1e-3), (half_folder, 5e-2)):
        subject = open_backend(str(path), choice=Choice(device="cuda", backend=runtime))
        expected_memory = memory = None
        for frame in drive():
            expected, expected_memory = reference.run(frame, expected_memory)
            outputs, memory = subject.run(frame, memory)
            torch.testing.assert_close(outputs.logits, expected.logits, atol=limit, rtol=limit)
