"""Network images against Pillow, pixel by pixel, and against plain arithmetic."""

import numpy as np
import pytest
from PIL import Image

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import ImageConfig, detector_config
from streampetr_ros.preprocess.image import (
    plan_resize_crop,
    prepare_image,
    region_mask,
    resize_and_crop,
)

R50 = detector_config("stream_petr_r50_428q").image
V2_99 = detector_config("stream_petr_v2_99_900q").image
TINY = detector_config("tiny").image


def noise_image(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_hand(pixels: np.ndarray, config: ImageConfig) -> np.ndarray:
    plan = plan_resize_crop(pixels.shape[1], pixels.shape[0], config)
    whole = Image.fromarray(pixels).resize(
        (plan.resized_width, plan.resized_height), Image.Resampling.BICUBIC
    )
    box = (plan.left, plan.top, plan.left + plan.width, plan.top + plan.height)
    return np.asarray(whole.crop(box))


@pytest.mark.parametrize(
    ("config", "resized", "left", "top"),
    [(R50, (704, 396), 0, 140), (V2_99, (800, 450), 0, 130)],
)
def test_published_sizes(config, resized, left, top):
    plan = plan_resize_crop(1600, 900, config)
    assert (plan.resized_width, plan.resized_height) == resized
    assert (plan.left, plan.top) == (left, top)


@pytest.mark.parametrize("config", [R50, V2_99, TINY], ids=["r50", "v2_99", "tiny"])
@pytest.mark.parametrize(
    "size", [(1600, 900), (1936, 1216), (1440, 1080), (640, 200), (353, 129), (2880, 1860)]
)
def test_resize_equals_pillow_to_the_pixel(config, size):
    pixels = noise_image(*size)
    plan = plan_resize_crop(*size, config)
    np.testing.assert_array_equal(resize_and_crop(pixels, plan), by_hand(pixels, config))


def test_an_image_that_fits_is_not_touched():
    pixels = noise_image(TINY.width, TINY.height)
    plan = plan_resize_crop(TINY.width, TINY.height, TINY)
    assert np.shares_memory(resize_and_crop(pixels, plan), pixels)
    np.testing.assert_array_equal(plan.network_from_image, np.eye(3))


@pytest.mark.parametrize("width", range(300, 2000, 37))
def test_every_size_covers_the_network_image(width):
    for height in (200, 517, 900, 1216):
        plan = plan_resize_crop(width, height, R50)
        assert plan.resized_width >= plan.left + R50.width
        assert plan.resized_height == plan.top + R50.height
        assert plan.left >= 0
        assert plan.top >= 0


def test_normalisation_and_channel_order():
    pixels = noise_image(R50.width, R50.height)
    rgb, bgr = np.empty((3, 256, 704), np.float32), np.empty((3, 256, 704), np.float32)
    prepare_image(pixels, R50, rgb)
    prepare_image(
        pixels,
        ImageConfig(height=256, width=704, channel_order="bgr", mean=(1, 2, 3), std=(4, 5, 6)),
        bgr,
    )
    expected = (pixels - np.array(R50.mean)) / np.array(R50.std)
    np.testing.assert_allclose(rgb, expected.transpose(2, 0, 1), atol=1e-5)
    np.testing.assert_allclose(bgr[0], (pixels[..., 2] - 1.0) / 4.0, atol=1e-5)
    np.testing.assert_allclose(bgr[2], (pixels[..., 0] - 3.0) / 6.0, atol=1e-5)


def test_pixel_transform_follows_the_content():
    pixels = np.zeros((900, 1600, 3), np.uint8)
    pixels[700:725, 1000:1025] = 255
    out = np.empty((3, 256, 704), np.float32)
    prepare_image(pixels, R50, out)
    rows, columns = np.nonzero(out[0] > 0)
    seen = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    expected = plan_resize_crop(1600, 900, R50).network_from_image @ [1012.5, 712.5, 1.0]
    np.testing.assert_allclose(seen, expected[:2], atol=0.3)


def test_masked_regions_become_the_mean_color():
    pixels = noise_image(1600, 900)
    out = np.empty((3, 256, 704), np.float32)
    bonnet = ((0.0, 0.9), (1.0, 0.9), (1.0, 1.0), (0.0, 1.0))
    prepare_image(pixels, R50, out, (bonnet,))
    first = round(0.9 * 396 - 140)
    assert (out[:, first + 1 :] == 0).all()
    assert np.abs(out[:, : first - 1]).mean() > 0.1
    mask = region_mask((bonnet,), plan_resize_crop(1600, 900, R50))
    assert not mask.flags.writeable


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(pixels):
    with pytest.raises(UserError, match="expected an image"):
        prepare_image(pixels, TINY, np.empty((3, 128, 352), np.float32))
