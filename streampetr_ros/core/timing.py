"""Wall time per stage of a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StageClock:
    """Collects the wall time of named stages, milliseconds.

    Work queued on a GPU is waited for at the end of a stage, so that it is booked where it was
    asked for.

    Args:
        device: that works for the thread; only its current stream is waited for. None waits for all
            streams of the current GPU.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.timings_ms: dict[str, float] = {}
        self._device = device

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time until the block ends to the stage `name`; a failed block is not booked."""
        start = time.perf_counter()
        yield
        self._wait()
        elapsed_ms = (time.perf_counter() - start) * 1e3
        self.timings_ms[name] = self.timings_ms.get(name, 0.0) + elapsed_ms

    def _wait(self) -> None:
        # Waiting must not be what opens a GPU.
        if not torch.cuda.is_initialized():
            return
        if self._device is None:
            torch.cuda.synchronize()
        elif self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
