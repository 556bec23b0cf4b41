"""Which of many moving rectangles ever touch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
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

    def selected(self, index: Any) -> Rectangles:
        """Return the rectangles at an index."""
        return Rectangles(*(part[index] for part in self))


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
    moving = motion.velocities.any(axis=(0, 2))
    thinned = Motion(*(part[::_EVERY] for part in motion))
    # Stretched by what is driven until the next knot that is looked at.
    stretch = 0.5 * _EVERY * KNOT_INTERVAL * np.linalg.norm(thinned.velocities, axis=-1)
    halves = 0.5 * (sizes + CLEARANCE)
    radii = np.linalg.norm(halves, axis=1) + stretch
    stretched = np.stack([halves[:, 0] + stretch, np.broadcast_to(halves[:, 1], stretch.shape)], -1)
    rectangles = Rectangles(thinned.positions, thinned.yaws, stretched)
    low = (thinned.positions - radii[..., None]).min(0)
    high = (thinned.positions + radii[..., None]).max(0)
    touching = np.zeros((len(sizes), len(sizes)), dtype=bool)
    for own in range(len(sizes)):
        near = np.flatnonzero(((low <= high[own]) & (high >= low[own])).all(1))
        # What moves is looked at by itself: at rest one knot says all about the others at rest.
        knots = len(radii) if moving[own] else 1
        apart = thinned.positions[:knots, near] - thinned.positions[:knots, own, None]
        reach = radii[:knots, near] + radii[:knots, own, None]
        knot, other = np.nonzero((apart**2).sum(-1) < reach**2)
        met = overlap(rectangles.selected((knot, own)), rectangles.selected((knot, near[other])))
        touching[own, near[other[met]]] = True
    np.fill_diagonal(touching, val=False)
    touching |= touching.T
    return touching
