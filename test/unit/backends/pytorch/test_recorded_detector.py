"""What is recorded of a detector on PyTorch, when it is repeated, and that it is the same."""

import micro_detector as micro
import pytest
import torch
from drives import drive
from recording_gpu import RecordingGpu
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda.memory_slots import MemorySlots
from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.backends.pytorch import torch_backend
from streampetr_ros.backends.pytorch.recorded_detector import RecordedDetector
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend, prepared
from streampetr_ros.model.forms.graphs import example_tensors, graph_modules, signatures

#: In the order of recording; heads by the set of memory that they read.
POSITION, ENCODER, READS_FIRST_MASKED, READS_FIRST, READS_SECOND_MASKED, READS_SECOND = range(6)


@pytest.fixture(scope="module")
def detector():
    return micro.detector()


@pytest.fixture
def gpu():
    return RecordingGpu()


def recorded(detector, gpu, precision="fp32"):
    return RecordedDetector(prepared(detector, torch.device("cpu"), precision), gpu)


def same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.0, rtol=0.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equals_plain_work_over_a_drive_with_a_reset_and_a_lost_camera(detector, gpu, precision):
    reference = TorchBackend(detector, precision=precision)
    subject = recorded(detector, gpu, precision)
    expected_memory = memory = None
    for frame in drive():
        expected, expected_memory = reference.run(frame, expected_memory)
        outputs, memory = subject.run(frame, memory)
        same(outputs, expected)
        same(memory, expected_memory)
        assert not outputs.logits.is_inference()


def test_single_frame_model(gpu):
    detector = micro.detector(temporal=False)
    reference, subject = TorchBackend(detector), recorded(detector, gpu)
    present = torch.tensor([[True, True, False, True, True, True]])
    for frame in (micro.inputs(0), micro.inputs(1)._replace(camera_present=present)):
        expected, _ = reference.run(frame, None)
        outputs, memory = subject.run(frame, None)
        assert memory is None
        same(outputs, expected)


def replayed(gpu):
    """Return what was repeated since the last call, and forget it."""
    taken = [int(note.removeprefix("replay ")) for note in gpu.notes if "replay" in note]
    assert gpu.notes[-1] == "finish", "handed out before it was done"
    gpu.notes.clear()
    return taken


def test_what_is_repeated_when(detector, gpu):
    """Positions only after a change; the head for the set that holds the memory, and the mask."""
    subject = recorded(detector, gpu)
    frames = drive()
    same_projection = frames[1]._replace(images=frames[2].images)
    lost = same_projection._replace(camera_present=frames[6].camera_present)
    memory = None
    for frame, expected in (
        (frames[0], [POSITION, ENCODER, READS_FIRST]),
        (frames[1], [POSITION, ENCODER, READS_SECOND]),
        (lost, [ENCODER, READS_FIRST_MASKED]),
        (lost, [ENCODER, READS_SECOND_MASKED]),
        (same_projection, [ENCODER, READS_FIRST]),
        (frames[0], [POSITION, ENCODER, READS_SECOND]),
    ):
        _, memory = subject.run(frame, memory)
        assert replayed(gpu) == expected
    assert gpu.count == 6, "nothing is recorded while driving"


@pytest.mark.parametrize("name", ["model_from_image", "focal_lengths"])
def test_projection_changed_in_place_is_seen(detector, gpu, name):
    subject = recorded(detector, gpu)
    frame = micro.inputs(0)
    subject.run(frame, None)
    replayed(gpu)
    getattr(frame, name).mul_(1.3)
    outputs, _ = subject.run(frame, None)
    assert replayed(gpu)[0] == POSITION
    same(outputs, TorchBackend(detector).run(frame, None)[0])


def test_another_number_of_cameras_is_recorded_and_keeps_the_memory(detector, gpu):
    reference, subject = TorchBackend(detector), recorded(detector, gpu)
    expected_memory = memory = None
    for index, cameras in enumerate((6, 6, 4, 4, 6)):
        frame = micro.inputs(index, cameras=cameras)
        expected, expected_memory = reference.run(frame, expected_memory)
        outputs, memory = subject.run(frame, memory)
        same(outputs, expected)
        same(memory, expected_memory)
    assert gpu.count == 3 * 6


def test_outputs_and_held_memories_outlive_the_next_frames(detector, gpu):
    subject = recorded(detector, gpu)
    held, memory = [], None
    for frame in drive():
        outputs, memory = subject.run(frame, memory)
        held.append(((*outputs, *memory), [value.clone() for value in (*outputs, *memory)]))
    for values, copies in held:
        same(values, copies)


def test_memory_stays_where_it_is(detector, gpu, monkeypatch):
    """In the ordinary loop states are neither copied in nor copied away."""
    subject = recorded(detector, gpu)
    monkeypatch.setattr(MemorySlots, "_fill", lambda *_: pytest.fail("copied a state"))
    addresses, memory = [], None
    for frame in drive():
        _, following = subject.run(frame, memory)
        memory = following
        del following
        addresses.append(memory.embedding.data_ptr())
    assert len(set(addresses)) == 2


def test_memory_of_none_starts_afresh_whatever_the_buffers_hold(detector, gpu):
    subject = recorded(detector, gpu)
    frame = micro.inputs(3)
    first, _ = subject.run(frame, None)
    for other in drive()[:2]:
        _, memory = subject.run(other, None)
        memory.center.fill_(float("nan"))
    again, _ = subject.run(frame, None)
    same(again, first)


