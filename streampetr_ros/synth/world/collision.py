"""Which of many moving rectangles ever touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Array
from streampetr_ros.synth.world.motion import KNOT_INTERVAL, Motion

#: Things keep at least this far apart, metres.
CLEARANCE = 0.12
_EVERY = 2


class Rectangles(NamedTuple):
    """Rectangles in the plane, m of them.

    Attributes:
        centers: (m, 2) metres.
        yaws: (m,) radians.
        halves: (m, 2) half length and width, metres.
    """

    centers: Array
    yaws: Array
    halves: Array

    def selected(self, index: NDArray[np.int64]) -> Rectangles:
        """Return the rectangles at an index."""
        return Rectangles(self.centers[index], self.yaws[index], self.halves[index])


def overlap(first: Rectangles, second: Rectangles) -> NDArray[np.bool_]:
    """Tell for m pairs of rectangles whether they touch (separating axes)."""
    between = second.centers - first.centers
    turn = second.yaws - first.yaws
    cosine, sine = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    touching = np.ones(len(turn), dtype=bool)
    for own, other in ((first, second), (second, first)):
        c, s = np.cos(own.yaws), np.sin(own.yaws)
        along = np.abs(c * between[:, 0] + s * between[:, 1])
        across = np.abs(c * between[:, 1] - s * between[:, 0])
        length, width = other.halves.T
        touching &= along <= own.halves[:, 0] + length * cosine + width * sine
        touching &= across <= own.halves[:, 1] + length * sine + width * cosine
    return touching


def conflicts(motion: Motion, sizes: Array) -> NDArray[np.bool_]:
    """Tell which things ever come closer than `CLEARANCE`.

    Args:
        motion: of n things.
        sizes: (n, 2) length and width, metres.

    Returns:
        (n, n) symmetric bool, False on the diagonal.
    """
    halves = 0.5 * (sizes + CLEARANCE)
    moving = motion.velocities.any(axis=(0, 2))
    touching = np.zeros((len(sizes), len(sizes)), dtype=bool)
    rest = np.flatnonzero(~moving)
    still = Rectangles(motion.positions[0, rest], motion.yaws[0, rest], halves[rest])
    touching[np.ix_(rest, rest)] = _among(still)
    thinned = Motion(*(part[::_EVERY] for part in motion))
    # Stretched by what is driven until the next knot that is looked at.
    stretch = 0.5 * _EVERY * KNOT_INTERVAL * np.linalg.norm(thinned.velocities, axis=-1)
    radii = np.linalg.norm(halves, axis=1) + stretch
    low = (thinned.positions - radii[..., None]).min(0)
    high = (thinned.positions + radii[..., None]).max(0)
    for mover in np.flatnonzero(moving):
        near = np.flatnonzero(((low <= high[mover]) & (high >= low[mover])).all(1))
        own = _Swept(thinned.selected(near), halves[near], stretch[:, near], radii[:, near])
        touching[mover, near] |= _met(own, int(np.searchsorted(near, mover)))
    np.fill_diagonal(touching, val=False)
    return np.logical_or(touching, touching.T)


def _among(still: Rectangles) -> NDArray[np.bool_]:
    """Return (r, r) which resting rectangles touch."""
    touching = np.zeros((len(still.yaws), len(still.yaws)), dtype=bool)
    radii = np.linalg.norm(still.halves, axis=1)
    distances = np.linalg.norm(still.centers[:, None] - still.centers, axis=-1)
    first, second = np.nonzero(np.triu(distances < radii[:, None] + radii, k=1))
    touching[first, second] = overlap(still.selected(first), still.selected(second))
    return np.logical_or(touching, touching.T)


class _Swept(NamedTuple):
    """Moving rectangles (n) at the knots looked at (k).

    Attributes:
        motion: of the n things.
        halves: (n, 2) half length and width, metres.
        stretch: (k, n) added to the half length, metres.
        radii: (k, n) of circles around them, metres.
    """

    motion: Motion
    halves: Array
    stretch: Array
    radii: Array

    def rectangles(self, knot: NDArray[np.int64], index: NDArray[np.int64]) -> Rectangles:
        """Return rectangles of things at knots, m pairs."""
        halves = self.halves[index].copy()
        halves[:, 0] += self.stretch[knot, index]
        return Rectangles(self.motion.positions[knot, index], self.motion.yaws[knot, index], halves)


def _met(swept: _Swept, mover: int) -> NDArray[np.bool_]:
    """Return (n,) what a moving rectangle ever touches."""
    positions, radii = swept.motion.positions, swept.radii
    apart = positions - positions[:, mover, None]
    squared = apart[..., 0] ** 2 + apart[..., 1] ** 2
    knot, other = np.nonzero(squared < (radii + radii[:, mover, None]) ** 2)
    touching = overlap(
        swept.rectangles(knot, np.full_like(other, mover)), swept.rectangles(knot, other)
    )
    met = np.zeros(len(swept.halves), dtype=bool)
    met[other[touching]] = True
    return met
