"""Token positions are encoded again exactly when a projection changed; lack of memory is named."""

import micro_detector as micro
import pytest
import torch

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.pytorch import torch_backend
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend


@pytest.fixture
def counted():
    detector = micro.detector(temporal=True)
    backend = TorchBackend(detector)
    calls = []
    backend._detector.position.register_forward_hook(lambda *_: calls.append(1))
    return detector, backend, calls


def test_equal_projections_are_encoded_once(counted):
    _, backend, calls = counted
    first = micro.inputs(0)
    backend.run(first, None)
    backend.run(first._replace(model_from_image=first.model_from_image.clone()), None)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["model_from_image", "focal_lengths"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_changed_projection_changes_the_outputs(counted, name, in_place):
    detector, backend, calls = counted
    inputs = micro.inputs(0)
    before, _ = backend.run(inputs, None)
    if in_place:
        getattr(inputs, name).mul_(1.3)
    else:
        inputs = inputs._replace(**{name: getattr(inputs, name) * 1.3})
    found, _ = backend.run(inputs, None)
    assert len(calls) == 2
    expected, _ = TorchBackend(detector).run(inputs, None)
    torch.testing.assert_close(found.logits, expected.logits)
    assert not torch.equal(found.logits, before.logits)


def test_another_number_of_cameras(counted):
    _, backend, calls = counted
    backend.run(micro.inputs(0), None)
    backend.run(micro.inputs(0, cameras=4), None)
    assert len(calls) == 2


def too_much(*_):
    """Ask the CPU for more than any has."""
    return torch.empty(2**56)


def full_gpu(*_):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 GiB")


def no_memory_here(*_):
    raise MemoryError


@pytest.mark.parametrize("fail", [too_much, full_gpu, no_memory_here])
def test_lack_of_memory_is_one_line_and_the_next_frame_runs(counted, monkeypatch, fail):
    detector, backend, _ = counted
    with monkeypatch.context() as broken:
        broken.setattr(backend._detector, "encode_images", fail)
        with pytest.raises(BackendError, match="cpu has too little free memory for micro") as said:
            backend.run(micro.inputs(0), None)
    assert "\n" not in str(said.value)
    found, _ = backend.run(micro.inputs(0), None)
    expected, _ = TorchBackend(detector).run(micro.inputs(0), None)
    assert torch.equal(found.logits, expected.logits)


def test_lack_of_memory_for_the_weights_is_one_line(monkeypatch):
    monkeypatch.setattr(torch_backend, "folded", full_gpu)
    with pytest.raises(BackendError, match="cpu has too little free memory for micro"):
        TorchBackend(micro.detector())


def test_a_defect_is_not_taken_for_a_lack_of_memory(counted, monkeypatch):
    _, backend, _ = counted
    monkeypatch.setattr(backend._detector, "encode_images", lambda images: images @ images[..., 0])
    with pytest.raises(RuntimeError, match="size") as said:
        backend.run(micro.inputs(0), None)
    assert not isinstance(said.value, BackendError)


def no_kernels(*_):
    raise RuntimeError("CUDA error: no kernel image is available\nCompile with TORCH_USE_CUDA_DSA")


def test_gpu_that_fails_while_opening_is_one_line(monkeypatch):
    monkeypatch.setattr(torch_backend, "checked_device", torch.device)
    monkeypatch.setattr(torch_backend, "prepared", no_kernels)
    with pytest.raises(
        BackendError, match=r"^cuda:1 cannot run micro \(CUDA error: no kernel image is av.*driver$"
    ):
        TorchBackend(micro.detector(), "cuda:1")


def test_device_that_fails_in_a_frame_is_one_line(counted, monkeypatch):
    _, backend, _ = counted
    monkeypatch.setattr(backend, "image_device", torch.device("meta"))
    with pytest.raises(BackendError, match=r"^meta cannot run micro \(.*\); restart"):
        backend.run(micro.inputs(0), None)


def test_a_defect_while_opening_on_the_cpu_stays_one(monkeypatch):
    monkeypatch.setattr(torch_backend, "prepared", no_kernels)
    with pytest.raises(RuntimeError, match="no kernel image") as said:
        TorchBackend(micro.detector())
    assert not isinstance(said.value, BackendError)


def test_what_a_gpu_cannot_compute_is_said_as_it_is(monkeypatch):
    monkeypatch.setattr(torch_backend, "checked_device", torch.device)
    with pytest.raises(BackendError, match=r"^backend torch has no precision 'fp8'"):
        TorchBackend(micro.detector(), "cuda", "fp8")
