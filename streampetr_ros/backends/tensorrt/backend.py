"""TensorRT on a GPU: engines that are recorded and repeated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda.device import CudaDevice, Device
from streampetr_ros.backends.cuda.graphs import RecordedSteps, one_line_failures, zero_buffers
from streampetr_ros.backends.exported import ExportedModel, open_exported
from streampetr_ros.backends.tensorrt.api import TensorRt, load_tensorrt
from streampetr_ros.backends.tensorrt.build import BuildProgress, engine_files
from streampetr_ros.backends.tensorrt.engine import TensorRtEngine
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.forms.graphs import example_tensors, signatures
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_LOGGER = logging.getLogger(__name__)


def open_tensorrt(
    folder: Path,
    runtime: str,
    device: str,
    progress: BuildProgress = _LOGGER.info,
    cuda_graphs: str = "auto",
) -> TensorRtBackend:
    """Open an exported model on TensorRT; engines that are missing are built first.

    Args:
        folder: written by `export_onnx`.
        runtime: "tensorrt" or "tensorrt_rtx".
        device: "cuda" or "cuda:N".
        progress: told about building.
        cuda_graphs: one of `CUDA_GRAPHS`.

    Raises:
        BackendError: if runtime or GPU is missing, or an engine can neither be loaded nor built.
        UserError: if the folder is no complete exported model.
    """
    return TensorRtBackend(
        open_exported(folder), load_tensorrt(runtime), CudaDevice(device, cuda_graphs), progress
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
        self, model: ExportedModel, runtime: TensorRt, device: Device, progress: BuildProgress
    ) -> None:
        self._model = model
        self._device = device
        self._name = f"{runtime.title} {model.precision} on {device.title}"
        with one_line_failures(device, model.config.name):
            # The runtimes build and load on the GPU that is current.
            with device.working():
                engines = {
                    graph: TensorRtEngine(runtime, model, graph, device, progress)
                    for graph in signatures(model.config)
                }
            files = engine_files(runtime, model, device.compute_capability)
            self._engine_files = tuple(files.values())
            self._steps = RecordedSteps(
                model.config,
                device,
                zero_buffers(device, _agreed_tensors(model, engines)),
                lambda graph, tensors: engines[graph].enqueue(tensors),
                always_masked=True,
            )

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

    @property
    def engine_files(self) -> tuple[Path, ...]:
        """Files of the engines that run, one per graph."""
        return self._engine_files

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`. Outputs are on the CPU, the memory is not."""
        self._model.check_inputs(inputs)
        with one_line_failures(self._device, self.config.name):
            return self._steps.run(inputs, memory)


def _agreed_tensors(
    model: ExportedModel, engines: Mapping[str, TensorRtEngine]
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and type of every tensor, as the graphs were exported and engines have them."""
    expected = {
        name: (tuple(value.shape), value.dtype)
        for name, value in example_tensors(model.config, model.cameras).items()
    }
    for graph, engine in engines.items():
        for name, found in engine.tensors.items():
            if expected.setdefault(name, found) != found:
                raise BackendError(
                    f"the {graph} in '{model.folder}' has '{name}' as {found}, needed is "
                    f"{expected[name]}; export the model again"
                )
    return expected
