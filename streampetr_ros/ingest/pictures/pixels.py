"""Decoded pictures: what they are, which are refused, and smaller ones for a fraction of the time.

Networks see pictures that are several times smaller than those of cameras. Averaging blocks of
pixels first (inside the JPEG decoder, where it saves most) leaves far less to resize. The result
is close to the exact path, half a gray value for a half, but not equal to it, so it is an option.
Image coordinates follow the convention of `preprocess.image`: the transform is a pure scale.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import CameraCalibration

#: (height, width, 3), RGB.
Pixels: TypeAlias = NDArray[np.uint8]
Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"

#: Largest picture accepted; more is a broken header or an attack on the memory.
MAX_PIXELS = 64_000_000

#: Sides are divided by one of these; JPEG decoders can do no other whole fractions.
REDUCTIONS: tuple[int, ...] = (1, 2, 4, 8)


class ImageError(ValueError):
    """An image that cannot be used, with the reason and the remedy."""


def check_image_size(width: int, height: int) -> None:
    """Refuse empty pictures and sizes no camera has.

    Raises:
        ImageError: for a size that is refused.
    """
    if width <= 0 or height <= 0:
        raise ImageError(f"image of {width} x {height} has no pixels; check the camera's driver")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"image of {width} x {height} exceeds {MAX_PIXELS // 10**6} megapixels; its header is "
            f"damaged, or lower the camera's resolution"
        )


def as_pixels(found: object) -> Pixels:
    """Tell the type checker what OpenCV returns; nothing is copied."""
    return np.asarray(found, dtype=np.uint8)


def require_divisible(width: int, height: int, reduction: int) -> None:
    """Refuse sizes that a reduction does not divide, which would move the picture.

    Raises:
        ImageError: naming size and remedy.
    """
    if width % reduction or height % reduction:
        raise ImageError(
            f"image of {width} x {height} cannot be reduced {reduction} times without a remainder; "
            "set parameter cameras.reductions to 1 for this camera"
        )


def shrink(pixels: Pixels, reduction: int) -> Pixels:
    """Average blocks of pixels.

    Args:
        pixels: (height, width, 3) uint8.
        reduction: width and height of a block.

    Returns:
        (height / reduction, width / reduction, 3) uint8.

    Raises:
        ImageError: if the size is no multiple of the reduction.
    """
    if reduction == 1:
        return pixels
    height, width = pixels.shape[:2]
    require_divisible(width, height, reduction)
    size = (width // reduction, height // reduction)
    return as_pixels(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def reduced_calibration(calibration: CameraCalibration, reduction: int) -> CameraCalibration:
    """Return the calibration of reduced pictures; the lens stays the same.

    Args:
        calibration: of full pictures.
        reduction: as for `shrink`.
    """
    scale = np.diag([1.0 / reduction, 1.0 / reduction, 1.0])
    return replace(
        calibration,
        width=calibration.width // reduction,
        height=calibration.height // reduction,
        intrinsic=scale @ calibration.intrinsic,
        reduction=calibration.reduction * reduction,
    )
