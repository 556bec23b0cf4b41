"""Lens models that fold the picture are refused or blackened; those of real lenses are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.lens import pixels_beyond_fold, source_share, turning_radius
from streampetr_ros.ingest.rig import CalibrationError, CameraInfo, build_calibration
from streampetr_ros.preprocess.undistort import Rectifier

WIDTH, HEIGHT, FOCAL = 1600, 900, 800.0
K = [FOCAL, 0.0, WIDTH / 2, 0.0, FOCAL, HEIGHT / 2, 0.0, 0.0, 1.0]


def info(model: str, d: list[float], focal: float = FOCAL) -> CameraInfo:
    k = [focal if value == FOCAL and i in (0, 4) else value for i, value in enumerate(K)]
    return CameraInfo(
        width=WIDTH,
        height=HEIGHT,
        distortion_model=model,
        d=d,
        k=k,
        r=[0.0] * 9,
        p=[0.0] * 12,
    )


def camera(model: str, d: list[float], focal: float = FOCAL) -> CameraCalibration:
    return build_calibration("c", info(model, d, focal), np.eye(4), rectified=False)


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", [-25.0, 0.0, 0.0, 0.0, 0.0]),
        ("plumb_bob", [9.0, 0.0, 0.0, 0.0, 0.0]),
        ("plumb_bob", [0.0, 0.0, 8.0, 0.0, 0.0]),
        ("rational_polynomial", [1e9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ("rational_polynomial", [0.0, 0.0, 0.0, 0.0, 0.0, 1e9, 0.0, 0.0]),
        ("rational_polynomial", [1e300, 0.0, 0.0, 0.0, 1e300, -1e300, 0.0, 0.0]),
        ("equidistant", [-30.0, 0.0, 0.0, 0.0]),
    ],
)
def test_models_that_fold_the_picture_are_refused_with_the_number(model, d):
    with pytest.raises(CalibrationError, match=r"camera 'c' .* leave \d+% of the undistorted"):
        camera(model, d)


@pytest.mark.parametrize(
    ("model", "d", "focal"),
    [
        ("plumb_bob", [-0.33, 0.12, 0.0003, -0.0002, -0.02], 1250.0),
        ("plumb_bob", [0.2, 0.05, 0.0, 0.0, 0.0], FOCAL),
        ("rational_polynomial", [0.9, 0.3, 0.0, 0.0, 0.01, 1.25, 0.5, 0.05], FOCAL),
        ("equidistant", [0.02, -0.01, 0.003, -0.0005], 500.0),
        ("equidistant", [0.0, 0.0, 0.0, 0.0], 500.0),
    ],
)
def test_models_of_real_lenses_are_taken(model, d, focal):
    found = camera(model, d, focal)
    assert turning_radius(found, found.intrinsic) == float("inf")
    assert source_share(found) > 0.7


def test_share_is_that_of_the_picture():
    """Against the undistorted picture of a white one."""
    for model, d in (("plumb_bob", [0.3, 0.0, 0.0, 0.0, 0.0]), ("plumb_bob", [-0.3] + [0.0] * 4)):
        found = camera(model, d)
        white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        shown = cv2.remap(white, *Rectifier().tables(found), cv2.INTER_LINEAR)[..., 0] > 127
        assert abs(source_share(found) - shown.mean()) < 0.03


def test_beyond_the_fold_nothing_is_shown_twice():
    """Radius r (1 - 0.3 r^2) turns back at r = 1.054; the corners lie at 1.147."""
    found = camera("plumb_bob", [-0.3, 0.0, 0.0, 0.0, 0.0])
    turn = turning_radius(found, found.intrinsic)
    assert abs(turn - (1 / 0.9) ** 0.5) < 0.002
    beyond = pixels_beyond_fold(found, found.intrinsic)
    assert beyond is not None
    assert beyond[0, 0]
    assert not beyond[HEIGHT // 2].any()
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    shown = cv2.remap(white, *Rectifier().tables(found), cv2.INTER_LINEAR)
    assert not shown[beyond].any()
    assert (shown[~beyond] > 127).mean() > 0.99
