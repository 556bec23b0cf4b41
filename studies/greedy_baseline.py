"""The tracker that detectors of this family are commonly judged with, as a baseline.

Detections are moved back by their own velocity and take, best score first, the nearest track of
their class. One distance limit holds for all classes, nothing is filtered, time is counted in
frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.tracking import TRACKED_CLASSES, RecordTracker
from streampetr_ros.nuscenes.results import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyConfig:
    """Settings of the baseline, with the values it is published with.

    Attributes:
        score_threshold: weaker detections are dropped.
        gate: largest distance between a detection and its track, metres.
        max_age: frames after which an unseen track is forgotten.
    """

    score_threshold: float = 0.25
    gate: float = 2.5
    max_age: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    """Last sight of an object: planar center and its displacement per frame, metres."""

    number: int
    name: str
    center: tuple[float, float]
    step: tuple[float, float]
    age: int = 1


class GreedyTracker:
    """Greedy center tracker over detection records of one scene.

    Args:
        config: its settings.
    """

    def __init__(self, config: GreedyConfig | None = None) -> None:
        self._config = config or GreedyConfig()
        self._tracks: list[_Track] = []
        self._last_ns: int | None = None
        self._count = 0

    def step(self, records: list[Record], stamp_ns: int) -> list[Record]:
        """Return the tracking records of one sample.

        Args:
            records: its detections.
            stamp_ns: time of the sample.
        """
        last_ns = stamp_ns if self._last_ns is None else self._last_ns
        elapsed = (stamp_ns - last_ns) * 1e-9
        self._last_ns = stamp_ns
        free = list(self._tracks)
        seen: list[_Track] = []
        output = []
        for record in sorted(records, key=lambda r: -r["detection_score"]):
            if not self._is_tracked(record):
                continue
            track = self._continued(record, free, elapsed)
            seen.append(track)
            output.append(_tracking_record(record, track.number))
        waiting = [_moved(track) for track in free if track.age < self._config.max_age]
        self._tracks = seen + waiting
        return output

    def _is_tracked(self, record: Record) -> bool:
        confident = record["detection_score"] >= self._config.score_threshold
        return confident and record["detection_name"] in TRACKED_CLASSES

    def _continued(self, record: Record, free: list[_Track], elapsed: float) -> _Track:
        """Take the nearest free track of the class out of `free`, or start a new one."""
        name = record["detection_name"]
        x, y = record["translation"][:2]
        step = (record["velocity"][0] * elapsed, record["velocity"][1] * elapsed)
        before = (x - step[0], y - step[1])
        near = [(_distance(before, track.center), i) for i, track in enumerate(free)]
        near = [pair for pair in near if free[pair[1]].name == name]
        number = 0
        if near and min(near)[0] <= self._config.gate:
            number = free.pop(min(near)[1]).number
        else:
            self._count += 1
            number = self._count
        return _Track(number=number, name=name, center=(x, y), step=step)


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _moved(track: _Track) -> _Track:
    """Move an unseen track on by one frame."""
    center = (track.center[0] + track.step[0], track.center[1] + track.step[1])
    return replace(track, center=center, age=track.age + 1)


def _tracking_record(record: Record, number: int) -> Record:
    kept = ("sample_token", "translation", "size", "rotation", "velocity")
    return {key: record[key] for key in kept} | {
        "tracking_id": str(number),
        "tracking_name": record["detection_name"],
        "tracking_score": record["detection_score"],
    }


def greedy_tracker(config: GreedyConfig | None = None) -> RecordTracker:
    """Make the baseline as `track_scenes` takes it."""
    tracker = GreedyTracker(config)

    def step(records: list[Record], frame_set: FrameSet) -> list[Record]:
        return tracker.step(records, frame_set.stamp_ns)

    return step
