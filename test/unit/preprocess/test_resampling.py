"""Our resize in integers against Pillow, pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import plan_resize_crop, resize_and_crop
from streampetr_ros.preprocess.resampling import Resampler, axis_taps

CPU = torch.device("cpu")
BICUBIC = Image.Resampling.BICUBIC


def pictures(width: int, height: int, seed: int) -> list[np.ndarray]:
    """Noise, extremes only, a checkerboard and one color: all that rounding and clipping meet."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    extremes = np.where(rng.random((height, width, 3)) < 0.5, 0, 255).astype(np.uint8)
    board = (np.indices((height, width)).sum(0) % 2 * 255).astype(np.uint8)
    flat = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (height, width, 3))
    return [noise, extremes, np.repeat(board[..., None], 3, axis=2), flat]


def by_pillow(pixels: np.ndarray, resized, box) -> np.ndarray:
    whole = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(whole.resize(resized, BICUBIC).crop(box))


def compare(source, resized, box, seed: int = 0) -> None:
    """Resize to (width, height) and cut the box (left, top, right, bottom)."""
    left, top, right, bottom = box
    resample = Resampler(
        axis_taps(source[0], resized[0], left, right - left),
        axis_taps(source[1], resized[1], top, bottom - top),
        CPU,
    )
    first, end = resample.rows_read
    images = pictures(*source, seed)
    found = resample(torch.from_numpy(np.stack(images)[:, first:end]))
    for picture, one in zip(images, found, strict=True):
        np.testing.assert_array_equal(one.numpy(), by_pillow(picture, resized, box))


@pytest.mark.parametrize(
    ("source", "resized", "box"),
    [
        ((1600, 900), (704, 396), (0, 140, 704, 396)),
        ((1600, 900), (352, 198), (0, 70, 352, 198)),
        ((1600, 900), (800, 450), (0, 130, 800, 450)),
        ((1920, 1208), (704, 442), (0, 186, 704, 442)),
        ((400, 300), (400, 300), (10, 44, 390, 300)),
        ((400, 300), (400, 150), (0, 0, 400, 150)),
        ((1, 1), (5, 3), (0, 0, 5, 3)),
        ((2, 900), (1, 1), (0, 0, 1, 1)),
    ],
    ids=lambda value: "x".join(map(str, value)),
)
def test_equals_pillow(source, resized, box):
    compare(source, resized, box)


def test_equals_pillow_at_any_size_and_crop():
    """Along each axis alone, and along both where the picture keeps its proportions."""
    rng = np.random.default_rng(7)
    for seed in range(40):
        width, height, other = rng.integers(1, 150, 3).tolist()
        compare((width, height), (width, other), random_box(rng, (width, other)), seed)
        compare((width, height), (other, height), random_box(rng, (other, height)), seed)


def test_equals_pillow_at_any_camera_size():
    rng = np.random.default_rng(8)
    for seed in range(40):
        width = int(rng.integers(20, 300))
        source = (width, int(rng.integers(1, 2 * width)))
        network_width, network_height = (32 * rng.integers(1, 5, 2)).tolist()
        plan = plan_resize_crop(*source, ImageConfig(height=network_height, width=network_width))
        box = (plan.left, plan.top, plan.left + plan.width, plan.top + plan.height)
        compare(source, (plan.resized_width, plan.resized_height), box, seed)


@pytest.mark.parametrize("source", [(120, 400), (33, 174), (60, 121), (8, 300)])
def test_pictures_much_higher_than_wide_change_width_first(source):
    """Whatever the version of Pillow; newer ones would begin with the height."""
    plan = plan_resize_crop(*source, ImageConfig(height=96, width=32))
    for pixels in pictures(*source, seed=3):
        wide = Image.fromarray(pixels).resize((plan.resized_width, source[1]), BICUBIC)
        whole = wide.resize((plan.resized_width, plan.resized_height), BICUBIC)
        box = (plan.left, plan.top, plan.left + plan.width, plan.top + plan.height)
        found = resize_and_crop(np.ascontiguousarray(pixels), plan)
        np.testing.assert_array_equal(found, np.asarray(whole.crop(box)))


def random_box(rng, resized) -> tuple[int, int, int, int]:
    left, top = (int(rng.integers(0, size)) for size in resized)
    return (
        left,
        top,
        *(int(rng.integers(a + 1, b + 1)) for a, b in zip((left, top), resized, strict=True)),
    )


def test_rows_that_the_crop_removes_are_not_asked_for():
    rows = axis_taps(900, 396, 140, 256)
    assert rows.window[0] == pytest.approx(140 * 900 / 396, abs=6)
    assert rows.window[1] == 900


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (0, 0), (3, 3)])
def test_pixels_outside_are_refused(first, count):
    with pytest.raises(ValueError, match="10 resized to 5"):
        axis_taps(10, 5, first, count)
