"""Pictures of distorting lenses become those of pinhole cameras, by tables made once per lens."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from streampetr_ros.core.types import CameraCalibration, CameraFrame
from streampetr_ros.preprocess.undistort import Rectifier

WIDTH, HEIGHT = 1600, 900
PLUMB_BOB = (-0.3, 0.1, 0.001, -0.0005, -0.02)
EQUIDISTANT = (0.05, -0.01, 0.003, -0.0006)


def lens(model: str, coefficients: tuple[float, ...]) -> CameraCalibration:
    return CameraCalibration(
        name="front",
        width=WIDTH,
        height=HEIGHT,
        intrinsic=np.array([[1000.0, 0.0, 810.0], [0.0, 1010.0, 440.0], [0.0, 0.0, 1.0]]),
        base_from_camera=np.diag([2.0, 3.0, 4.0, 1.0]),
        distortion_model=model,
        distortion=np.array(coefficients),
    )


def taken_by(calibration: CameraCalibration, pixels: np.ndarray | None = None) -> CameraFrame:
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return CameraFrame(
        calibration=calibration,
        stamp_ns=1,
        pixels=blank if pixels is None else pixels,
        fixed_from_base=np.eye(4),
    )


def seen_raw(calibration: CameraCalibration, rays: np.ndarray) -> np.ndarray:
    """Pixels of rays in the distorted picture, by OpenCV's forward model."""
    zero, k, d = np.zeros(3), calibration.intrinsic, calibration.distortion
    if calibration.distortion_model == "equidistant":
        return cv2.fisheye.projectPoints(rays[:, None], zero, zero, k, d)[0][:, 0]
    return cv2.projectPoints(rays, zero, zero, k, d)[0][:, 0]


@pytest.mark.parametrize(
    ("model", "coefficients"), [("plumb_bob", PLUMB_BOB), ("equidistant", EQUIDISTANT)]
)
def test_points_land_where_the_pinhole_says(model: str, coefficients: tuple[float, ...]) -> None:
    """Dots drawn through the lens model are found at their pinhole places afterwards."""
    source, rectify = lens(model, coefficients), Rectifier()
    rays = np.array([[x, y, 1.0] for x in (-0.5, -0.1, 0.4) for y in (-0.25, 0.1, 0.3)])
    for ray, raw_pixel in zip(rays, seen_raw(source, rays), strict=True):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        center = tuple(round(16 * v) for v in raw_pixel)
        cv2.circle(picture, center, 6 * 16, (255, 255, 255), -1, cv2.LINE_AA, shift=4)
        straight = rectify(taken_by(source, picture))
        found = straight.pixels[..., 0].astype(float)
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        seen = np.array([(found * columns).sum(), (found * rows).sum()]) / found.sum()
        expected = (straight.calibration.intrinsic @ ray)[:2]
        assert np.abs(seen - expected).max() < 0.35


def test_result_is_a_pinhole_camera_of_the_same_matrix() -> None:
    raw = lens("plumb_bob", PLUMB_BOB)
    found = Rectifier()(taken_by(raw)).calibration
    assert found.distortion_model == "none"
    assert found.distortion.size == 0
    assert np.array_equal(found.intrinsic, raw.intrinsic)


def test_tables_are_made_once_per_lens() -> None:
    rectifier, raw = Rectifier(), lens("plumb_bob", PLUMB_BOB)
    known = rectifier.tables(raw)
    assert known is not None
    moved = replace(raw, base_from_camera=np.eye(4))
    assert np.array_equal(rectifier(taken_by(moved)).calibration.base_from_camera, np.eye(4))
    assert rectifier.tables(moved) is known
    assert rectifier.tables(lens("plumb_bob", PLUMB_BOB[::-1])) is not known


def test_pinhole_cameras_are_left_alone() -> None:
    frame = taken_by(lens("none", ()))
    assert Rectifier()(frame) is frame
