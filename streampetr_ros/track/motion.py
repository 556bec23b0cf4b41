"""How boxes move and how detections correct them: a Kalman filter over all tracks at once.

State, axes of the fixed frame: x, y, z, yaw, velocity x, velocity y, turn rate. The velocity vector
turns with the turn rate, which fades; the acceleration is white noise. With turn rate zero this is
the constant-velocity model. A detection measures the first six.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Columns

#: Settings of `KindConfig` for n objects, (n,) each.
Settings = np.recarray[Any, Any]

#: Length of the state and of a measurement.
STATE = 7
MEASURED = 6

_YAW, _TURN = 3, 6
_PLANAR = np.array([0, 1, 4, 5])
_HEIGHT_DRIFT = 0.3
_HEIGHT_NOISE = 0.2
# A turn of less than this between two frames takes the series of the exact expressions.
_SMALL_TURN = 1e-4
_NO_INFORMATION = 1e4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief(Columns):
    """Normal distributions over states.

    Attributes:
        means: (n, 7) states.
        covariances: (n, 7, 7).
    """

    means: Array
    covariances: Array


def predict(belief: Belief, kinds: Settings, elapsed: float, turn_memory: float) -> Belief:
    """Move the beliefs on.

    Args:
        belief: of n objects.
        kinds: settings of each object.
        elapsed: seconds.
        turn_memory: seconds after which a turn rate is forgotten.
    """
    moved, jacobians = _turned(belief.means, elapsed, turn_memory)
    spread = jacobians @ belief.covariances @ jacobians.transpose(0, 2, 1)
    return Belief(means=moved, covariances=spread + _process_noise(kinds, elapsed, turn_memory))


def _turned(means: Array, elapsed: float, turn_memory: float) -> tuple[Array, Array]:
    """Return the states after some seconds and the (n, 7, 7) derivatives by the states before."""
    keep = np.exp(-elapsed / turn_memory)
    reach = turn_memory * (1.0 - keep)
    turn = means[:, _TURN] * reach
    along, across, d_along, d_across = _arc(turn)
    vx, vy = means[:, 4], means[:, 5]
    c, s = np.cos(turn), np.sin(turn)
    moved = means.copy()
    moved[:, 0] += elapsed * (along * vx - across * vy)
    moved[:, 1] += elapsed * (across * vx + along * vy)
    moved[:, _YAW] = geometry.wrap_angle(means[:, _YAW] + turn)
    moved[:, 4], moved[:, 5] = c * vx - s * vy, s * vx + c * vy
    moved[:, _TURN] *= keep
    jacobians = np.tile(np.eye(STATE), (len(means), 1, 1))
    jacobians[:, 0, 4], jacobians[:, 0, 5] = elapsed * along, -elapsed * across
    jacobians[:, 1, 4], jacobians[:, 1, 5] = elapsed * across, elapsed * along
    jacobians[:, 0, _TURN] = reach * elapsed * (d_along * vx - d_across * vy)
    jacobians[:, 1, _TURN] = reach * elapsed * (d_across * vx + d_along * vy)
    jacobians[:, _YAW, _TURN] = reach
    jacobians[:, 4, 4], jacobians[:, 4, 5] = c, -s
    jacobians[:, 5, 4], jacobians[:, 5, 5] = s, c
    jacobians[:, 4, _TURN] = -reach * moved[:, 5]
    jacobians[:, 5, _TURN] = reach * moved[:, 4]
    jacobians[:, _TURN, _TURN] = keep
    return moved, jacobians


def _arc(turn: Array) -> tuple[Array, Array, Array, Array]:
    """Return sin(t)/t, (1 - cos(t))/t and their derivatives, exact at t = 0."""
    small = np.abs(turn) < _SMALL_TURN
    t = np.where(small, 1.0, turn)
    c, s = np.cos(t), np.sin(t)
    along = np.where(small, 1.0, s / t)
    across = np.where(small, 0.5 * turn, (1.0 - c) / t)
    d_along = np.where(small, -turn / 3.0, (c - s / t) / t)
    d_across = np.where(small, 0.5, (s - (1.0 - c) / t) / t)
    return along, across, d_along, d_across


def _process_noise(kinds: Settings, elapsed: float, turn_memory: float) -> Array:
    """Return (n, 7, 7): white acceleration, drifting heading and height, fading turn rate."""
    density = kinds.acceleration**2
    covariances = np.zeros((len(density), STATE, STATE))
    for position, velocity in ((0, 4), (1, 5)):
        covariances[:, position, position] = density * elapsed**3 / 3.0
        covariances[:, position, velocity] = density * elapsed**2 / 2.0
        covariances[:, velocity, position] = density * elapsed**2 / 2.0
        covariances[:, velocity, velocity] = density * elapsed
    covariances[:, 2, 2] = _HEIGHT_DRIFT**2 * elapsed
    covariances[:, _YAW, _YAW] = kinds.yaw_drift**2 * elapsed
    forgotten = 1.0 - np.exp(-2.0 * elapsed / turn_memory)
    covariances[:, _TURN, _TURN] = kinds.turn_rate**2 * forgotten
    return covariances


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement(Columns):
    """Detections as measurements of the first six state values.

    Attributes:
        values: (n, 6) x, y, z, yaw, velocity x and y in the fixed frame.
        covariances: (n, 6, 6) of their errors.
        has_velocity: (n,) bool; where False the velocity is zero with the usual spread, which is
            right for a start but says nothing about an object already known.
    """

    values: Array
    covariances: Array
    has_velocity: NDArray[np.bool_]


def measure(values: Array, origin_fixed: Array, kinds: Settings) -> Measurement:
    """Attach error covariances to detections; cameras see direction well and distance badly.

    Args:
        values: (n, 6) as in `Measurement`; an unknown velocity is NaN.
        origin_fixed: (3,) vehicle position, from which distances count.
        kinds: settings of each detection.
    """
    sight = values[:, :2] - origin_fixed[:2]
    distance = np.hypot(sight[:, 0], sight[:, 1])
    ray = sight / np.maximum(distance, 1e-6)[:, None]
    normal = np.stack([-ray[:, 1], ray[:, 0]], axis=1)
    depth = (kinds.position_noise**2 + (kinds.depth_noise * distance) ** 2)[:, None, None]
    lateral = (kinds.position_noise**2 + (kinds.lateral_noise * distance) ** 2)[:, None, None]
    known = np.isfinite(values[:, 4:]).all(axis=1)
    covariances = np.zeros((len(values), MEASURED, MEASURED))
    covariances[:, :2, :2] = depth * ray[:, :, None] * ray[:, None, :]
    covariances[:, :2, :2] += lateral * normal[:, :, None] * normal[:, None, :]
    covariances[:, 2, 2] = _HEIGHT_NOISE**2 + (kinds.lateral_noise * distance) ** 2
    covariances[:, _YAW, _YAW] = kinds.yaw_noise**2
    speed_variance = np.where(known, kinds.velocity_noise, kinds.usual_speed) ** 2
    covariances[:, 4, 4] = covariances[:, 5, 5] = speed_variance
    filled = values.copy()
    filled[~known, 4:] = 0.0
    return Measurement(values=filled, covariances=covariances, has_velocity=known)


def start(measurement: Measurement, turn_rate: Array) -> Belief:
    """Begin beliefs with single detections.

    Args:
        measurement: of n detections.
        turn_rate: (n,) usual turn rates, rad/s.
    """
    count = len(measurement.values)
    means = np.concatenate([measurement.values, np.zeros((count, 1))], axis=1)
    covariances = np.zeros((count, STATE, STATE))
    covariances[:, :MEASURED, :MEASURED] = measurement.covariances
    covariances[:, _TURN, _TURN] = turn_rate**2
    return Belief(means=means, covariances=covariances)


def correct(belief: Belief, measurement: Measurement, soften: float) -> tuple[Belief, Array]:
    """Correct each belief by one measurement.

    A heading counts up to half a turn, because detectors reverse it; a heading at right angles to
    the expected one says nothing.

    Args:
        belief: of n objects.
        measurement: of the same objects.
        soften: factor on the error covariances.

    Returns:
        Corrected beliefs, and (n,) cosine of the angle between measured and expected heading.
    """
    residuals = measurement.values - belief.means[:, :MEASURED]
    cosines = np.cos(residuals[:, _YAW])
    residuals[:, _YAW] = geometry.wrap_angle(2.0 * residuals[:, _YAW]) / 2.0
    noise = measurement.covariances * soften
    noise[:, _YAW, _YAW] /= np.maximum(cosines**2, 1e-3)
    noise[~measurement.has_velocity, 4:, 4:] += _NO_INFORMATION * np.eye(2)
    return _kalman(belief, residuals, noise), cosines


def _kalman(belief: Belief, residuals: Array, noise: Array) -> Belief:
    innovations = belief.covariances[:, :MEASURED, :MEASURED] + noise
    gains = np.linalg.solve(innovations, belief.covariances[:, :MEASURED, :])
    gains = gains.transpose(0, 2, 1)
    means = belief.means + np.einsum("nij,nj->ni", gains, residuals)
    means[:, _YAW] = geometry.wrap_angle(means[:, _YAW])
    # Joseph's form stays symmetric and positive over thousands of steps.
    keep = np.tile(np.eye(STATE), (len(means), 1, 1))
    keep[:, :, :MEASURED] -= gains
    covariances = keep @ belief.covariances @ keep.transpose(0, 2, 1)
    covariances += gains @ noise @ gains.transpose(0, 2, 1)
    return Belief(means=means, covariances=covariances)


def planar(values: Array, covariances: Array) -> tuple[Array, Array]:
    """Return (n, 4) and (n, 4, 4) of position and velocity, of states or measurements."""
    return values[:, _PLANAR], covariances[:, _PLANAR[:, None], _PLANAR]
