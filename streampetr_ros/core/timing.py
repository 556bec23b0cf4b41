"""Wall time per stage of a step, measured and summed up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
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


def stage_percentiles(timings: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Summarise wall times per stage and of each whole step.

    Args:
        timings: milliseconds per stage, one mapping per step; its "total" is the sum unless given.

    Returns:
        Stage, and "total", to p50, p90 and p99 in milliseconds.
    """
    rows = [{**row, "total": row.get("total", sum(row.values()))} for row in timings]
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: [row[name] for row in rows if name in row] for name in names}
    return {
        name: {f"p{q}": round(float(np.percentile(v, q)), 3) for q in (50, 90, 99)}
        for name, v in values.items()
    }
