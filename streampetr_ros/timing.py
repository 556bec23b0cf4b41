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
    """

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time until the block ends to the stage `name`; a failed block is not booked."""
        start = time.perf_counter()
        yield
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        elapsed_ms = (time.perf_counter() - start) * 1e3
        self.timings_ms[name] = self.timings_ms.get(name, 0.0) + elapsed_ms
