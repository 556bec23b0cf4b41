"""Settings of the tracker: one set of values per kind of object, and those that hold for all.

Classes that move alike and that detectors take for each other form a kind; a track may change its
class within its kind. All times are seconds and all rates per second, so that the same settings
serve any frame rate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.config import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class KindConfig:
    """How objects of one kind move, are measured and are kept.

    Attributes:
        class_names: classes of this kind.
        acceleration: growth of the velocity's standard deviation, m/s per square root of second.
        turn_rate: usual turn rate, standard deviation, rad/s; 0 for objects that slide any way.
        yaw_drift: growth of the heading's standard deviation beyond turning, rad per square root
            of second.
        position_noise: standard deviation of a detection beside the vehicle, metres.
        depth_noise: growth of it along the line of sight, metres per metre of distance.
        lateral_noise: growth of it across the line of sight, metres per metre of distance.
        velocity_noise: standard deviation of a detection's velocity, m/s.
        yaw_noise: standard deviation of a detection's heading, rad.
        usual_speed: standard deviation of the velocity when nothing is known about it, m/s.
        gate: largest planar distance of a detection from where its track expects it, metres.
        duplicate_distance: closer detections or tracks of a kind are one object, metres.
        even_score: score at which half of the detections are right.
        max_unseen: seconds a certain track is kept without detections.
    """

    class_names: tuple[str, ...]
    acceleration: float
    turn_rate: float = 0.0
    yaw_drift: float = 0.2
    position_noise: float = 0.3
    depth_noise: float = 0.025
    lateral_noise: float = 0.008
    velocity_noise: float = 0.6
    yaw_noise: float = 0.2
    usual_speed: float = 2.0
    gate: float
    duplicate_distance: float
    even_score: float = 0.2
    max_unseen: float = 2.0

    def __post_init__(self) -> None:
        for name, _ in _SETTINGS:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be zero or more, got {value}")
        if not 0 < self.even_score < 1:
            raise ValueError(f"even_score must lie between 0 and 1, got {self.even_score}")
        if min(self.position_noise, self.velocity_noise, self.yaw_noise) == 0:
            raise ValueError("position_noise, velocity_noise and yaw_noise must be above 0")


_SETTINGS = [(entry.name, float) for entry in dataclasses.fields(KindConfig)[1:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleConfig(KindConfig):
    """Road vehicles, which turn as they drive."""

    class_names: tuple[str, ...] = ("car", "truck", "construction_vehicle", "bus", "trailer")
    acceleration: float = 1.5
    turn_rate: float = 0.35
    yaw_drift: float = 0.1
    velocity_noise: float = 1.0
    usual_speed: float = 6.0
    gate: float = 4.0
    duplicate_distance: float = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleConfig(KindConfig):
    """Two-wheelers."""

    class_names: tuple[str, ...] = ("motorcycle", "bicycle")
    acceleration: float = 1.5
    turn_rate: float = 0.4
    usual_speed: float = 4.0
    gate: float = 3.0
    duplicate_distance: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class PedestrianConfig(KindConfig):
    """People, who turn on the spot and walk side by side."""

    class_names: tuple[str, ...] = ("pedestrian",)
    acceleration: float = 0.8
    yaw_drift: float = 0.5
    velocity_noise: float = 0.8
    yaw_noise: float = 0.4
    usual_speed: float = 1.5
    gate: float = 3.0
    duplicate_distance: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticConfig(KindConfig):
    """Things that stand."""

    class_names: tuple[str, ...] = ("barrier", "traffic_cone")
    acceleration: float = 0.1
    velocity_noise: float = 0.4
    usual_speed: float = 0.3
    gate: float = 1.5
    duplicate_distance: float = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """Settings of the tracker.

    Attributes:
        vehicle: road vehicles.
        cycle: two-wheelers.
        pedestrian: people.
        static: things that stand.
        ignored_classes: classes that are not tracked.
        min_score: weaker detections are not used.
        birth_score: weaker detections continue tracks but start none.
        gate_chi2: largest squared Mahalanobis distance over position and velocity.
        new_density: expected density of objects seen for the first time, per m^2 and (m/s)^2;
            the larger, the sooner a detection far from every track starts its own.
        class_change_cost: reluctance to continue a track with another class of its kind.
        query_evidence: log-likelihood that speaks for continuing a track with a detection of the
            query that found the track last; 0 makes no use of the queries of the network.
        turn_memory: time after which a turn rate is forgotten.
        error_memory: time over which a detector repeats its errors; frames closer in time than
            this teach proportionally less.
        evidence_time: time over which repeated (missing) detections count as one.
        hit_evidence: gain of log-odds of existence for a detection of even score.
        miss_evidence: loss of log-odds for a missing detection.
        score_evidence: largest gain or loss by a detection's score.
        certainty: how far log-odds of existence rise above those that the scores of a track's
            detections speak for; repeated detections of a weak object make it no sure one.
        confirm_probability: probability of existence from which on a track is reported.
        drop_probability: probability below which a track is dropped.
        unsure_unseen: seconds a track that was never reported is kept without detections.
        report_unseen: seconds a track without detections stays reported.
        max_gap: time without any frame after which all tracks are dropped.
    """

    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    cycle: CycleConfig = field(default_factory=CycleConfig)
    pedestrian: PedestrianConfig = field(default_factory=PedestrianConfig)
    static: StaticConfig = field(default_factory=StaticConfig)
    ignored_classes: tuple[str, ...] = ()
    min_score: float = 0.08
    birth_score: float = 0.12
    gate_chi2: float = 16.0
    new_density: float = 1e-6
    class_change_cost: float = 3.0
    query_evidence: float = 0.0
    turn_memory: float = 3.0
    error_memory: float = 0.4
    evidence_time: float = 0.5
    hit_evidence: float = 1.5
    miss_evidence: float = 1.0
    score_evidence: float = 2.0
    certainty: float = 2.0
    confirm_probability: float = 0.4
    drop_probability: float = 0.02
    unsure_unseen: float = 0.8
    report_unseen: float = 0.6
    max_gap: float = 3.0

    def __post_init__(self) -> None:
        names = [name for kind in self.kinds for name in kind.class_names]
        names += self.ignored_classes
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes {', '.join(twice)} are listed more than once in tracking")
        for name in ("min_score", "birth_score", "confirm_probability", "drop_probability"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if not self.query_evidence >= 0:
            raise ValueError(f"query_evidence must be zero or more, got {self.query_evidence}")
        for name in ("gate_chi2", "new_density", "turn_memory", "evidence_time", "max_gap"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.drop_probability >= self.confirm_probability:
            raise ValueError(
                f"drop_probability {self.drop_probability} must be below confirm_probability "
                f"{self.confirm_probability}"
            )

    @property
    def kinds(self) -> tuple[KindConfig, ...]:
        """Every kind, in a fixed order."""
        return (self.vehicle, self.cycle, self.pedestrian, self.static)

    def settings(self, kinds: NDArray[np.int64]) -> np.recarray[Any, Any]:
        """Return the numbers of `KindConfig` by name, (n,) each, given the kinds of n objects."""
        chosen: np.recarray[Any, Any] = _table(self.kinds)[kinds]
        return chosen

    def kind_indices(self, class_names: Sequence[str]) -> tuple[int, ...]:
        """Return the index in `kinds` for each class; -1 for ignored ones.

        Raises:
            ConfigError: if a class is neither in a kind nor ignored.
        """
        index = {name: i for i, kind in enumerate(self.kinds) for name in kind.class_names}
        index |= dict.fromkeys(self.ignored_classes, -1)
        unknown = [name for name in class_names if name not in index]
        if unknown:
            raise ConfigError(
                f"tracking has no settings for class {', '.join(unknown)}; add it to class_names "
                "of a kind or to ignored_classes, or switch tracking off"
            )
        return tuple(index[name] for name in class_names)


@lru_cache
def _table(kinds: tuple[KindConfig, ...]) -> np.recarray[Any, Any]:
    rows = [tuple(getattr(kind, name) for name, _ in _SETTINGS) for kind in kinds]
    return np.array(rows, dtype=_SETTINGS).view(np.recarray)
