"""Candidates for a scene, and the choice of those that never touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Array
from streampetr_ros.synth.world.catalogue import KINDS
from streampetr_ros.synth.world.collision import conflicts
from streampetr_ros.synth.world.motion import Motion, joined, resting
from streampetr_ros.synth.world.streets import Placements
from streampetr_ros.synth.world.traffic import Movers

_OBJECT_RANGE = 75.0
_CLUTTER_RANGE = 130.0
# The axle of the ego vehicle lies this far behind its middle, metres.
_EGO_MIDDLE = 1.4
_EGO_SIZE = (5.2, 2.2)
# Crowns and lamps hang over the street; only the stem can be in the way.
_STEMS = ("tree", "lamp_post")
_STEM_SIZE = 0.5


class Crowd(NamedTuple):
    """Things that may stand in a scene, the more important ones first.

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


def gather(movers: Sequence[Movers], placed: Sequence[Placements], knots: int) -> Crowd:
    """Join moving and resting things."""
    kinds: list[str] = []
    sizes, motions, towers = [], [], []
    for group in movers:
        towers.append(np.where(group.towers >= 0, group.towers + len(kinds), -1))
        kinds.extend(group.kinds)
        sizes.append(group.sizes)
        motions.append(group.motion)
    for places in placed:
        count = len(places.kinds)
        towers.append(np.full(count, -1))
        kinds.extend(places.kinds)
        sizes.append(np.array(places.sizes).reshape(-1, 3))
        points = np.array(places.points).reshape(-1, 2)
        motions.append(resting(points, np.array(places.yaws), knots))
    return Crowd(tuple(kinds), np.concatenate(sizes), joined(motions), np.concatenate(towers))


def near(crowd: Crowd, ego: Motion) -> NDArray[np.bool_]:
    """Tell which things ever come near the ego vehicle."""
    every = 5
    apart = crowd.motion.positions[::every] - ego.positions[::every]
    closest = np.sqrt((apart**2).sum(-1).min(0))
    return np.less(closest, np.where(crowd.labelled(), _OBJECT_RANGE, _CLUTTER_RANGE))


def compatible(crowd: Crowd, ego: Motion) -> NDArray[np.bool_]:
    """Choose things, in their order, that never touch each other nor the ego vehicle."""
    stems = np.array([kind in _STEMS for kind in crowd.kinds])
    footprints = np.where(stems[:, None], _STEM_SIZE, crowd.sizes[:, :2])
    motion = joined([_middle(ego), crowd.motion])
    touching = conflicts(motion, np.concatenate([[_EGO_SIZE], footprints]))
    kept = np.zeros(len(touching), dtype=bool)
    kept[0] = True
    for index in range(1, len(touching)):
        kept[index] = not (touching[index] & kept).any()
    return kept[1:]


def _middle(ego: Motion) -> Motion:
    """Return the motion of the middle of the ego vehicle."""
    heading = np.stack([np.cos(ego.yaws), np.sin(ego.yaws)], axis=-1)
    return ego._replace(positions=ego.positions + _EGO_MIDDLE * heading)


def mirrored(motion: Motion) -> Motion:
    """Turn right-hand traffic into left-hand traffic."""
    flip = np.array([1.0, -1.0])
    return Motion(
        motion.positions * flip, motion.velocities * flip, -motion.yaws, -motion.yaw_rates
    )
