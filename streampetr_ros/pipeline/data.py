"""What goes into a step of the pipeline, what comes out, and what lasts between steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streampetr_ros.core.types import Detections, FrameSet, Tracks
from streampetr_ros.model.state import MemoryState
from streampetr_ros.pipeline.decode import Lineage
from streampetr_ros.pipeline.memory_policy import History, MemoryStatistics, ResetReason
from streampetr_ros.preprocess.pixel_path import PicturesAhead
from streampetr_ros.track import NullTracker, Tracker


class WholeSet(NamedTuple):
    """A frame set whose pictures have come.

    Attributes:
        frame_set: with its pixels.
        ahead: what `StreamingPipeline.prepare_ahead` gives for its pictures, by camera; changes no
            result.
    """

    frame_set: FrameSet
    ahead: PicturesAhead


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepResult:
    """What a step gives.

    Attributes:
        detections: boxes that passed the filters, base frame, best first.
        tracks: objects followed, base frame, most certain first; none without a tracker. Their
            `sources` are rows of `detections_model`.
        detections_model: all decoded boxes, model frame, best first.
        reset_reason: why the memory was dropped before this step; None when it was continued.
        wrote_memory: whether this step replaced the kept memory.
        num_cameras: cameras that had an image.
        timings_ms: wall time per stage, milliseconds.
        statistics: state of the memory after the step.
    """

    detections: Detections
    tracks: Tracks
    detections_model: Detections
    reset_reason: ResetReason | None
    wrote_memory: bool
    num_cameras: int
    timings_ms: Mapping[str, float]
    statistics: MemoryStatistics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PipelineSnapshot:
    """All that a pipeline remembers between steps; can be pickled.

    Attributes:
        memory: object memory; None when it is empty.
        history: sets it belongs to, None before the first step.
        statistics: state of the memory.
        tracker: objects followed.
        lineage: identities of what the memory holds.
    """

    memory: MemoryState | None
    history: History | None
    statistics: MemoryStatistics
    tracker: Tracker | NullTracker
    lineage: Lineage
