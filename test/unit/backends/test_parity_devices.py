"""Comparing backends whose results lie on different devices."""

import micro_detector as micro
import pytest
import torch

from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.export.parity import largest_differences, random_drive
from streampetr_ros.model.state import MemoryState


class OnGpu(torch.Tensor):
    """Can be copied to another device; all else mixes devices, or is nothing for NumPy."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function not in (torch.Tensor.cpu, torch.Tensor.to):
            raise RuntimeError("Expected all tensors to be on the same device")
        return plain(args[0])


def plain(value):
    with torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(torch.Tensor)


class RecordedBackend:
    """Gives outputs on the CPU and the memory on a GPU, and takes its own memory back."""

    def __init__(self, detector):
        self._backend = TorchBackend(detector)
        self.config = self._backend.config
        self.image_device = torch.device("cpu")

    def run(self, inputs, memory):
        known = None if memory is None else MemoryState(*map(plain, memory))
        outputs, state = self._backend.run(inputs, known)
        return outputs, MemoryState(*(item.as_subclass(OnGpu) for item in state))


class PlainGpuBackend(RecordedBackend):
    """Gives outputs on the GPU too."""

    def run(self, inputs, memory):
        outputs, state = super().run(inputs, memory)
        return type(outputs)(*(item.as_subclass(OnGpu) for item in outputs)), state


@pytest.mark.parametrize("reference", [TorchBackend, RecordedBackend, PlainGpuBackend])
@pytest.mark.parametrize("subject", [TorchBackend, RecordedBackend, PlainGpuBackend])
def test_backends_on_different_devices_are_compared(reference, subject):
    detector = micro.detector()
    drive = random_drive(detector.config, 2)
    assert not any(largest_differences(reference(detector), subject(detector), drive).values())


def test_the_memory_is_handed_over_on_the_device_of_the_subject():
    detector = micro.detector()
    subject, seen = TorchBackend(detector), []

    class Elsewhere:
        image_device = torch.device("meta")

        def run(self, inputs, memory):
            seen.append(None if memory is None else {item.device.type for item in memory})
            return subject.run(inputs, None)

    largest_differences(TorchBackend(detector), Elsewhere(), random_drive(detector.config, 2))
    assert seen == [None, *[{"meta"}] * 8]
