"""TensorRT on a GPU: engines, recorded work, and a memory that never leaves the device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda_device import CudaDevice, Device
from streampetr_ros.backends.exported import ExportedModel, open_exported
from streampetr_ros.backends.known_projection import KnownProjection
from streampetr_ros.backends.memory_slots import MemorySlots
from streampetr_ros.backends.tensorrt_api import TensorRt, load_tensorrt
from streampetr_ros.backends.tensorrt_build import Progress
from streampetr_ros.backends.tensorrt_engine import TensorRtEngine
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.graphs import MEMORY_NAMES, example_tensors, signatures
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_LOGGER = logging.getLogger(__name__)


def open_tensorrt(
    folder: Path, runtime: str, device: str, progress: Progress = _LOGGER.info
) -> TensorRtBackend:
    """Open an exported model on TensorRT; engines that are missing are built first.

    Args:
        folder: written by `export_onnx`.
        runtime: "tensorrt" or "tensorrt_rtx".
        device: "cuda" or "cuda:N".
        progress: told about building.

    Raises:
        BackendError: if runtime or GPU is missing, or an engine can neither be loaded nor built.
        ExportError: if the folder is no complete exported model.
    """
    return TensorRtBackend(
        open_exported(folder), load_tensorrt(runtime), CudaDevice(device), progress
    )


class TensorRtBackend:
    """Runs an exported detector; ready at full speed when constructed.

    Args:
        model: exported.
        runtime: to build and run engines with.
        device: with the GPU.
        progress: told about building.

    Raises:
        BackendError: if an engine can neither be loaded nor built, or memory is short.
    """

    def __init__(
        self, model: ExportedModel, runtime: TensorRt, device: Device, progress: Progress
    ) -> None:
        self._model = model
        self._device = device
        self._name = f"{runtime.title} {model.precision} on {device.title}"
        self._projection = KnownProjection()
        with self._failures():
            self._engines = {
                graph: TensorRtEngine(runtime, model, graph, device, progress)
                for graph in signatures(model.config)
            }
            self._buffers = self._allocated()
            self._slots = MemorySlots(model.config, device.zeros) if model.config.temporal else None
            self._find_position = device.record(
                lambda: self._engines["position"].enqueue(self._buffers)
            )
            self._steps = [device.record(step) for step in self._step_variants()]

    @property
    def name(self) -> str:
        """Runtime, precision and device."""
        return self._name

    @property
    def config(self) -> DetectorConfig:
        """Configuration of the detector."""
        return self._model.config

    @property
    def image_device(self) -> torch.device:
        """Where the engines run."""
        return self._device.torch_device

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`. Outputs are on the CPU, the memory is not."""
        self._model.check_inputs(inputs)
        with self._failures(), self._device.working():
            self._upload(inputs, starts=memory is None)
            self._update_position(inputs)
            state = self._step(memory)
            outputs = DetectorOutputs(*(self._buffers[key].cpu() for key in ("logits", "codes")))
            self._device.finish()
        return outputs, state

    def _step(self, memory: MemoryState | None) -> MemoryState | None:
        if self._slots is None:
            self._steps[0]()
            return None
        source = self._slots.find(memory)
        self._slots.claim(1 - source)
        self._steps[source]()
        return self._slots.hand_out(1 - source)

    def _step_variants(self) -> Iterator[Callable[[], None]]:
        """Yield the work of a step, once per set of memory that it reads."""
        if self._slots is None:
            yield lambda: self._detect(self._buffers)
            return
        for source in range(2):
            read, written = self._slots.sets[source], self._slots.sets[1 - source]
            tensors = dict(self._buffers)
            tensors |= dict(zip(MEMORY_NAMES, read, strict=True))
            tensors |= {f"next_{k}": v for k, v in zip(MEMORY_NAMES, written, strict=True)}
            yield lambda tensors=tensors: self._detect(tensors)

    def _detect(self, tensors: dict[str, Tensor]) -> None:
        self._engines["encoder"].enqueue(tensors)
        self._engines["head"].enqueue(tensors)

    def _upload(self, inputs: ModelInputs, starts: bool) -> None:
        for name, value in zip(inputs._fields, inputs, strict=True):
            if value is not None:
                self._buffers[name].copy_(value, non_blocking=True)
        if inputs.camera_present is None:
            self._buffers["camera_present"].fill_(True)
        if starts:
            self._buffers["continues"].zero_()

    def _update_position(self, inputs: ModelInputs) -> None:
        """Encode token positions unless every projection is the same as last time."""
        if self._projection.is_of(inputs):
            return
        self._projection.forget()
        self._find_position()
        self._projection.keep(inputs)

    def _allocated(self) -> dict[str, Tensor]:
        """Allocate everything but memory, as large as the graphs are, and compare with engines."""
        expected = {
            name: (tuple(value.shape), value.dtype)
            for name, value in example_tensors(self.config, self._model.cameras).items()
        }
        for graph, engine in self._engines.items():
            for name, found in engine.tensors.items():
                if expected.setdefault(name, found) != found:
                    raise BackendError(
                        f"the {graph} in '{self._model.folder}' has '{name}' as {found}, needed is "
                        f"{expected[name]}; export the model again"
                    )
        memory = {*MEMORY_NAMES, *(f"next_{name}" for name in MEMORY_NAMES)}
        buffers = {
            name: self._device.zeros(shape, dtype)
            for name, (shape, dtype) in expected.items()
            if name not in memory
        }
        buffers["camera_present"].fill_(True)
        return buffers

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Say in one line what the GPU failed at."""
        try:
            yield
        except torch.cuda.OutOfMemoryError as error:
            raise BackendError(
                f"{self._device.title} has too little free memory for {self.config.name}; "
                "close other programs on it or choose a smaller model"
            ) from error
        except RuntimeError as error:
            if isinstance(error, BackendError):
                raise
            reason = str(error).split("\n", maxsplit=1)[0]
            raise BackendError(
                f"{self._device.title} failed while running {self.config.name} ({reason}); restart "
                "the program"
            ) from error
