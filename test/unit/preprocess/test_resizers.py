"""The fast resize against the exact one."""

from __future__ import annotations

import numpy as np
import pytest
from rigs import frame_set

from streampetr_ros.model.config import detector_config
from streampetr_ros.pipeline.streaming import PipelineConfig
from streampetr_ros.preprocess.image import (
    exact_network_image,
    normalise_into,
    plan_resize_crop,
    resize_and_crop,
)
from streampetr_ros.preprocess.pixel_path import HostPath
from streampetr_ros.preprocess.resizers import (
    RESIZERS,
    fast_network_image,
    resize_and_crop_fast,
)

R50 = detector_config("stream_petr_r50_428q").image
TINY = detector_config("tiny").image


def noise_image(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("config", [R50, TINY], ids=["r50", "tiny"])
@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((1600, 900), 1),
        ((1936, 1216), 1),
        ((1440, 1080), 1),
        ((2880, 1860), 1),
        ((640, 200), 2),
        ((353, 129), 2),
    ],
)
def test_fast_is_nearly_exact(config, size, levels):
    pixels, plan = noise_image(*size), plan_resize_crop(*size, config)
    pixels.setflags(write=False)
    exact, fast = resize_and_crop(pixels, plan), resize_and_crop_fast(pixels, plan)
    assert fast.dtype == np.uint8
    assert fast.shape == exact.shape
    difference = np.abs(fast.astype(int) - exact)
    assert difference.max() <= levels
    assert np.count_nonzero(difference) < 0.02 * difference.size


def test_an_image_that_fits_is_not_touched():
    pixels = noise_image(TINY.width, TINY.height)
    plan = plan_resize_crop(TINY.width, TINY.height, TINY)
    assert np.shares_memory(resize_and_crop_fast(pixels, plan), pixels)


def test_network_images_are_those_pictures_normalised():
    pixels, plan = noise_image(640, 200), plan_resize_crop(640, 200, TINY)
    found, expected = (np.full((3, TINY.height, TINY.width), np.nan, np.float32) for _ in range(2))
    fast_network_image(pixels, plan, TINY, found)
    normalise_into(resize_and_crop_fast(pixels, plan), TINY, expected)
    np.testing.assert_array_equal(found, expected)


def test_the_pixel_path_keeps_its_choice_for_pictures_ahead():
    asked = []

    def resize(pixels, plan, config, out):
        asked.append(pixels.shape)
        fast_network_image(pixels, plan, config, out)

    frame = frame_set().cameras[0]
    HostPath(resize=resize).with_ahead({}).prepare_ahead(frame, TINY, ())
    assert asked == [frame.pixels.shape]


def test_a_way_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'quick' is not one of exact, fast"):
        PipelineConfig(resize="quick")
    assert RESIZERS[PipelineConfig().resize] is exact_network_image
