"""The loop of a replay, and the numbers that sum it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from streampetr_ros.core.timing import StageClock
from streampetr_ros.core.types import FrameSet
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.tools.replay.output import ReplayWriter


def replay_source(
    source: Iterable[FrameSet],
    pipeline: StreamingPipeline,
    writer: ReplayWriter,
    count: int,
    done: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Run frame sets through a pipeline and write every result.

    Args:
        source: frame sets.
        pipeline: detector with memory.
        writer: where results go.
        count: sets to process at most.
        done: called after every set, when its results are written.

    Returns:
        Summary of all that the writer holds, see `summary_of`.
    """
    frames = islice(iter(source), count)
    while True:
        clock = StageClock(pipeline.backend.image_device)
        with clock.stage("load"):
            frame_set = next(frames, None)
        if frame_set is None:
            break
        result = pipeline.step(frame_set)
        writer.write(frame_set, result, clock.timings_ms["load"])
        done()
    backend = pipeline.backend
    return {
        "model": backend.config.name,
        "backend": backend.name,
        **summary_of(writer.records()),
    }


def summary_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up written results: sets, boxes, resets and percentiles of stage times."""
    resets = Counter(each["reset_reason"] for each in records if each["reset_reason"])
    return {
        "sets": len(records),
        "boxes": sum(len(each["detections"]) for each in records),
        "resets": dict(resets),
        "milliseconds": stage_percentiles(each["timings_ms"] for each in records),
    }


def stage_percentiles(timings: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Summarise wall times per stage and of each whole step.

    Args:
        timings: milliseconds per stage, one mapping per step.

    Returns:
        Stage, and "total", to p50, p90 and p99 in milliseconds.
    """
    rows = [{**row, "total": sum(row.values())} for row in timings]
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: [row[name] for row in rows if name in row] for name in names}
    return {
        name: {f"p{q}": round(float(np.percentile(v, q)), 3) for q in (50, 90, 99)}
        for name, v in values.items()
    }
