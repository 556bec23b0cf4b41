"""Objects that move in known ways, and what a detector would say about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, Detections, FrameSet, Tracks, Truth
from streampetr_ros.model.config import NUSCENES_CLASSES
from streampetr_ros.nuscenes.results import truth_records
from streampetr_ros.track import Tracker

SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
SIZES = {"car": (4.5, 1.9, 1.6), "pedestrian": (0.7, 0.7, 1.8), "truck": (8.0, 2.5, 3.0)}


@dataclass
class Thing:
    """A box on a straight line in the fixed frame."""

    name: str
    position: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)
    score: float = 0.7

    def place(self, time: float) -> np.ndarray:
        x, y = np.add(self.position, np.multiply(self.velocity, time))
        return np.array([x, y, 0.8])

    @property
    def yaw(self) -> float:
        return float(np.arctan2(self.velocity[1], self.velocity[0]))


def detect(things, time: float, *, noise: float = 0.0, random=None) -> Detections:
    """Detect things in the fixed frame, best first; `noise` in metres."""
    random = random or np.random.default_rng(0)
    things = sorted(things, key=lambda thing: -thing.score)
    count = len(things)
    centers = np.array([thing.place(time) for thing in things]).reshape(-1, 3)
    return Detections(
        stamp_ns=START_NS + round(time * SECOND),
        boxes=Boxes(
            centers=centers + noise * random.normal(size=centers.shape),
            sizes=np.array([SIZES[thing.name] for thing in things]).reshape(-1, 3),
            yaws=np.array([thing.yaw for thing in things]),
            velocities=np.array([thing.velocity for thing in things], dtype=float).reshape(-1, 2)
            + noise * random.normal(size=(count, 2)),
        ),
        scores=np.array([thing.score for thing in things]),
        labels=np.array([NUSCENES_CLASSES.index(t.name) for t in things], dtype=np.int64),
        class_names=NUSCENES_CLASSES,
        frame="fixed",
    )


def follow(things, times, *, noise: float = 0.0, tracker: Tracker | None = None) -> list[Tracks]:
    """Track things that are seen at all times; the vehicle stands at the origin."""
    tracker = tracker or Tracker()
    random = np.random.default_rng(1)
    return [tracker.step(detect(things, t, noise=noise, random=random), np.eye(4)) for t in times]


def nearest(tracks: Tracks, point) -> int:
    """Return the identity of the track nearest to a point."""
    offsets = tracks.boxes.centers[:, :2] - np.asarray(point)[:2]
    return int(tracks.ids[np.argmin(np.hypot(offsets[:, 0], offsets[:, 1]))])


def planar_pose(x: float, y: float, yaw: float) -> np.ndarray:
    """Return a (4, 4) pose on the ground."""
    return geometry.transform_from_parts([x, y, 0.0], geometry.rotation_about_z(yaw))


THINGS = [
    Thing("car", (8.0, 4.0), (5.0, 0.5)),
    Thing("car", (30.0, -4.0), (-4.0, 0.0)),
    Thing("pedestrian", (12.0, -6.0), (0.5, 1.2)),
]

#: Where the vehicle is at first, fixed frame.
OFFSET = np.array([100.0, 50.0, 0.0])


def drive(name: str = "drive", count: int = 8) -> list[FrameSet]:
    """Make frame sets without cameras, half a second apart, of a vehicle among three things."""
    frame_sets = []
    for index in range(count):
        time = 0.5 * index
        fixed_from_base = planar_pose(100.0 + 3.0 * time, 50.0, 0.2)
        boxes = Boxes(
            centers=np.array([thing.place(time) + OFFSET for thing in THINGS]),
            sizes=np.array([SIZES[thing.name] for thing in THINGS]),
            yaws=np.array([thing.yaw for thing in THINGS]),
            velocities=np.array([thing.velocity for thing in THINGS]),
        )
        truth = Truth(
            boxes=boxes.transformed(geometry.inverse(fixed_from_base)),
            class_names=tuple(thing.name for thing in THINGS),
            instance_ids=np.arange(len(THINGS)),
            visibilities=np.ones(len(THINGS)),
        )
        frame_sets.append(
            FrameSet(
                stamp_ns=START_NS + round(time * SECOND),
                cameras=(),
                fixed_from_base=fixed_from_base,
                base_from_model=np.eye(4),
                sequence=name,
                token=f"{name}-{index}",
                truth=truth,
            )
        )
    return frame_sets


def perfect_records(frame_sets: list[FrameSet]) -> dict[str, list[dict]]:
    """Return what a detector without faults reports of every frame set."""
    found = {}
    for frame_set in frame_sets:
        found[frame_set.token] = truth_records(frame_set)
        for record in found[frame_set.token]:
            record["detection_score"] = 0.8
    return found
