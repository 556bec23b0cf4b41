"""The loop of a replay, and the numbers that sum it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from streampetr_ros.pipeline import StepResult, StreamingPipeline
from streampetr_ros.sources import Source
from streampetr_ros.timing import StageClock
from streampetr_ros.tools.replay_output import ReplayWriter


def replay_source(
    source: Source,
    pipeline: StreamingPipeline,
    writer: ReplayWriter,
    count: int,
    done: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Run a source through a pipeline and write every result.

    Args:
        source: frame sets.
        pipeline: detector with memory.
        writer: where results go.
        count: sets to process at most.
        done: called after every set.

    Returns:
        Summary: model, sets, boxes, resets and percentiles of stage times.
    """
    results: list[StepResult] = []
    timings: list[Mapping[str, float]] = []
    frames = islice(iter(source), count)
    clock = StageClock()
    while True:
        with clock.stage("load"):
            frame_set = next(frames, None)
        if frame_set is None:
            break
        result = pipeline.step(frame_set)
        with clock.stage("write"):
            writer.write(frame_set, result)
        results.append(result)
        timings.append({"load": clock.timings_ms["load"], **result.timings_ms})
        clock = StageClock()
        done()
    return _summary(pipeline, results, timings)


def _summary(
    pipeline: StreamingPipeline,
    results: Sequence[StepResult],
    timings: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    resets = Counter(r.reset_reason.value for r in results if r.reset_reason is not None)
    return {
        "model": pipeline.backend.config.name,
        "backend": pipeline.backend.name,
        "sets": len(results),
        "boxes": sum(len(result.detections) for result in results),
        "resets": dict(resets),
        "milliseconds": stage_percentiles(timings),
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
