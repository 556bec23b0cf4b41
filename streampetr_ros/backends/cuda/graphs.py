"""The three graphs of a detector on fixed device memory: recorded once, repeated in every frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from torch import Tensor

from streampetr_ros.backends.cuda.device import CudaDevice
from streampetr_ros.backends.cuda.memory_slots import MemorySlots
from streampetr_ros.backends.position_cache import PositionCache
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.forms.graphs import MEMORY_NAMES, example_tensors
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

#: Puts the work of a graph on the device's stream: its name, and device tensors by name to read
#: and write. Without an entry for `camera_present` every camera has an image.
Enqueue = Callable[[str, Mapping[str, Tensor]], None]
_MASK = "camera_present"


class RecordedSteps:
    """Runs a detector for one number of cameras; ready at full speed when constructed.

    The memory never leaves the device: every step reads one set of buffers and writes the other.

    Args:
        config: of the detector.
        device: with the GPU.
        cameras: number of cameras.
        enqueue: does the work.
        always_masked: whether the head wants `camera_present` even if every camera has an image.
    """

    def __init__(
        self,
        config: DetectorConfig,
        device: CudaDevice,
        cameras: int,
        enqueue: Enqueue,
        always_masked: bool = False,
    ) -> None:
        self._device = device
        self._buffers = {
            name: device.zeros(tuple(value.shape), value.dtype)
            for name, value in example_tensors(config, cameras).items()
            if name not in MEMORY_NAMES
        }
        self._buffers[_MASK].fill_(True)
        self._always_masked = always_masked
        self._position = PositionCache[None]()
        self._slots = MemorySlots(config, device.zeros) if config.temporal else None
        self._find_position = device.record(partial(enqueue, "position", self._buffers))
        self._encode = device.record(partial(enqueue, "encoder", self._buffers))
        sources = (0,) if self._slots is None else (0, 1)
        # All of them now: recording must not delay the frame in which a camera fails.
        self._heads = {
            key: device.record(partial(enqueue, "head", self._head_tensors(*key)))
            for key in product(sources, (True,) if always_masked else (True, False))
        }

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`. Outputs are on the CPU, the memory is not."""
        with self._device.working():
            self._upload(inputs, starts=memory is None)
            self._position.get(inputs, self._find_position)
            self._encode()
            state = self._step(memory, self._always_masked or inputs.camera_present is not None)
            # The next frame writes the same buffers.
            outputs = DetectorOutputs(
                *(self._buffers[name].to("cpu", copy=True) for name in DetectorOutputs._fields)
            )
            self._device.finish()
        return outputs, state

    def _step(self, memory: MemoryState | None, masked: bool) -> MemoryState | None:
        if self._slots is None:
            self._heads[0, masked]()
            return None
        source = self._slots.find(memory)
        self._slots.claim(1 - source)
        self._heads[source, masked]()
        return self._slots.hand_out(1 - source)

    def _head_tensors(self, source: int, masked: bool) -> dict[str, Tensor]:
        """Return what the head reads and writes when it reads one of the sets of memory."""
        tensors = dict(self._buffers)
        if not masked:
            del tensors[_MASK]
        if self._slots is None:
            return tensors
        read, written = self._slots.sets[source], self._slots.sets[1 - source]
        tensors |= dict(zip(MEMORY_NAMES, read, strict=True))
        tensors |= {f"next_{k}": v for k, v in zip(MEMORY_NAMES, written, strict=True)}
        return tensors

    def _upload(self, inputs: ModelInputs, starts: bool) -> None:
        for name, value in zip(inputs._fields, inputs, strict=True):
            if value is not None:
                self._buffers[name].copy_(value, non_blocking=True)
        if inputs.camera_present is None:
            self._buffers[_MASK].fill_(True)
        if starts:
            self._buffers["continues"].zero_()
