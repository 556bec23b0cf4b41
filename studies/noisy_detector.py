"""A simulated camera detector: true boxes go in, detections with the faults of a real one come out.

It stands in for a network where trajectories exist but images do not. Its faults are those that
trackers stumble over: errors in depth that grow with distance and persist over frames, objects
missed for a while, boxes reported twice or with the wrong class, reversed headings, false alarms
that are scattered over the scene or stay at one place for seconds, and scores that only lean
towards being right. All of it follows from the seed; rates are per second, so that the frame rate
changes the number of frames but not the world.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, Detections, FrameSet
from streampetr_ros.model.config import NUSCENES_CLASSES

Array = geometry.Array

_LOOKALIKES = {
    "car": "truck",
    "truck": "car",
    "construction_vehicle": "truck",
    "bus": "truck",
    "trailer": "truck",
    "bicycle": "motorcycle",
    "motorcycle": "bicycle",
}
_ALARM_CLASSES = ("car", "pedestrian", "truck", "bicycle", "motorcycle", "bus", "trailer")
_ALARM_SHARES = (0.45, 0.33, 0.08, 0.04, 0.04, 0.03, 0.03)
_ALARM_SIZES = {
    "car": (4.6, 1.9, 1.7),
    "truck": (6.9, 2.5, 2.8),
    "bus": (11.0, 2.9, 3.4),
    "trailer": (12.0, 2.9, 3.8),
    "bicycle": (1.7, 0.6, 1.3),
    "motorcycle": (2.1, 0.8, 1.5),
    "pedestrian": (0.7, 0.7, 1.8),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """Faults of the simulated detector; distances in metres, times in seconds.

    Attributes:
        reach: objects beyond this distance are not detected.
        depth_noise: standard deviation along the line of sight: at the vehicle, and its growth
            per metre of distance.
        lateral_noise: the same across the line of sight.
        velocity_noise: standard deviation, m/s: at the vehicle, and its growth per metre.
        velocity_gain_noise: relative error of the speed.
        yaw_noise: standard deviation, rad.
        size_noise: relative standard deviation.
        lasting_share: share of every error's variance that persists from frame to frame.
        correlation_time: of the lasting part.
        detection_rate: share of frames in which an unhidden object is detected: at the vehicle,
            and its loss per metre.
        hiding_rate: how often an object becomes hidden, per second.
        hiding_time: mean time it stays so.
        flip_share: share of detections with reversed heading.
        duplicate_share: share of detections that come twice.
        confusion_share: share of detections that come with a similar class too.
        scattered_alarms: mean number of scattered false alarms per frame.
        cluster_rate: how often a place starts to raise false alarms, per second.
        cluster_time: mean time such a place stays.
        score_true: mean and standard deviation of the logit of the score of true detections.
        score_false: the same for false alarms.
        score_loss: loss of logit per metre of distance and per metre of error.
    """

    reach: float = 55.0
    depth_noise: tuple[float, float] = (0.15, 0.022)
    lateral_noise: tuple[float, float] = (0.10, 0.006)
    velocity_noise: tuple[float, float] = (0.25, 0.008)
    velocity_gain_noise: float = 0.1
    yaw_noise: float = 0.12
    size_noise: float = 0.06
    lasting_share: float = 0.5
    correlation_time: float = 1.0
    detection_rate: tuple[float, float] = (0.97, 0.005)
    hiding_rate: float = 0.05
    hiding_time: float = 0.8
    flip_share: float = 0.05
    duplicate_share: float = 0.08
    confusion_share: float = 0.05
    scattered_alarms: float = 6.0
    cluster_rate: float = 0.6
    cluster_time: float = 1.5
    score_true: tuple[float, float] = (1.0, 0.8)
    score_false: tuple[float, float] = (-1.8, 0.8)
    score_loss: tuple[float, float] = (0.03, 0.5)


@dataclass(slots=True)
class _Object:
    """What persists about one true object: six lasting errors, score offset, hidden until when."""

    errors: Array
    score_offset: float
    hidden_for: float = 0.0


@dataclass(slots=True)
class _Cluster:
    """A place that raises false alarms for a while; `remaining` seconds are left."""

    center: Array
    name: str
    yaw: float
    logit: float
    remaining: float


@dataclass(slots=True)
class _Draft:
    """Detections of a frame while they are collected."""

    centers: list[Array] = field(default_factory=list)
    sizes: list[Array] = field(default_factory=list)
    yaws: list[float] = field(default_factory=list)
    velocities: list[Array] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    logits: list[float] = field(default_factory=list)

    def add(
        self, center: Array, size: Array, yaw: float, velocity: Array, label: tuple[str, float]
    ) -> None:
        """Append one box; `label` is class name and logit of the score."""
        self.centers.append(center)
        self.sizes.append(size)
        self.yaws.append(yaw)
        self.velocities.append(velocity)
        self.names.append(label[0])
        self.logits.append(label[1])

    def detections(self, stamp_ns: int) -> Detections:
        """Return everything collected, best first, in the base frame."""
        scores = 1.0 / (1.0 + np.exp(-np.array(self.logits, dtype=np.float64)))
        labels = [NUSCENES_CLASSES.index(name) for name in self.names]
        unsorted = Detections(
            stamp_ns=stamp_ns,
            boxes=Boxes(
                centers=np.array(self.centers).reshape(-1, 3),
                sizes=np.array(self.sizes).reshape(-1, 3),
                yaws=np.array(self.yaws, dtype=np.float64),
                velocities=np.array(self.velocities).reshape(-1, 2),
            ),
            scores=scores,
            labels=np.array(labels, dtype=np.int64),
            class_names=NUSCENES_CLASSES,
            frame="base",
        )
        return unsorted.selected(np.argsort(-scores, kind="stable")[:300])


class NoisyDetector:
    """Turns the truth of a scene into detections, frame by frame.

    Args:
        seed: of every random choice.
        config: the faults.
    """

    def __init__(self, seed: int, config: NoiseConfig | None = None) -> None:
        self._random = np.random.default_rng(seed)
        self._config = config or NoiseConfig()
        self._objects: dict[tuple[str, int], _Object] = {}
        self._clusters: list[_Cluster] = []
        self._last_ns: int | None = None

    def run(self, frame_sets: Iterable[FrameSet]) -> Iterator[Detections]:
        """Yield detections of each frame set of a scene."""
        for frame_set in frame_sets:
            yield self.step(frame_set)

    def step(self, frame_set: FrameSet) -> Detections:
        """Return detections in the base frame; frame sets come in order of time and with truth."""
        if frame_set.truth is None:
            raise ValueError(f"frame set '{frame_set.token}' has no truth to make detections from")
        last_ns = frame_set.stamp_ns if self._last_ns is None else self._last_ns
        elapsed = (frame_set.stamp_ns - last_ns) * 1e-9
        self._last_ns = frame_set.stamp_ns
        draft = _Draft()
        for index in range(len(frame_set.truth.class_names)):
            self._detect(frame_set, index, elapsed, draft)
        self._scatter(draft)
        self._advance_clusters(frame_set, elapsed)
        self._add_clusters(frame_set, draft)
        return draft.detections(frame_set.stamp_ns)

    def _detect(self, frame_set: FrameSet, index: int, elapsed: float, draft: _Draft) -> None:
        """Detect one true object, or miss it."""
        truth, config, random = frame_set.truth, self._config, self._random
        assert truth is not None  # noqa: S101
        name = truth.class_names[index]
        memory = self._memory_of((name, int(truth.instance_ids[index])), elapsed)
        center = truth.boxes.centers[index]
        distance = float(np.hypot(center[0], center[1]))
        rate = config.detection_rate[0] - config.detection_rate[1] * distance
        missed = random.random() > rate
        if missed or memory.hidden_for > 0 or distance > config.reach:
            return
        if name not in NUSCENES_CLASSES:
            return
        box = truth.boxes.selected(np.array([index]))
        errors = self._errors(memory)
        measured, offset = self._disturbed(box, errors, distance)
        logit = config.score_true[0] + memory.score_offset + 0.5 * random.normal()
        logit -= config.score_loss[0] * distance + config.score_loss[1] * offset
        self._report(measured, (name, logit), draft)

    def _memory_of(self, key: tuple[str, int], elapsed: float) -> _Object:
        """Return the lasting errors of an object, moved on in time."""
        config, random = self._config, self._random
        if key not in self._objects:
            self._objects[key] = _Object(
                random.normal(size=8), config.score_true[1] * random.normal()
            )
        memory = self._objects[key]
        keep = math.exp(-elapsed / config.correlation_time)
        fresh = random.normal(size=8)
        memory.errors = keep * memory.errors + math.sqrt(1.0 - keep * keep) * fresh
        memory.hidden_for -= elapsed
        if memory.hidden_for <= 0 and random.random() < config.hiding_rate * elapsed:
            memory.hidden_for = random.exponential(config.hiding_time)
        return memory

    def _errors(self, memory: _Object) -> Array:
        """Return eight unit errors: depth, lateral, height, yaw, velocity x and y, size, speed."""
        lasting = self._config.lasting_share
        fresh = self._random.normal(size=8)
        return math.sqrt(lasting) * memory.errors + math.sqrt(1.0 - lasting) * fresh

    def _disturbed(self, box: Boxes, errors: Array, distance: float) -> tuple[Boxes, float]:
        """Apply unit errors to one box; also return its planar displacement."""
        config = self._config
        depth = errors[0] * (config.depth_noise[0] + config.depth_noise[1] * distance)
        lateral = errors[1] * (config.lateral_noise[0] + config.lateral_noise[1] * distance)
        bearing = math.atan2(box.centers[0, 1], box.centers[0, 0])
        c, s = math.cos(bearing), math.sin(bearing)
        shift = np.array([c * depth - s * lateral, s * depth + c * lateral, 0.1 * errors[2]])
        speed_noise = config.velocity_noise[0] + config.velocity_noise[1] * distance
        velocity = np.nan_to_num(box.velocities) * (1 + config.velocity_gain_noise * errors[7])
        yaw = box.yaws + config.yaw_noise * errors[3]
        if self._random.random() < config.flip_share:
            yaw = yaw + math.pi
        measured = Boxes(
            centers=box.centers + shift,
            sizes=box.sizes * math.exp(config.size_noise * errors[6]),
            yaws=geometry.wrap_angle(yaw),
            velocities=velocity + speed_noise * errors[4:6],
        )
        return measured, math.hypot(depth, lateral)

    def _report(self, box: Boxes, label: tuple[str, float], draft: _Draft) -> None:
        """Add a detection with the repetitions that real detectors make."""
        random, (name, logit) = self._random, label
        center, size, yaw = box.centers[0], box.sizes[0], float(box.yaws[0])
        velocity = box.velocities[0]
        draft.add(center, size, yaw, velocity, label)
        if random.random() < self._config.duplicate_share:
            along_sight = center / max(float(np.linalg.norm(center[:2])), 1.0)
            moved = center + along_sight * random.normal(scale=1.2)
            lower = logit - random.uniform(0.5, 2.0)
            draft.add(moved, size, yaw, velocity + random.normal(size=2, scale=0.4), (name, lower))
        if name in _LOOKALIKES and random.random() < self._config.confusion_share:
            moved = center + random.normal(size=3, scale=0.15)
            other = (_LOOKALIKES[name], logit - random.normal(1.2, 0.8))
            draft.add(moved, size, yaw, velocity, other)

    def _scatter(self, draft: _Draft) -> None:
        """Add false alarms anywhere around the vehicle."""
        random = self._random
        for _ in range(int(random.poisson(self._config.scattered_alarms))):
            name = str(random.choice(_ALARM_CLASSES, p=_ALARM_SHARES))
            logit = self._config.score_false[0] + self._config.score_false[1] * random.normal()
            yaw, velocity = random.uniform(-math.pi, math.pi), random.normal(size=2, scale=0.8)
            draft.add(self._place(), np.array(_ALARM_SIZES[name]), yaw, velocity, (name, logit))

    def _place(self) -> Array:
        """Draw a place around the vehicle, base frame."""
        distance = self._random.uniform(3.0, self._config.reach)
        bearing = self._random.uniform(-math.pi, math.pi)
        return np.array([distance * math.cos(bearing), distance * math.sin(bearing), 0.9])

    def _advance_clusters(self, frame_set: FrameSet, elapsed: float) -> None:
        """Let places that raise alarms come and go; they stand still in the fixed frame."""
        random, config = self._random, self._config
        for cluster in self._clusters:
            cluster.remaining -= elapsed
        self._clusters = [cluster for cluster in self._clusters if cluster.remaining > 0]
        for _ in range(int(random.poisson(config.cluster_rate * elapsed))):
            center = geometry.transform_points(frame_set.fixed_from_base, self._place())
            name = str(random.choice(_ALARM_CLASSES, p=_ALARM_SHARES))
            logit = config.score_false[0] + 0.7 + config.score_false[1] * random.normal()
            yaw, remaining = (
                random.uniform(-math.pi, math.pi),
                random.exponential(config.cluster_time),
            )
            self._clusters.append(_Cluster(center, name, yaw, logit, remaining))

    def _add_clusters(self, frame_set: FrameSet, draft: _Draft) -> None:
        base_from_fixed = geometry.inverse(frame_set.fixed_from_base)
        random = self._random
        for cluster in self._clusters:
            center = geometry.transform_points(base_from_fixed, cluster.center)
            for _ in range(int(random.poisson(1.2))):
                moved = center + random.normal(size=3, scale=(0.8, 0.8, 0.1))
                label = (cluster.name, cluster.logit + 0.4 * random.normal())
                size, velocity = (
                    np.array(_ALARM_SIZES[cluster.name]),
                    random.normal(size=2, scale=0.4),
                )
                draft.add(moved, size, cluster.yaw, velocity, label)
