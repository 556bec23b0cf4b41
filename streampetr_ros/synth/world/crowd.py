"""Candidates for a scene, and the choice of those that never touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.catalogue import KINDS
from streampetr_ros.synth.world.collision import conflicts
from streampetr_ros.synth.world.motion import Motion, joined, straight

_OBJECT_RANGE = 75.0
_CLUTTER_RANGE = 130.0
# The axle of the ego vehicle lies this far behind its middle, metres.
_EGO_MIDDLE = 1.4
_EGO_SIZE = (5.2, 2.2)
# Crowns and lamps hang over the street; only the stem can be in the way.
_STEMS = ("tree", "lamp_post")
_STEM_SIZE = 0.5


class Crowd(NamedTuple):
    """Things that may stand or move in a scene, the more important ones first.

    Attributes:
        kinds: n names in `catalogue.KINDS`.
        sizes: (n, 3) metres.
        motion: of the n things.
        towers: (n,) int64, which of them tows this one; -1 for none.
    """

    kinds: tuple[str, ...]
    sizes: Array
    motion: Motion
    towers: NDArray[np.int64]

    def selected(self, kept: NDArray[np.bool_]) -> Crowd:
        """Return some of the things; a trailer leaves with its truck."""
        towed = self.towers >= 0
        kept = kept & (~towed | kept[self.towers])
        place = np.cumsum(kept) - 1
        towers = np.where(towed, place[self.towers], -1)[kept]
        kinds = tuple(kind for kind, keep in zip(self.kinds, kept, strict=True) if keep)
        return Crowd(kinds, self.sizes[kept], self.motion.selected(kept), towers)

    def labelled(self) -> NDArray[np.bool_]:
        """Tell which things belong to a class."""
        return np.array([bool(KINDS[kind].class_name) for kind in self.kinds], dtype=bool)


class Placed(NamedTuple):
    """A thing that stands or walks straight on.

    Attributes:
        kind: name in `catalogue.KINDS`.
        size: (3,) metres.
        point: layout position at the start.
        yaw: heading in the layout.
        speed: m/s.
    """

    kind: str
    size: Array
    point: tuple[float, float]
    yaw: float
    speed: float = 0.0


def untowed(placed: Sequence[Placed], knots: int) -> Crowd:
    """Return the crowd of things that follow no path."""
    motion = straight(
        np.array([thing.point for thing in placed]).reshape(-1, 2),
        np.array([thing.yaw for thing in placed]),
        np.array([thing.speed for thing in placed]),
        knots,
    )
    sizes = np.array([thing.size for thing in placed]).reshape(-1, 3)
    kinds = tuple(thing.kind for thing in placed)
    return Crowd(kinds, sizes, motion, np.full(len(kinds), -1))


def gathered(crowds: Sequence[Crowd]) -> Crowd:
    """Join crowds, the more important ones first."""
    offsets = np.cumsum([0, *(len(crowd.kinds) for crowd in crowds[:-1])])
    towers = [
        np.where(crowd.towers >= 0, crowd.towers + offset, -1)
        for crowd, offset in zip(crowds, offsets, strict=True)
    ]
    return Crowd(
        tuple(kind for crowd in crowds for kind in crowd.kinds),
        np.concatenate([crowd.sizes for crowd in crowds]),
        joined([crowd.motion for crowd in crowds]),
        np.concatenate(towers),
    )


def near(crowd: Crowd, ego: Motion) -> NDArray[np.bool_]:
    """Tell which things ever come near the ego vehicle."""
    every = 5
    apart = crowd.motion.positions[::every] - ego.positions[::every]
    closest: Array = np.sqrt((apart**2).sum(-1).min(0))
    return closest < np.where(crowd.labelled(), _OBJECT_RANGE, _CLUTTER_RANGE)


def compatible(crowd: Crowd, ego: Motion) -> NDArray[np.bool_]:
    """Choose things, in their order, that never touch each other nor the ego vehicle."""
    stems = np.array([kind in _STEMS for kind in crowd.kinds])
    footprints = np.where(stems[:, None], _STEM_SIZE, crowd.sizes[:, :2])
    heading = np.stack([np.cos(ego.yaws), np.sin(ego.yaws)], axis=-1)
    middle = ego._replace(positions=ego.positions + _EGO_MIDDLE * heading)
    motion = joined([middle, crowd.motion])
    touching = conflicts(motion, np.concatenate([[_EGO_SIZE], footprints]))
    kept = np.zeros(len(touching), dtype=bool)
    kept[0] = True
    for index in range(1, len(touching)):
        kept[index] = not (touching[index] & kept).any()
    return kept[1:]


def mirrored(motion: Motion) -> Motion:
    """Turn right-hand traffic into left-hand traffic."""
    flip = np.array([1.0, -1.0])
    return Motion(
        motion.positions * flip, motion.velocities * flip, -motion.yaws, -motion.yaw_rates
    )
