"""A PyTorch detector on a GPU as recorded work."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from streampetr_ros.backends.base import one_line_failures
from streampetr_ros.backends.cuda.device import CudaDevice
from streampetr_ros.backends.cuda.graphs import RecordedSteps
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.forms.graphs import graph_modules, signatures
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_LOGGER = logging.getLogger(__name__)


class RecordedDetector:
    """Runs one stream; recorded at the first frame, and again when the number of cameras changes.

    Args:
        detector: prepared for inference, on the device.
        device: with the GPU.
    """

    def __init__(self, detector: Detector, device: CudaDevice) -> None:
        self._config = detector.config
        self._device = device
        self._graphs = graph_modules(detector)
        self._signatures = signatures(detector.config)
        self._steps: RecordedSteps | None = None
        self._cameras = 0

    @property
    def is_recording(self) -> bool:
        """Whether work is recorded; False once it could not be."""
        return self._device.is_recording

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`. Outputs are on the CPU, the memory is not.

        Raises:
            BackendError: if the device fails, or work cannot be recorded though it has to be.
        """
        with one_line_failures(self._device.title, self._config.name):
            return self._steps_for(inputs.images.shape[1]).run(inputs, memory)

    def _steps_for(self, cameras: int) -> RecordedSteps:
        if self._steps is None or self._cameras != cameras:
            _LOGGER.info("recording the network for %d cameras", cameras)
            # Both at once may not fit.
            self._steps = None
            self._steps = RecordedSteps(self._config, self._device, cameras, self._enqueue)
            self._cameras = cameras
        return self._steps

    # Not the buffers themselves: a memory may be handed on outside of inference mode.
    @torch.inference_mode()
    def _enqueue(self, graph: str, tensors: Mapping[str, Tensor]) -> None:
        wanted, written = self._signatures[graph]
        results = self._graphs[graph](*map(tensors.get, wanted))
        if isinstance(results, Tensor):
            results = (results,)
        for name, value in zip(written, results, strict=True):
            tensors[name].copy_(value)
