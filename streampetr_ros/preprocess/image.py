"""Resize, crop and normalise one camera image exactly as the published weights saw it.

Convention: pixel coordinates are continuous with the origin of the reference implementation, so
the transform returned here is a pure scale and shift (no half-pixel terms); intrinsics follow by
multiplication from the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.geometry import Array
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.kernel import (
    KernelPlan,
    Look,
    installed_kernel,
    kernel_plan,
    look_of,
)
from streampetr_ros.preprocess.resampling import axis_taps

#: Corners of a region in fractions (x, y) of image width and height.
Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeCrop:
    """How the pixels of the network image are taken from the camera image.

    Attributes:
        source_width: camera image width, pixels.
        source_height: camera image height, pixels.
        resized_width: width after resizing, before the crop.
        resized_height: height after resizing, before the crop.
        left: columns removed on the left of the resized image.
        top: rows removed at the top of the resized image.
        width: network image width.
        height: network image height.
    """

    source_width: int
    source_height: int
    resized_width: int
    resized_height: int
    left: int
    top: int
    width: int
    height: int

    @property
    def keeps_size(self) -> bool:
        """Whether the picture is only cropped."""
        resized = (self.resized_width, self.resized_height)
        return resized == (self.source_width, self.source_height)

    @property
    def network_from_image(self) -> Array:
        """(3, 3) float64, pixels of the camera image to pixels of the network image."""
        scale_x = self.resized_width / self.source_width
        scale_y = self.resized_height / self.source_height
        return np.array([[scale_x, 0.0, -self.left], [0.0, scale_y, -self.top], [0.0, 0.0, 1.0]])


@lru_cache(maxsize=32)
def plan_resize_crop(source_width: int, source_height: int, config: ImageConfig) -> ResizeCrop:
    """Fill the network image: scale until both sides are covered, cut the top and both flanks.

    The bottom is kept because the road is there; columns are cut evenly.

    Args:
        source_width: camera image width, pixels.
        source_height: camera image height, pixels.
        config: size of the network image.
    """
    scale = max(config.height / source_height, config.width / source_width)
    # The side that fixes the scale must not lose a pixel to float rounding (1935.9999... -> 1935).
    resized_width = max(config.width, int(source_width * scale))
    resized_height = max(config.height, int(source_height * scale))
    return ResizeCrop(
        source_width=source_width,
        source_height=source_height,
        resized_width=resized_width,
        resized_height=resized_height,
        left=(resized_width - config.width) // 2,
        top=resized_height - config.height,
        width=config.width,
        height=config.height,
    )


def resize_and_crop(pixels: NDArray[np.uint8], geometry: ResizeCrop) -> NDArray[np.uint8]:
    """Resize with antialiased bicubic interpolation, then crop.

    Equal to ``PIL.Image.resize`` of the whole image followed by a crop. Widths change first, as in
    all versions of Pillow before 13, which does heights first in tall images. The compiled kernel
    does it where there is one, else Pillow.

    Args:
        pixels: (source_height, source_width, 3) uint8.
        geometry: from `plan_resize_crop`.

    Returns:
        (height, width, 3) uint8, possibly a read-only view.
    """
    g = geometry
    if g.keeps_size:
        return pixels[g.top : g.top + g.height, g.left : g.left + g.width]
    kernel = installed_kernel()
    if kernel is None:
        return resize_with_pillow(pixels, g)
    levels = np.empty((g.height, g.width, 3), dtype=np.uint8)
    kernel.resize(pixels, _kernel_plan(g), levels)
    return levels


def help_resizing() -> None:
    """Take part in exact resizing that goes on elsewhere, the longest first, instead of waiting."""
    kernel = installed_kernel()
    if kernel is not None:
        kernel.help()


def exact_resizer() -> str:
    """Name what resizes pictures exactly here; both give the same pixels, the kernel sooner."""
    return "Pillow" if installed_kernel() is None else "the compiled kernel"


@lru_cache(maxsize=32)
def _kernel_plan(geometry: ResizeCrop) -> KernelPlan:
    g = geometry
    columns = axis_taps(g.source_width, g.resized_width, g.left, g.width)
    rows = axis_taps(g.source_height, g.resized_height, g.top, g.height)
    return kernel_plan(columns, rows, g.source_width)


def resize_with_pillow(pixels: NDArray[np.uint8], geometry: ResizeCrop) -> NDArray[np.uint8]:
    """Resize and crop as `resize_and_crop` does, with Pillow.

    Rows and columns that the crop throws away are left out of the computation where the result
    stays the same.

    Args:
        pixels: (source_height, source_width, 3) uint8.
        geometry: from `plan_resize_crop`, for a picture that changes its size.

    Returns:
        (height, width, 3) uint8, read-only.
    """
    g = geometry
    skip_x, start_x = _common_grid(g.left, g.resized_width, g.source_width)
    skip_y, start_y = _common_grid(g.top, g.resized_height, g.source_height)
    # The filter reaches two pixels of the coarser grid beyond the first row that is wanted.
    first = max(0, start_y - ceil(2.0 * max(1.0, g.source_height / g.resized_height)) - 1)
    rows = g.source_height - first
    resized = (
        Image.fromarray(pixels[first:])
        .resize(
            (g.resized_width - skip_x, rows),
            Image.Resampling.BICUBIC,
            box=(start_x, 0, g.source_width, rows),
        )
        .resize(
            (g.resized_width - skip_x, g.resized_height - skip_y),
            Image.Resampling.BICUBIC,
            box=(0, start_y - first, g.resized_width - skip_x, rows),
        )
    )
    top, left = g.top - skip_y, g.left - skip_x
    return np.asarray(resized)[top : top + g.height, left : left + g.width]


def _common_grid(wanted: int, resized: int, source: int) -> tuple[int, int]:
    """Find the last resized pixel at or before `wanted` that starts on a whole source pixel.

    Starting the resize there moves no sampling position, so no pixel changes. Returns the resized
    pixel and the source pixel it starts on.
    """
    divisor = gcd(resized, source)
    periods = wanted // (resized // divisor)
    return periods * (resized // divisor), periods * (source // divisor)


def plane_order(config: ImageConfig) -> tuple[int, int, int]:
    """Return which channel of an RGB picture each plane of the network image is."""
    return (0, 1, 2) if config.channel_order == "rgb" else (2, 1, 0)


def exact_network_image(
    pixels: NDArray[np.uint8],
    geometry: ResizeCrop,
    config: ImageConfig,
    out: NDArray[np.float32],
) -> None:
    """Do `resize_and_crop` and `normalise_into`, in one pass where there is the compiled kernel.

    Args:
        pixels: (source_height, source_width, 3) uint8, RGB.
        geometry: from `plan_resize_crop`.
        config: channel order and statistics.
        out: (3, height, width) float32, overwritten.
    """
    kernel = installed_kernel()
    if kernel is not None and not geometry.keeps_size and out.flags.c_contiguous:
        kernel.resize(pixels, _kernel_plan(geometry), out, _look(config))
    else:
        normalise_into(resize_and_crop(pixels, geometry), config, out)


def normalise_into(
    pixels: NDArray[np.uint8], config: ImageConfig, out: NDArray[np.float32]
) -> None:
    """Write ``(pixels - mean) / std`` as planes in the channel order of the network.

    Args:
        pixels: (height, width, 3) uint8, RGB.
        config: channel order and statistics.
        out: (3, height, width) float32, overwritten.
    """
    kernel = installed_kernel()
    if kernel is not None and out.flags.c_contiguous:
        kernel.normalise(pixels, _look(config), out)
        return
    for plane, channel, mean, scale in zip(
        out, plane_order(config), *_statistics(config), strict=True
    ):
        plane[...] = pixels[..., channel]
        np.subtract(plane, mean, out=plane)
        np.multiply(plane, scale, out=plane)


def _statistics(config: ImageConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and reciprocal deviation per plane, each (3,)."""
    scales = [1.0 / std for std in config.std]
    return np.array(config.mean, np.float32), np.array(scales, np.float32)


