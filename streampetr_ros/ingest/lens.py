"""What a lens model does to a picture, before anybody relies on it.

A model is a polynomial that was fitted to what the calibration saw. Beyond that it may turn back:
two directions then share a pixel, and an undistorted picture shows the same things twice.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration

#: Radii at which a model is looked at, and points of the picture across and down.
_RADII, _COLUMNS, _ROWS = 1024, 48, 27


def turning_radius(camera: CameraCalibration, intrinsic: Array) -> float:
    """Return the distance from the optical axis, at depth 1, from which on the lens model folds.

    Args:
        camera: of the raw pictures.
        intrinsic: (3, 3) of the undistorted ones, whose farthest corner is where the search ends.

    Returns:
        Infinity if the model does not fold within the picture.
    """
    right, low = camera.width - 1, camera.height - 1
    corners = np.array([(0, 0), (right, 0), (0, low), (right, low)])
    farthest = float(np.hypot(*_at_depth_1(corners, intrinsic).T).max())
    radii = np.linspace(0.0, farthest, _RADII)
    with np.errstate(all="ignore"):
        distorted = _radial(camera.distortion_model, camera.distortion, radii)
        falling = ~(np.diff(distorted) > 0.0)
    return float(radii[np.argmax(falling)]) if falling.any() else float("inf")


def source_share(camera: CameraCalibration) -> float:
    """Return the share of the undistorted picture that the raw picture shows, 0 to 1.

    The undistorted picture has the camera matrix of the raw one. Pixels beyond the fold of the lens
    model do not count.
    """
    points = _at_depth_1(_spread(camera, _COLUMNS, _ROWS), camera.intrinsic)
    with np.errstate(all="ignore"):
        if camera.distortion_model == "equidistant":
            seen = cv2.fisheye.distortPoints(
                points[None], camera.intrinsic, camera.distortion
            ).reshape(-1, 2)
        else:
            ahead = np.column_stack([points, np.ones(len(points))])
            seen = cv2.projectPoints(
                ahead, np.zeros(3), np.zeros(3), camera.intrinsic, camera.distortion
            )[0].reshape(-1, 2)
    inside = np.all((seen >= -0.5) & (seen <= (camera.width - 0.5, camera.height - 0.5)), axis=1)
    is_first = np.hypot(*points.T) < turning_radius(camera, camera.intrinsic)
    return float(np.mean(inside & is_first))


def pixels_beyond_fold(camera: CameraCalibration, intrinsic: Array) -> NDArray[np.bool_] | None:
    """Return which pixels of the undistorted picture lie beyond the fold; None if none does.

    Args:
        camera: of the raw pictures.
        intrinsic: (3, 3) of the undistorted ones.

    Returns:
        (height, width).
    """
    limit = turning_radius(camera, intrinsic)
    if limit == float("inf"):
        return None
    points = _at_depth_1(_spread(camera, camera.width, camera.height), intrinsic)
    beyond: NDArray[np.bool_] = np.hypot(*points.T) >= limit
    return beyond.reshape(camera.height, camera.width)


def _spread(camera: CameraCalibration, columns: int, rows: int) -> Array:
    """Return the middles of the fields of a grid over the picture, (rows * columns, 2) pixels."""
    across = (np.arange(columns) + 0.5) * camera.width / columns - 0.5
    down = (np.arange(rows) + 0.5) * camera.height / rows - 0.5
    pixels: Array = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    return pixels


def _at_depth_1(pixels: Array, intrinsic: Array) -> Array:
    """Return where pixels of the undistorted picture lie at depth 1, (N, 2)."""
    rays: Array = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(intrinsic).T
    return rays[:, :2] / rays[:, 2:]


def _radial(model: str, coefficients: Array, radii: Array) -> Array:
    """Return where a lens model moves radii, in the order of coefficients that OpenCV has."""
    if model == "equidistant":
        angle: Array = np.arctan(radii)
        return angle * (1.0 + _series(coefficients, angle**2))
    padded = np.zeros(8)
    padded[: min(8, coefficients.size)] = coefficients[:8]
    squared: Array = radii**2
    above: Array = 1.0 + _series(padded[[0, 1, 4]], squared)
    return radii * above / (1.0 + _series(padded[5:8], squared))


def _series(coefficients: Array, squared: Array) -> Array:
    """Return the sum of coefficients times rising powers of a squared radius."""
    total = np.zeros_like(squared)
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * squared
    return total
