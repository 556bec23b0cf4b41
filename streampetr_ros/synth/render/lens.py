"""Lens models of sensor_msgs/CameraInfo in both directions.

Convention: pixel ``(i, j)`` covers ``[i, i + 1) x [j, j + 1)`` of the continuous image plane, so
its ray leaves through ``(i + 0.5, j + 0.5)``; scaling an image by s scales the camera matrix by s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Array, CameraCalibration

_INVERSION_STEPS = 30


def pixel_rays(calibration: CameraCalibration) -> NDArray[np.float32]:
    """Return where every pixel looks.

    Returns:
        (height, width, 2) float32 ray slopes x / z and y / z in the optical frame.
    """
    u = np.arange(calibration.width) + 0.5
    v = np.arange(calibration.height) + 0.5
    pixels = np.stack(np.meshgrid(u, v), axis=-1)
    k = calibration.intrinsic
    distorted = (pixels - k[:2, 2]) / (k[0, 0], k[1, 1])
    return _undistort(calibration, distorted).astype(np.float32)


def project(calibration: CameraCalibration, points_camera: Array) -> tuple[Array, Array]:
    """Project points of the optical frame through the lens.

    Args:
        calibration: of the camera.
        points_camera: (..., 3), metres.

    Returns:
        Pixels (..., 2) and depths (...,) in metres; pixels at depth <= 0 are NaN.
    """
    depth = points_camera[..., 2]
    slopes = points_camera[..., :2] / np.where(depth > 0, depth, np.nan)[..., None]
    k = calibration.intrinsic
    return distort(calibration, slopes) * (k[0, 0], k[1, 1]) + k[:2, 2], depth


def distort(calibration: CameraCalibration, slopes: Array) -> Array:
    """Bend ideal ray slopes (..., 2) as the lens does."""
    if calibration.distortion_model == "none" or not calibration.distortion.any():
        return slopes
    if calibration.distortion_model == "equidistant":
        return _distort_equidistant(calibration.distortion, slopes)
    return _distort_radial(calibration.distortion, slopes)


def _distort_equidistant(coefficients: Array, slopes: Array) -> Array:
    radius = np.linalg.norm(slopes, axis=-1, keepdims=True)
    angle = np.arctan(radius)
    square = angle**2
    bent = angle * (1 + sum(c * square ** (i + 1) for i, c in enumerate(coefficients)))
    distorted: Array = slopes * np.where(radius > 1e-9, bent / np.maximum(radius, 1e-9), 1.0)
    return distorted


def _distort_radial(coefficients: Array, slopes: Array) -> Array:
    k1, k2, p1, p2, k3, k4, k5, k6 = np.pad(coefficients, (0, 8 - len(coefficients)))
    x, y = slopes[..., 0], slopes[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def _undistort(calibration: CameraCalibration, distorted: Array) -> Array:
    """Invert `distort` by fixed-point iteration, which converges where the lens is monotonic."""
    slopes = distorted.copy()
    if calibration.distortion_model == "none":
        return slopes
    for _ in range(_INVERSION_STEPS):
        slopes -= distort(calibration, slopes) - distorted
    return slopes
