"""How things move: drivers that follow paths and each other, and motion known at every instant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.paths import STEP, Path

#: Time between the knots of a motion, seconds.
KNOT_INTERVAL = 0.1
#: Motions are known this long before and after a scene, seconds.
MARGIN = 0.5

_ACCELERATION = 2.0
_BRAKING = 4.0
_COMFORTABLE_BRAKING = 2.0
_STANDING_GAP = 2.5
_TIME_GAP = 1.0


class Motion(NamedTuple):
    """Planar poses of n things over time, between knots by cubic Hermite curves.

    Attributes:
        positions: (k, n, 2) metres at the knots.
        velocities: (k, n, 2) m/s at the knots.
        yaws: (k, n) radians, continuous over time.
        yaw_rates: (k, n) rad/s.
    """

    positions: Array
    velocities: Array
    yaws: Array
    yaw_rates: Array

    def at(self, seconds: Array) -> Instant:
        """Return where everything is at v times since the start of the scene, seconds."""
        times = KNOT_INTERVAL * np.arange(len(self.yaws)) - MARGIN
        # Curves are made of the knots around these times alone.
        first, last = np.searchsorted(times[1:-1], [np.min(seconds), np.max(seconds)])
        near = slice(first, last + 2)
        place = CubicHermiteSpline(times[near], self.positions[near], self.velocities[near])
        heading = CubicHermiteSpline(times[near], self.yaws[near], self.yaw_rates[near])
        return Instant(place(seconds), place(seconds, 1), heading(seconds))

    def selected(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Motion:
        """Return some of the things."""
        return Motion(*(part[:, index] for part in self))


class Instant(NamedTuple):
    """Poses of n things at v times.

    Attributes:
        positions: (v, n, 2) metres.
        velocities: (v, n, 2) m/s.
        yaws: (v, n) radians.
    """

    positions: Array
    velocities: Array
    yaws: Array


def knot_count(duration: float) -> int:
    """Return how many knots cover a scene of a duration in seconds."""
    return int(np.ceil((duration + 2 * MARGIN) / KNOT_INTERVAL)) + 2


def straight(positions: Array, yaws: Array, speeds: Array, knots: int) -> Motion:
    """Return the motion of n things that walk straight on; positions (n, 2) are at time 0."""
    heading = np.stack([np.cos(yaws), np.sin(yaws)], axis=-1)
    velocities = np.broadcast_to(speeds[:, None] * heading, (knots, len(yaws), 2))
    seconds = KNOT_INTERVAL * np.arange(knots) - MARGIN
    return Motion(
        positions + seconds[:, None, None] * velocities,
        velocities,
        np.broadcast_to(yaws, (knots, len(yaws))),
        np.zeros((knots, len(yaws))),
    )


def joined(motions: Sequence[Motion]) -> Motion:
    """Put the things of several motions side by side."""
    return Motion(*(np.concatenate(parts, axis=1) for parts in zip(*motions, strict=True)))


def drive(
    paths: Sequence[Path],
    starts: Array,
    desired: Array,
    stops: Array,
    leaders: NDArray[np.int64],
    lengths: Array,
) -> tuple[Array, Array]:
    """Let v drivers follow their paths with bounded acceleration, braking for bends and leaders.

    Args:
        paths: one per driver.
        starts: (v,) distance along the path at the first knot, metres.
        desired: (k, v) speed wanted at every knot, m/s.
        stops: (v,) distance along the path not to be passed, metres; infinite for none.
        leaders: (v,) driver ahead on the same path, -1 for none.
        lengths: (v,) of the vehicles, metres.

    Returns:
        Distances along the paths and speeds at the knots, (k, v) each.
    """
    longest = max(len(path.speed_limits) for path in paths)
    limits = np.stack(
        [np.pad(p.speed_limits, (0, longest - len(p.speed_limits)), "edge") for p in paths]
    )
    ahead = np.maximum(leaders, 0)
    clearance = 0.5 * (lengths[ahead] + lengths)

    def allowed(distance: Array, speed: Array | float) -> Array:
        """Return the speed that bends, stop lines and the vehicle ahead allow."""
        sample = np.clip((distance / STEP).astype(np.int64), 0, longest - 1)
        limit = limits[np.arange(len(paths)), sample]
        room = np.maximum(stops - distance, 0.0)
        stopping = np.minimum(limit, np.sqrt(2 * _COMFORTABLE_BRAKING * room))
        limit = np.where(distance > stops + 1.0, limit, stopping)
        room = np.maximum(distance[ahead] - distance - clearance - _STANDING_GAP, 0.0)
        braking = np.sqrt(speed**2 + 2 * _COMFORTABLE_BRAKING * room)
        following = np.minimum(braking, speed + room / _TIME_GAP)
        return np.where(leaders >= 0, np.minimum(limit, following), limit)

    distances, speeds = np.empty(desired.shape), np.empty(desired.shape)
    distance = starts
    speed = np.minimum(allowed(distance, 0.0), desired[0])
    for knot, wanted in enumerate(desired):
        target = np.minimum(allowed(distance, speed[ahead]), wanted)
        change = (target - speed) / KNOT_INTERVAL
        new_speed = speed + KNOT_INTERVAL * np.clip(change, -_BRAKING, _ACCELERATION)
        distances[knot], speeds[knot] = distance, speed
        distance = distance + 0.5 * KNOT_INTERVAL * (speed + new_speed)
        speed = new_speed
    return distances, speeds


def along(paths: Sequence[Path], distances: Array, speeds: Array) -> Motion:
    """Turn distances (k, v) and speeds (k, v) along paths into a motion."""
    positions, yaws, rates = [], [], []
    for path, distance, speed in zip(paths, distances.T, speeds.T, strict=True):
        point, yaw = path.at(distance)
        _, ahead = path.at(distance + STEP)
        _, behind = path.at(distance - STEP)
        positions.append(point)
        yaws.append(yaw)
        rates.append((ahead - behind) / (2 * STEP) * speed)
    yaw = np.stack(yaws, axis=1)
    heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    return Motion(
        np.stack(positions, axis=1), speeds[..., None] * heading, yaw, np.stack(rates, axis=1)
    )
