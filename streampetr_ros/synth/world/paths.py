"""Smooth paths on the ground and how fast they can be driven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streampetr_ros.core.geometry import Array

#: Distance between the samples of a path, metres.
STEP = 0.25
# Share of a bend in which the steering moves, at each of its ends.
_RAMP = 0.3
_LATERAL_ACCELERATION = 2.8
_YAW_RATE = 0.48
_BRAKING = 2.0


class Path(NamedTuple):
    """A line sampled every `STEP` metres.

    Attributes:
        points: (s, 2) metres.
        headings: (s,) radians, continuous.
        speed_limits: (s,) m/s that leave time to brake for the bends ahead.
    """

    points: Array
    headings: Array
    speed_limits: Array

    def at(self, distances: Array) -> tuple[Array, Array]:
        """Return points (..., 2) and headings (...,) at distances from the start, metres."""
        samples = STEP * np.arange(len(self.headings))
        x = np.interp(distances, samples, self.points[:, 0])
        y = np.interp(distances, samples, self.points[:, 1])
        return np.stack([x, y], axis=-1), np.interp(distances, samples, self.headings)


class Piece(NamedTuple):
    """Part of a path: `length` metres along which the heading changes by `turn` radians."""

    length: float
    turn: float = 0.0


def build_path(start: tuple[float, float], heading: float, pieces: Sequence[Piece]) -> Path:
    """Join straight and bent pieces into one path without a jump in curvature."""
    curvatures = np.concatenate([_curvature(piece) for piece in pieces])
    headings = heading + STEP * np.concatenate([[0.0], np.cumsum(curvatures)])
    middle = 0.5 * (headings[1:] + headings[:-1])
    steps = STEP * np.stack([np.cos(middle), np.sin(middle)], axis=1)
    points = np.concatenate([[start], start + np.cumsum(steps, axis=0)])
    return Path(points, headings, _speed_limits(np.append(curvatures, curvatures[-1])))


def corner_reach(length: float) -> float:
    """Return how far before a corner a right-angle bend of a length begins, metres."""
    turned = build_path((0.0, 0.0), 0.0, [Piece(length, np.pi / 2)])
    return float(turned.points[-1, 0])


def _curvature(piece: Piece) -> Array:
    count = max(1, round(piece.length / STEP))
    if piece.turn == 0.0:
        return np.zeros(count)
    position = (np.arange(count) + 0.5) / count
    edge = np.minimum(position, 1 - position) / _RAMP
    shape = 0.5 - 0.5 * np.cos(np.pi * np.minimum(edge, 1.0))
    curvature: Array = piece.turn * shape / (shape.sum() * STEP)
    return curvature


def _speed_limits(curvatures: Array) -> Array:
    bend = np.maximum(np.abs(curvatures), 1e-6)
    limit = np.minimum(np.sqrt(_LATERAL_ACCELERATION / bend), _YAW_RATE / bend)
    # Braking at a constant rate makes v squared fall linearly with distance.
    budget = np.minimum(limit, 60.0) ** 2 + 2 * _BRAKING * STEP * np.arange(len(limit))
    reachable = np.minimum.accumulate(budget[::-1])[::-1]
    speeds: Array = np.sqrt(reachable - 2 * _BRAKING * STEP * np.arange(len(limit)))
    return speeds
