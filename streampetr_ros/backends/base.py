"""What the pipeline asks of something that runs a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from streampetr_ros.core.errors import UserError, first_line
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_NO_CPU_MEMORY = "DefaultCPUAllocator: can't allocate memory"


class BackendError(UserError, RuntimeError):
    """A runtime, device or engine that cannot be used; the message says what to do."""


class Backend(ABC):
    """Runs one detector; it holds weights, never memory.

    Attributes:
        config: of the detector.
        image_device: where images are best prepared: `run` need not move them from there.
        engine_files: engines built from exported graphs; none where the backend runs without.
    """

    config: DetectorConfig
    image_device: torch.device = torch.device("cpu")
    engine_files: tuple[Path, ...] = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """Runtime, precision and device, for logs and diagnostics."""

    @abstractmethod
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


def is_short_of_memory(error: Exception) -> bool:
    """Tell whether a failure of PyTorch, NumPy or Python is a lack of memory on CPU or GPU."""
    # PyTorch has no exception of its own for the memory of the CPU.
    kinds = (MemoryError, torch.cuda.OutOfMemoryError)
    return isinstance(error, kinds) or _NO_CPU_MEMORY in str(error)


def checked_device(name: str) -> torch.device:
    """Return a device that is there.

    Args:
        name: "cpu", "cuda" or "cuda:N".

    Raises:
        BackendError: if it is not.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendError(f"'{name}' is no device; use cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BackendError(
            f"device '{name}' asked for, but PyTorch finds no CUDA GPU; install the driver and a "
            "CUDA build of PyTorch, or choose cpu with backend torch or onnxruntime"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"device '{name}' asked for, but there are {torch.cuda.device_count()} GPUs"
        )
    if device.type not in ("cpu", "cuda"):
        raise BackendError(f"device '{name}' is not supported; use cpu, cuda or cuda:N")
    return device


@contextmanager
def one_line_failures(device: str, model: str) -> Iterator[None]:
    """Say in one line what a device failed at.

    Args:
        device: its name, for the sentence.
        model: that runs there.

    Raises:
        BackendError: in place of what PyTorch raises.
    """
    try:
        yield
    except BackendError:
        raise
    except (MemoryError, RuntimeError) as error:
        if is_short_of_memory(error):
            raise BackendError(
                f"{device} has too little free memory for {model}; close other programs on it or "
                "choose a smaller model"
            ) from error
        # A CPU does not fail, programs do.
        if device == "cpu":
            raise
        raise BackendError(
            f"{device} cannot run {model} ({first_line(error)}); restart the program, close others "
            "on it, or check that this PyTorch fits the GPU and its driver"
        ) from error
