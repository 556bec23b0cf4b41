"""The compiled resize gives Pillow's pixels, and Pillow works where it cannot be used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, current_thread, main_thread

import numpy as np
import pytest

import streampetr_ros
from streampetr_ros.core.native import library
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess import image
from streampetr_ros.preprocess.image import (
    exact_network_image,
    exact_resizer,
    normalise_into,
    plan_resize_crop,
    resize_and_crop,
    resize_with_pillow,
)
from streampetr_ros.preprocess.kernel import Kernel, installed_kernel, kernel_plan, look_of
from streampetr_ros.preprocess.resampling import axis_taps


@pytest.fixture(params=[1, 2], ids=["avx2", "vnni"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The kernel that is used, with instructions that this processor has."""
    found = installed_kernel()
    if found is None:
        pytest.skip("the compiled resize was not built, or this processor has no AVX2")
    if found.instructions < request.param:
        pytest.skip("this processor lacks these instructions")
    monkeypatch.setattr(found, "instructions", request.param)
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
    levels = np.empty((24, 32, 3), dtype=np.uint8)
    for shape in ((48, 63, 3), (47, 64, 3), (48, 64), (48, 64, 1), (48, 64, 4)):
        with pytest.raises(ValueError, match="plan for 64 columns"):
            kernel.resize(np.zeros(shape, dtype=np.uint8), plan, levels)
    with pytest.raises(ValueError, match="float32"):
        kernel.resize(np.zeros((48, 64, 3), dtype=np.float32), plan, levels)


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
        done = running.held[2].copy()
        helped.set()
    np.testing.assert_array_equal(done, resize_with_pillow(pixels, plan))
    np.testing.assert_array_equal(resized.result(), done)
    assert not kernel._running


def test_helping_at_any_moment_changes_no_pixel(kernel: Kernel) -> None:
    pixels = pictures(1600, 900)
    config = ImageConfig(width=704, height=256)
    plan = plan_resize_crop(1600, 900, config)
    expected = np.empty((len(pixels), 3, 256, 704), dtype=np.float32)
    for each, out in zip(pixels, expected, strict=True):
        normalise_into(resize_with_pillow(each, plan), config, out)
    found = np.full((8, *expected.shape), np.nan, dtype=np.float32)
    with ThreadPoolExecutor(2) as pool:
        made = [
            pool.submit(exact_network_image, each, plan, config, out)
            for images in found
            for each, out in zip(pixels, images, strict=True)
        ]
        while not all(each.done() for each in made):
            kernel.help()
    assert not any(each.result() for each in made)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


def test_a_helper_takes_the_picture_that_is_in_work_for_longest(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread begins by itself; the second helper finds the first picture helped already."""
    pixels = pictures(200, 120)
    plan = plan_resize_crop(200, 120, ImageConfig(width=96, height=32))
    take_bands, may_end = kernel._take_bands, Event()
    jobs = []

    def wait_instead(job: object) -> None:
        jobs.append(job)
        assert may_end.wait(60)

    monkeypatch.setattr(kernel, "_take_bands", wait_instead)
    with ThreadPoolExecutor(2) as pool:
        made = []
        for count, each in enumerate(pixels, start=1):
            made.append(pool.submit(resize_and_crop, each, plan))
            while len(jobs) < count:
                time.sleep(0.001)
        try:
            helped = []
            monkeypatch.setattr(kernel, "_take_bands", helped.append)
            kernel.help()
            with kernel._running[0].helping:
                kernel.help()
            assert helped == jobs[:1]
        finally:
            monkeypatch.setattr(kernel, "_take_bands", take_bands)
            for job in jobs:
                take_bands(job)
            may_end.set()
    for each, found in zip(pixels, made, strict=True):
        np.testing.assert_array_equal(found.result(), resize_with_pillow(each, plan))


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("source", [(80, 40), (64, 32), (333, 97)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_network_images_are_the_same_bits(
    order: str, source: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ImageConfig(width=64, height=32, channel_order=order)
    plan = plan_resize_crop(*source, config)
    for pixels in pictures(*source):
        found, expected = (np.full((3, 32, 64), np.nan, dtype=np.float32) for _ in range(2))
        exact_network_image(pixels, plan, config, found)
        with monkeypatch.context() as without:
            without.setattr(image, "installed_kernel", lambda: None)
            exact_network_image(pixels, plan, config, expected)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("kernel")
def test_planes_with_gaps_are_written_as_well() -> None:
    config = ImageConfig(width=64, height=32)
    plan, pixels = plan_resize_crop(80, 40, config), pictures(80, 40)[0]
    apart, together = (np.zeros((3, 32, width), dtype=np.float32) for width in (100, 64))
    exact_network_image(pixels, plan, config, apart[..., :64])
    exact_network_image(pixels, plan, config, together)
    np.testing.assert_array_equal(apart[..., :64], together)
    assert not apart[..., 64:].any()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 256])
def test_normalises_every_level_and_any_number_of_pixels(kernel: Kernel, count: int) -> None:
    levels = np.linspace(0, 255, count).astype(np.uint8)
    pixels = np.stack([levels, levels[::-1], 255 - levels // 2], axis=1)[None]
    means, scales, channels = (123.675, 0.1, -7.0), (1 / 58.395, 3.3, -0.7), (2, 0, 1)
    found = np.full((3, 1, count), np.nan, dtype=np.float32)
    kernel.normalise(pixels, look_of(means, scales, channels), found)
    planes = pixels[..., channels].transpose(2, 0, 1).astype(np.float32)
    expected = (planes - np.float32(means)[:, None, None]) * np.float32(scales)[:, None, None]
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_writes_only_where_it_may(kernel: Kernel) -> None:
    pixels, look = np.zeros((4, 4, 3), dtype=np.uint8), look_of((0, 0, 0), (1, 1, 1), (0, 1, 2))
    plan = kernel_plan(axis_taps(8, 4, 0, 4), axis_taps(8, 4, 0, 4), 8)
    source = np.zeros((8, 8, 3), dtype=np.uint8)
    out = np.ones((3, 4, 4), dtype=np.float32)
    kernel.normalise(pixels, look, out)
    assert not out.any()
    out[...] = 1
    kernel.resize(source, plan, out, look)
    assert not out.any()
    for wrong in (out[:, 1:], out.astype(np.float64), out.transpose(0, 2, 1), out[0]):
        with pytest.raises(ValueError, match="cannot write"):
            kernel.normalise(pixels, look, wrong)
        with pytest.raises(ValueError, match="cannot write"):
            kernel.resize(source, plan, wrong, look)
    for wrong in (pixels[0], pixels[..., :2], pixels.astype(np.float32)):
        with pytest.raises(ValueError, match="cannot normalise"):
            kernel.normalise(wrong, look, out)


@pytest.mark.parametrize("channels", [(0, 1, 3), (-1, 0, 1), (0, 1)])
def test_planes_show_channels_of_the_picture(channels) -> None:
    with pytest.raises(ValueError, match="no three planes"):
        look_of((0, 0, 0), (1, 1, 1), channels)


@pytest.mark.parametrize("name", ["resize", "jpeg"])
def test_lies_beside_the_messages(name: str) -> None:
    messages = pytest.importorskip("streampetr_ros.msg", reason="no messages were built")
    assert (Path(messages.__file__).parents[1] / f"{name}.so").is_file()


@pytest.fixture
def library_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is looked into instead of those of the package."""
    monkeypatch.setattr(streampetr_ros, "__path__", [str(tmp_path)])
    for known in (installed_kernel, library):
        known.cache_clear()
    yield tmp_path
    for known in (installed_kernel, library):
        known.cache_clear()


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
