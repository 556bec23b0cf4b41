"""Pictures decoded at a fraction of their size: what they show, and where."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streampetr_ros.core.geometry import project
from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import (
    REDUCTIONS,
    ImageError,
    reduced_calibration,
    shrink,
)
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import plan_resize_crop, resize_and_crop

HEIGHT, WIDTH = 144, 256
CAMERA = CameraCalibration(
    name="front",
    width=WIDTH,
    height=HEIGHT,
    intrinsic=np.array([[200.0, 0.0, 130.0], [0.0, 201.0, 70.0], [0.0, 0.0, 1.0]]),
    base_from_camera=np.eye(4),
    distortion_model="plumb_bob",
    distortion=np.array([-0.2, 0.05, 0.0, 0.0]),
)


def street() -> np.ndarray:
    """Smooth shapes with a little texture, as a lens delivers them."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def packed(pixels: np.ndarray, kind: str) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 98] if kind == ".jpg" else []
    return cv2.imencode(kind, np.ascontiguousarray(pixels[..., ::-1]), quality)[1].tobytes()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_reduced_pictures_are_averages_of_blocks(kind, reduction):
    pixels = street()
    found = decode_compressed(packed(pixels, kind), "", reduction)
    blocks = pixels.reshape(HEIGHT // reduction, reduction, WIDTH // reduction, reduction, 3)
    assert found.shape == (HEIGHT // reduction, WIDTH // reduction, 3)
    assert found.flags.c_contiguous
    assert np.abs(found - blocks.mean(axis=(1, 3))).mean() < 1.5


def test_a_mosaic_is_reduced_in_color():
    mosaic = np.full((16, 32), 90, np.uint8)
    data = cv2.imencode(".png", mosaic)[1].tobytes()
    found = decode_compressed(data, "bayer_rggb8; png compressed", 2)
    assert found.shape == (8, 16, 3)
    assert (found == 90).all()


def test_the_network_image_stays_where_it_was():
    """Reduced and resized is what resized alone is, a gray value apart: nothing has moved."""
    config = ImageConfig(height=32, width=64)
    pixels = street()
    exact = resize_and_crop(pixels, plan_resize_crop(WIDTH, HEIGHT, config)).astype(int)
    plan = plan_resize_crop(WIDTH // 2, HEIGHT // 2, config)
    near = resize_and_crop(shrink(pixels, 2), plan).astype(int)
    moved = np.roll(exact, 1, axis=1)
    assert np.abs(near - exact).mean() < 1.0
    assert np.abs(near - exact).mean() < 0.1 * np.abs(moved - exact).mean()


@pytest.mark.parametrize("reduction", [2, 4])
def test_points_project_to_the_same_place_of_the_picture(reduction):
    reduced = reduced_calibration(CAMERA, reduction)
    assert (reduced.width, reduced.height) == (WIDTH // reduction, HEIGHT // reduction)
    assert reduced.reduction == reduction
    assert reduced.distortion_model == "plumb_bob"
    points = np.array([[1.0, -0.5, 6.0], [-2.0, 0.3, 9.0]])
    full, depth = project(_homogeneous(CAMERA), points)
    small, same_depth = project(_homogeneous(reduced), points)
    np.testing.assert_allclose(small * reduction, full, atol=1e-9)
    np.testing.assert_allclose(same_depth, depth)


def _homogeneous(camera: CameraCalibration) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = camera.intrinsic
    return matrix


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_size_with_a_remainder_is_refused(kind):
    odd = packed(street()[:142, :250], kind)
    with pytest.raises(ImageError, match="250 x 142 cannot be reduced 4 times"):
        decode_compressed(odd, "", 4)
    assert decode_compressed(odd, "", 2).shape == (71, 125, 3)
