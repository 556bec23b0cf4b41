"""The compiled resize gives Pillow's pixels, and Pillow works where it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, current_thread, main_thread

import numpy as np
import pytest

import streampetr_ros
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess import image
from streampetr_ros.preprocess.image import (
    exact_resizer,
    normalise_into,
    plan_resize_crop,
    resize_and_crop,
    resize_with_pillow,
)
from streampetr_ros.preprocess.kernel import Kernel, installed_kernel, kernel_plan
from streampetr_ros.preprocess.resampling import axis_taps


@pytest.fixture
def kernel() -> Kernel:
    found = installed_kernel()
    if found is None:
        pytest.skip("the compiled resize was not built, or this processor has no AVX2")
    return found


def pictures(width: int, height: int) -> list[np.ndarray]:
    """Noise, and extremes only, which meet rounding and clipping."""
    rng = np.random.default_rng(width * height)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [noise, np.where(noise < 128, 0, 255).astype(np.uint8)]


@pytest.mark.parametrize(
    ("source", "network"),
    [
        ((1600, 900), (704, 256)),
        ((1600, 900), (352, 128)),
        ((1600, 900), (800, 320)),
        ((800, 450), (704, 256)),
        ((1281, 777), (320, 96)),
        ((64, 40), (352, 128)),
        ((33, 47), (32, 32)),
        ((3, 2), (64, 32)),
        ((1, 1), (32, 32)),
        ((1600, 2), (32, 32)),
    ],
    ids=lambda value: "x".join(map(str, value)),
)
@pytest.mark.usefixtures("kernel")
def test_gives_the_pixels_of_pillow(source, network) -> None:
    plan = plan_resize_crop(*source, ImageConfig(width=network[0], height=network[1]))
    for pixels in pictures(*source):
        np.testing.assert_array_equal(
            resize_and_crop(pixels, plan), resize_with_pillow(pixels, plan)
        )


@pytest.mark.usefixtures("kernel")
def test_takes_pictures_as_they_lie_in_memory() -> None:
    pixels = pictures(200, 120)[0]
    plan = plan_resize_crop(100, 120, ImageConfig(width=64, height=32))
    for view in (pixels[:, 100:], pixels[:, ::-2], pixels[::-1, :100], pixels[:, :100, ::-1]):
        expected = resize_with_pillow(np.ascontiguousarray(view), plan)
        np.testing.assert_array_equal(resize_and_crop(view, plan), expected)


def test_refuses_what_the_plan_is_not_for(kernel: Kernel) -> None:
    plan = kernel_plan(axis_taps(64, 32, 0, 32), axis_taps(48, 24, 0, 24), 64)
    for shape in ((48, 63, 3), (47, 64, 3), (48, 64), (48, 64, 1), (48, 64, 4)):
        with pytest.raises(ValueError, match="plan for 64 columns"):
            kernel.resize(np.zeros(shape, dtype=np.uint8), plan)
    with pytest.raises(ValueError, match="float32"):
        kernel.resize(np.zeros((48, 64, 3), dtype=np.float32), plan)


@pytest.mark.parametrize("height", [256, 3])
def test_one_that_helps_resizes_what_others_have_not(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    """The resizing thread begins only when the helper has done everything."""
    pixels = pictures(1600, 900)[0]
    plan = plan_resize_crop(1600, 900, ImageConfig(width=704, height=256))
    plan = replace(plan, height=height)
    take_bands, begun, helped = kernel._take_bands, Event(), Event()

    def wait_first(job: object) -> None:
        if current_thread() is not main_thread():
            begun.set()
            assert helped.wait(60)
        take_bands(job)

    monkeypatch.setattr(kernel, "_take_bands", wait_first)
    with ThreadPoolExecutor(1) as pool:
        resized = pool.submit(resize_and_crop, pixels, plan)
        assert begun.wait(60)
        (running,) = kernel._running
        kernel.help()
        done = running.held[1].copy()
        helped.set()
    np.testing.assert_array_equal(done, resize_with_pillow(pixels, plan))
    np.testing.assert_array_equal(resized.result(), done)
    assert not kernel._running


def test_helping_at_any_moment_changes_no_pixel(kernel: Kernel) -> None:
    pixels = pictures(1600, 900)
    plan = plan_resize_crop(1600, 900, ImageConfig(width=704, height=256))
    expected = [resize_with_pillow(each, plan) for each in pixels]
    with ThreadPoolExecutor(2) as pool:
        resized = [pool.submit(resize_and_crop, each, plan) for each in pixels * 8]
        while not all(each.done() for each in resized):
            kernel.help()
    for index, found in enumerate(resized):
        np.testing.assert_array_equal(found.result(), expected[index % len(pixels)])


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_normalises_to_the_same_bits(
    kernel: Kernel, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel.runs_here
    config = ImageConfig(width=64, height=32, channel_order=order)
    pixels = pictures(80, 40)[0][4:36, 8:72]
    found, expected = (np.full((3, 32, 64), np.nan, dtype=np.float32) for _ in range(2))
    normalise_into(pixels, config, found)
    monkeypatch.setattr(image, "installed_kernel", lambda: None)
    normalise_into(pixels, config, expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 256])
def test_normalises_every_level_and_any_number_of_pixels(kernel: Kernel, count: int) -> None:
    assert kernel.runs_here
    levels = np.linspace(0, 255, count).astype(np.uint8)
    pixels = np.stack([levels, levels[::-1], 255 - levels // 2], axis=1)[None]
    means, scales = np.float32([123.675, 0.1, -7.0]), np.float32([1 / 58.395, 3.3, -0.7])
    channels = np.int32([2, 0, 1])
    found = np.full((3, 1, count), np.nan, dtype=np.float32)
    kernel.normalise(pixels, means, scales, channels, found)
    planes = pixels[..., channels].transpose(2, 0, 1).astype(np.float32)
    expected = (planes - means[:, None, None]) * scales[:, None, None]
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_writes_only_where_it_may(kernel: Kernel) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    means, scales = np.zeros(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    channels = np.arange(3, dtype=np.int32)
    out = np.zeros((3, 4, 4), dtype=np.float32)
    kernel.normalise(pixels, means, scales, channels, out)
    for wrong in (
        (pixels[:3], means, scales, channels, out),
        (pixels, means[:2], scales, channels, out),
        (pixels, means, scales.astype(np.float64), channels, out),
        (pixels, means, scales, channels + 1, out),
        (pixels, means, scales, channels, out.astype(np.float64)),
        (pixels, means, scales, channels, out.transpose(0, 2, 1)),
    ):
        with pytest.raises(ValueError, match="cannot normalise"):
            kernel.normalise(*wrong)


def test_lies_beside_the_messages() -> None:
    messages = pytest.importorskip("streampetr_ros.msg", reason="no messages were built")
    assert (Path(messages.__file__).parents[1] / "resize.so").is_file()


@pytest.fixture
def library_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is looked into instead of those of the package."""
    monkeypatch.setattr(streampetr_ros, "__path__", [str(tmp_path)])
    installed_kernel.cache_clear()
    yield tmp_path
    installed_kernel.cache_clear()


def test_without_a_library_pillow_resizes(library_folder: Path) -> None:
    assert not list(library_folder.iterdir())
    assert exact_resizer() == "Pillow"
    plan = plan_resize_crop(160, 90, ImageConfig(width=64, height=32))
    pixels = pictures(160, 90)[0]
    np.testing.assert_array_equal(resize_and_crop(pixels, plan), resize_with_pillow(pixels, plan))


def test_a_library_that_cannot_be_loaded_is_named(
    library_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (library_folder / "resize.so").write_bytes(b"no library")
    assert image.installed_kernel() is None
    assert "resize.so cannot be used" in caplog.text
