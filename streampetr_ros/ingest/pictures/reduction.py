"""Pictures decoded at a fraction of their size, for a fraction of the time.

Networks see pictures that are several times smaller than those of cameras. Averaging blocks of
pixels first (inside the JPEG decoder, where it saves most) leaves far less to resize. The result
is close to the exact path, half a gray value for a half, but not equal to it, so it is an option.
Image coordinates follow the convention of `preprocess.image`: the transform is a pure scale.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.pictures.raw import ImageError, Pixels, as_pixels

#: Sides are divided by one of these; JPEG decoders can do no other whole fractions.
REDUCTIONS: tuple[int, ...] = (1, 2, 4, 8)


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