def test_inputs_may_be_filled_again_by_the_caller(detector, gpu):
    subject = recorded(detector, gpu)
    frame = micro.inputs(0)
    before, _ = subject.run(frame, None)
    for value in frame:
        if value is not None:
            value.zero_()
    same(subject.run(micro.inputs(0), None)[0], before)


def test_too_little_memory_is_one_line_and_tried_again(detector, gpu, monkeypatch):
    subject = recorded(detector, gpu)

    def zeros(shape, dtype):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 GiB")

    with monkeypatch.context() as patched:
        patched.setattr(gpu, "zeros", zeros)
        with pytest.raises(BackendError, match="recording GPU has too little free memory for mic"):
            subject.run(micro.inputs(0), None)
    same(
        subject.run(micro.inputs(0), None)[0], TorchBackend(detector).run(micro.inputs(0), None)[0]
    )


def test_failure_of_the_gpu_is_one_line(detector, gpu, monkeypatch):
    def zeros(shape, dtype):
        raise RuntimeError("CUDA error: an illegal access\nCUDA kernel errors might be")

    monkeypatch.setattr(gpu, "zeros", zeros)
    with pytest.raises(BackendError, match=r"cannot run micro .*illegal access.; restart"):
        recorded(detector, gpu).run(micro.inputs(0), None)


class OnDevice(TorchDispatchMode):
    """Refuses what needs the host: its tensors, numbers read back, sizes found while running."""

    refused = (
        "index.Tensor",
        "index_put",
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "item",
    )

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        used = tree_leaves((args, kwargs, results))
        devices = {value.device.type for value in used if isinstance(value, torch.Tensor)}
        assert devices <= {"meta"}, f"{function} takes something from the host"
        assert not any(name in str(function) for name in self.refused), f"{function} uses the host"
        return results


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("temporal", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_nothing_that_is_recorded_needs_the_host(precision, temporal, masked):
    """On the device without numbers every tensor of the host stands out."""
    network = prepared(micro.detector(temporal=temporal), torch.device("cpu"), precision)
    tensors = {k: v.to("meta") for k, v in example_tensors(network.config, 6).items()}
    if not masked:
        del tensors["camera_present"]
    modules = graph_modules(network.to("meta"))
    for name, signature in signatures(network.config).items():
        with torch.inference_mode(), OnDevice():
            modules[name](*map(tensors.get, signature.inputs))


def test_work_that_could_not_be_recorded_is_the_same(detector, gpu):
    subject, plainly = recorded(detector, gpu), RecordingGpu()
    plainly.record = lambda work: work
    other = recorded(detector, plainly)
    memory = other_memory = None
    for frame in drive()[3:8]:
        outputs, memory = subject.run(frame, memory)
        found, other_memory = other.run(frame, other_memory)
        same((*found, *other_memory), (*outputs, *memory))


@pytest.fixture
def opened_for(monkeypatch):
    """Let the backend believe in a GPU that is a stand-in, and return those it opened."""
    devices = []

    def open_device(name, graphs):
        devices.append((name, graphs))
        return RecordingGpu()

    cpu = torch.device("cpu")
    monkeypatch.setattr(torch_backend, "checked_device", torch.device)
    monkeypatch.setattr(torch_backend, "CudaDevice", open_device)
    monkeypatch.setattr(torch_backend, "prepared", lambda net, _, kind: prepared(net, cpu, kind))
    return devices


@pytest.mark.parametrize("graphs", ["auto", "always"])
def test_graphs_are_what_runs_on_a_gpu(detector, opened_for, graphs):
    subject = TorchBackend(detector, "cuda:1", cuda_graphs=graphs)
    assert opened_for == [("cuda:1", graphs)]
    assert subject.name.endswith("fp32 on cuda:1 with CUDA graphs")
    assert subject.image_device == torch.device("cuda:1")
    outputs, _ = subject.run(micro.inputs(0), None)
    same(outputs, prepared(detector, torch.device("cpu"))(micro.inputs(0))[0])
    subject._recorded._device.is_recording = False
    assert subject.name.endswith("on cuda:1"), "after a capture that failed"


def test_graphs_can_be_switched_off(detector, opened_for):
    assert TorchBackend(detector, "cuda", cuda_graphs="never").name.endswith("on cuda")
    assert TorchBackend(detector, "cpu").name.endswith("on cpu")
    assert not opened_for


def test_unknown_choice():
    with pytest.raises(BackendError, match="'perhaps'; choose one of auto, always, never"):
        open_backend("random:0", "tiny", Choice(cuda_graphs="perhaps"))
    assert open_backend("random:0", "tiny", Choice(cuda_graphs="always")).name.endswith("on cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-4), ("fp16", 2e-2)])
def test_cuda_graphs_follow_plain_work_on_a_gpu(detector, precision, limit):
    """Over a reset, a lost camera, projections that change and ones that stay."""
    plain = TorchBackend(detector, "cuda", precision, "never")
    subject = TorchBackend(detector, "cuda", precision, "always")
    assert subject.name.endswith("with CUDA graphs")
    expected_memory = memory = None
    for frame in (*drive(), *(micro.inputs(seed, cameras=4) for seed in range(3))):
        expected, expected_memory = plain.run(frame, expected_memory)
        outputs, memory = subject.run(frame, memory)
        for ours, theirs in zip((*outputs, *memory), (*expected, *expected_memory), strict=True):
            torch.testing.assert_close(ours.cpu(), theirs.cpu(), atol=limit, rtol=limit)
