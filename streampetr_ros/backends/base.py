"""What the pipeline asks of something that runs a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_NO_CPU_MEMORY = "DefaultCPUAllocator: can't allocate memory"


class BackendError(UserError, RuntimeError):
    """A runtime, device or engine that cannot be used; the message says what to do."""


class Backend(Protocol):
    """Runs one detector; it holds weights, never memory."""

    @property
    def name(self) -> str:
        """Runtime and device, for logs and diagnostics."""
        ...

    @property
    def config(self) -> DetectorConfig:
        """Configuration of the detector."""
        ...

    @property
    def image_device(self) -> torch.device:
        """Where images are best prepared: `run` need not move them from there."""
        ...

    @property
    def engine_files(self) -> tuple[Path, ...]:
        """Engines built from exported graphs; none where the backend runs without."""
        ...

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; a memory of None starts afresh.

        Args:
            inputs: on the CPU, the backend moves them; images may be on `image_device` already.
            memory: as returned by the previous call; it stays on the backend's device.

        Returns:
            Outputs of the last layer and the new memory.

        Raises:
            BackendError: if the device fails, for example for lack of memory.
        """
        ...


def is_short_of_memory(error: Exception) -> bool:
    """Tell whether a failure of PyTorch, NumPy or Python is a lack of memory on CPU or GPU."""
    # PyTorch has no exception of its own for the memory of the CPU.
    kinds = (MemoryError, torch.cuda.OutOfMemoryError)
    return isinstance(error, kinds) or _NO_CPU_MEMORY in str(error)
