"""How things move: drivers that follow paths and each other, and motion known at every instant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Array
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
        ticks = (np.asarray(seconds, dtype=np.float64) + MARGIN) / KNOT_INTERVAL
        last = len(self.yaws) - 2
        knots = np.clip(np.floor(ticks), 0, last).astype(np.int64)
        fraction = (ticks - knots)[:, None]
        weights = _hermite(fraction)
        positions = _blend(self.positions, self.velocities, knots, weights[..., None, :])
        slopes = _hermite_slopes(fraction)
        velocities = _blend(self.positions, self.velocities, knots, slopes[..., None, :])
        yaws = _blend(self.yaws, self.yaw_rates, knots, weights)
        return Instant(positions, velocities / KNOT_INTERVAL, yaws)

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


def _hermite(fraction: Array) -> Array:
    """Return (..., 4) weights of value, rate, next value, next rate."""
    t = fraction
    return np.stack(
        [
            1 - t**2 * (3 - 2 * t),
            KNOT_INTERVAL * t * (1 - t) ** 2,
            t**2 * (3 - 2 * t),
            KNOT_INTERVAL * t**2 * (t - 1),
        ],
        axis=-1,
    )


def _hermite_slopes(fraction: Array) -> Array:
    """Return the derivatives of `_hermite` by the fraction."""
    t = fraction
    return np.stack(
        [
            6 * t * (t - 1),
            KNOT_INTERVAL * (1 - t) * (1 - 3 * t),
            6 * t * (1 - t),
            KNOT_INTERVAL * t * (3 * t - 2),
        ],
        axis=-1,
    )


def _blend(values: Array, rates: Array, knots: NDArray[np.int64], weights: Array) -> Array:
    parts = (values[knots], rates[knots], values[knots + 1], rates[knots + 1])
    blended: Array = sum(part * weights[..., index] for index, part in enumerate(parts))
    return blended


def knot_count(duration: float) -> int:
    """Return how many knots cover a scene of a duration in seconds."""
    return int(np.ceil((duration + 2 * MARGIN) / KNOT_INTERVAL)) + 2


def resting(positions: Array, yaws: Array, knots: int) -> Motion:
    """Return the motion of n things that stay where they are."""
    count = len(yaws)
    return Motion(
        np.broadcast_to(positions, (knots, count, 2)),
        np.zeros((knots, count, 2)),
        np.broadcast_to(yaws, (knots, count)),
        np.zeros((knots, count)),
    )


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


class Drivers(NamedTuple):
    """Things that follow paths, v of them.

    Attributes:
        paths: one per driver.
        starts: (v,) distance along the path at the first knot, metres.
        desired: (k, v) speed wanted at every knot, m/s.
        stops: (v,) distance along the path not to be passed, metres; infinite for none.
        leaders: (v,) driver ahead on the same path, -1 for none.
        lengths: (v,) of the vehicles, metres.
    """

    paths: Sequence[Path]
    starts: Array
    desired: Array
    stops: Array
    leaders: NDArray[np.int64]
    lengths: Array


def drive(drivers: Drivers) -> tuple[Array, Array]:
    """Let drivers follow their paths with bounded acceleration, braking for bends and leaders.

    Returns:
        Distances along the paths and speeds at the knots, (k, v) each.
    """
    limits = _padded([path.speed_limits for path in drivers.paths])
    distances = np.empty(drivers.desired.shape)
    speeds = np.empty(drivers.desired.shape)
    row = np.arange(len(drivers.starts))
    distance = drivers.starts.copy()
    speed = np.minimum(_allowed(drivers, limits, row, distance, None), drivers.desired[0])
    for knot, desired in enumerate(drivers.desired):
        target = np.minimum(_allowed(drivers, limits, row, distance, speed), desired)
        change = (target - speed) / KNOT_INTERVAL
        new_speed = speed + KNOT_INTERVAL * np.clip(change, -_BRAKING, _ACCELERATION)
        distances[knot], speeds[knot] = distance, speed
        distance = distance + 0.5 * KNOT_INTERVAL * (speed + new_speed)
        speed = new_speed
    return distances, speeds


def _padded(rows: Sequence[Array]) -> Array:
    width = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])


def _allowed(
    drivers: Drivers, limits: Array, row: NDArray[np.int64], distance: Array, speed: Array | None
) -> Array:
    """Return the speed that bends, stop lines and the vehicle ahead allow."""
    sample = np.clip((distance / STEP).astype(np.int64), 0, limits.shape[1] - 1)
    allowed = limits[row, sample]
    room = np.maximum(drivers.stops - distance, 0.0)
    passed = distance > drivers.stops + 1.0
    allowed = np.where(passed, allowed, np.minimum(allowed, _stopping_speed(room)))
    led = drivers.leaders >= 0
    ahead = np.where(led, drivers.leaders, 0)
    gap = distance[ahead] - distance - 0.5 * (drivers.lengths[ahead] + drivers.lengths)
    lead_speed = 0.0 if speed is None else speed[ahead]
    room = np.maximum(gap - _STANDING_GAP, 0.0)
    braking = np.sqrt(lead_speed**2 + 2 * _COMFORTABLE_BRAKING * room)
    following = np.minimum(braking, lead_speed + room / _TIME_GAP)
    return np.where(led, np.minimum(allowed, following), allowed)


def _stopping_speed(room: Array) -> Array:
    speed: Array = np.sqrt(2 * _COMFORTABLE_BRAKING * room)
    return speed


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
