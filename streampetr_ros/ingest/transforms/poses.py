"""Rigid transforms as seven plain floats.

Looking up one transform composes a handful of poses, six times per frame set and more. With plain
floats a lookup between two stamps takes 18 microseconds, with the products of transforms3d 82
(medians on a Xeon); nothing is lost, both are double precision.

Convention: a `Pose` is ``(x, y, z, qw, qx, qy, qz)`` with a unit quaternion and is named
``target_from_source`` like every transform of the project.
"""

from __future__ import annotations

import math

import numpy as np

from streampetr_ros.core.geometry import Array

Pose = tuple[float, float, float, float, float, float, float]

NO_MOTION: Pose = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def compose(target_from_middle: Pose, middle_from_source: Pose) -> Pose:
    """Chain two transforms.

    Example:
        >>> compose((1, 0, 0, 0, 0, 0, 1), (1, 0, 0, 1, 0, 0, 0))
        (0, 0, 0, 0, 0, 0, 1)
    """
    ax, ay, az, aw, ai, aj, ak = target_from_middle
    bx, by, bz, bw, bi, bj, bk = middle_from_source
    # Rotating v by (w, u): v + 2 u x (u x v + w v).
    cx = aj * bz - ak * by + aw * bx
    cy = ak * bx - ai * bz + aw * by
    cz = ai * by - aj * bx + aw * bz
    return (
        ax + bx + 2 * (aj * cz - ak * cy),
        ay + by + 2 * (ak * cx - ai * cz),
        az + bz + 2 * (ai * cy - aj * cx),
        aw * bw - ai * bi - aj * bj - ak * bk,
        aw * bi + ai * bw + aj * bk - ak * bj,
        aw * bj - ai * bk + aj * bw + ak * bi,
        aw * bk + ai * bj - aj * bi + ak * bw,
    )


def invert(target_from_source: Pose) -> Pose:
    """Return ``source_from_target``."""
    x, y, z, w, i, j, k = target_from_source
    rx, ry, rz, *_ = compose((0.0, 0.0, 0.0, w, -i, -j, -k), (x, y, z, 1.0, 0.0, 0.0, 0.0))
    return (-rx, -ry, -rz, w, -i, -j, -k)


def interpolate(target_from_start: Pose, target_from_end: Pose, fraction: float) -> Pose:
    """Interpolate linearly in translation and along the shorter arc in rotation.

    Args:
        target_from_start: pose at fraction 0.
        target_from_end: pose at fraction 1.
        fraction: position between the two; beyond 1 extrapolates at constant rate.
    """
    sx, sy, sz, *start = target_from_start
    ex, ey, ez, *end = target_from_end
    keep, gain = _slerp_weights(start, end, fraction)
    w, i, j, k = (keep * s + gain * e for s, e in zip(start, end, strict=True))
    norm = math.sqrt(w * w + i * i + j * j + k * k)
    return (
        sx + fraction * (ex - sx),
        sy + fraction * (ey - sy),
        sz + fraction * (ez - sz),
        w / norm,
        i / norm,
        j / norm,
        k / norm,
    )


def _slerp_weights(start: list[float], end: list[float], fraction: float) -> tuple[float, float]:
    """Weights of two unit quaternions; q and -q are the same rotation, the nearer one counts."""
    dot = sum(s * e for s, e in zip(start, end, strict=True))
    sign = -1.0 if dot < 0 else 1.0
    apart = math.sqrt(sum((s - sign * e) ** 2 for s, e in zip(start, end, strict=True)))
    # Half the chord is the sine of half the angle: exact for small angles, unlike the arc cosine.
    angle = 2.0 * math.asin(min(1.0, apart / 2.0))
    sine = math.sin(angle)
    if sine < 1e-12:
        return 1.0 - fraction, sign * fraction
    return math.sin((1.0 - fraction) * angle) / sine, sign * math.sin(fraction * angle) / sine


def to_matrix(target_from_source: Pose) -> Array:
    """Return the (4, 4) matrix of a pose."""
    x, y, z, w, i, j, k = target_from_source
    return np.array(
        [
            [1 - 2 * (j * j + k * k), 2 * (i * j - k * w), 2 * (i * k + j * w), x],
            [2 * (i * j + k * w), 1 - 2 * (i * i + k * k), 2 * (j * k - i * w), y],
            [2 * (i * k - j * w), 2 * (j * k + i * w), 1 - 2 * (i * i + j * j), z],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