@lru_cache(maxsize=32)
def _look(config: ImageConfig) -> Look:
    means, scales = _statistics(config)
    return look_of(means.tolist(), scales.tolist(), plane_order(config))


@lru_cache(maxsize=32)
def region_mask(polygons: tuple[Polygon, ...], geometry: ResizeCrop) -> NDArray[np.bool_]:
    """Rasterise regions of the camera image on the network image.

    Args:
        polygons: regions in fractions of the camera image.
        geometry: from `plan_resize_crop`.

    Returns:
        (height, width) bool, True inside any of the polygons.
    """
    canvas = Image.new("1", (geometry.width, geometry.height))
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        corners = np.asarray(polygon) * (geometry.resized_width, geometry.resized_height)
        corners -= (geometry.left, geometry.top)
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=1)
    mask = np.array(canvas, dtype=bool)
    mask.setflags(write=False)
    return mask


def check_pixels(pixels: NDArray[np.uint8]) -> None:
    """Refuse what is no picture.

    Raises:
        UserError: if the array is not (height, width, 3) uint8.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise UserError(
            f"expected an image as (height, width, 3) uint8, got {pixels.shape} {pixels.dtype}"
        )


def prepare_image(
    pixels: NDArray[np.uint8],
    config: ImageConfig,
    out: NDArray[np.float32],
    masked: tuple[Polygon, ...] = (),
) -> None:
    """Turn a camera image into the network image.

    Args:
        pixels: (h, w, 3) uint8, RGB, any size.
        config: size, channel order and statistics of the network image.
        out: (3, height, width) float32, overwritten.
        masked: regions to blank out with the mean color, such as the own vehicle's body.

    Raises:
        UserError: if the array is not an RGB uint8 image.
    """
    check_pixels(pixels)
    geometry = plan_resize_crop(pixels.shape[1], pixels.shape[0], config)
    exact_network_image(pixels, geometry, config, out)
    if masked:
        out[:, region_mask(masked, geometry)] = 0.0
