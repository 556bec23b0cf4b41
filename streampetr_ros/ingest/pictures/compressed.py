"""JPEG and PNG bytes to RGB pixels; what is damaged is refused.

Most decoders fill what is missing or damaged with something gray. JPEG goes to simplejpeg, which
tells what libjpeg-turbo complains about, after `native/jpeg.c` has found the coded pixels whole.
Tolerated are what sound cameras send: bytes behind the end marker, zeros before it, missing Huffman
tables (as in MJPEG streams), EXIF and thumbnails.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import simplejpeg

from streampetr_ros.core.native import library
from streampetr_ros.ingest.pictures.containers import Picture, read_picture
from streampetr_ros.ingest.pictures.pixels import (
    Buffer,
    ImageError,
    Pixels,
    as_pixels,
    require_divisible,
    shrink,
)
from streampetr_ros.ingest.pictures.raw import debayer, is_bayer

#: What `native/jpeg.c` calls pixels that cannot be what an encoder wrote.
_DAMAGED = 2
_PADDING = re.compile(rb"\x00+\xff\xd9$")


def decode_compressed(data: Buffer, format_text: str = "", reduction: int = 1) -> Pixels:
    """Decode the bytes of a sensor_msgs/CompressedImage.

    The kind is recognised by the bytes. Of the format text, as compressed_image_transport writes
    it ("rgb8; jpeg compressed bgr8": a picture that was rgb8, given to the encoder as BGR), two
    things matter: "compressed rgb8" says that red and blue were exchanged before encoding, and a
    gray picture that was "bayer_*" is a mosaic.

    Args:
        data: the file's bytes.
        format_text: the message's format.
        reduction: one of `REDUCTIONS`, by which width and height are divided.

    Returns:
        (height / reduction, width / reduction, 3) uint8 RGB, contiguous.

    Raises:
        ImageError: if the bytes are no complete and undamaged JPEG or PNG of a sensible size.
    """
    try:
        content = bytes(data)
    except (TypeError, ValueError, BufferError) as error:
        raise ImageError("compressed image has data that are not bytes") from error
    picture = read_picture(content, format_text)
    require_divisible(picture.width, picture.height, reduction)
    decode = _decode_jpeg if picture.kind == "JPEG" else _decode_png
    was, _, packed = format_text.lower().partition(";")
    if picture.is_gray and is_bayer(was.strip()):
        mosaic = decode(picture, "GRAY", 1)
        return shrink(debayer(mosaic, was.strip()), reduction)
    return decode(picture, "BGR" if "compressed rgb" in packed else "RGB", reduction)


@lru_cache(maxsize=1)
def _jpeg_check() -> Callable[[bytes, int], int]:
    """Return the check of coded pixels; without it, damage that decoders do not notice passes."""
    built = library("jpeg", "part of the damage inside JPEG pictures is not noticed")
    if built is None:
        return lambda _content, _size: 0
    check: Callable[[bytes, int], int] = built.check_jpeg
    built.check_jpeg.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    return check


def _decode_jpeg(picture: Picture, order: str, reduction: int) -> Pixels:
    content = picture.content
    try:
        return _decode_whole(picture, content, order, reduction)
    except ImageError:
        # Zeros before the end marker may be pixels, so they are only left out where that helps.
        padding = _PADDING.search(content)
        if padding is None:
            raise
        return _decode_whole(picture, content[: padding.start()] + content[-2:], order, reduction)


def _decode_whole(picture: Picture, content: bytes, order: str, reduction: int) -> Pixels:
    height, width = picture.height // reduction, picture.width // reduction
    if _jpeg_check()(content, len(content)) == _DAMAGED:
        raise _damaged(picture, "its coded pixels are not whole")
    try:
        # The defaults are the exact transform and the smooth colors that OpenCV has too.
        decoded = simplejpeg.decode_jpeg(content, order, min_height=height, min_width=width)
    except ValueError as error:
        raise _damaged(picture, str(error)) from error
    pixels = decoded[..., 0] if order == "GRAY" else decoded
    if pixels.shape[:2] == (height, width):
        return as_pixels(pixels)
    return shrink(as_pixels(pixels), reduction)


def _decode_png(picture: Picture, order: str, reduction: int) -> Pixels:
    # The camera's calibration refers to the picture as it lies in memory, not as tagged by EXIF.
    color = cv2.IMREAD_GRAYSCALE if order == "GRAY" else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(
            np.frombuffer(picture.content, np.uint8), color | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise _damaged(picture, " ".join(str(error).split())) from error
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        raise _damaged(picture, "it cannot be decoded")
    pixels = shrink(as_pixels(pixels), reduction)
    if order == "RGB":
        pixels = as_pixels(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels))
    return pixels


def _damaged(picture: Picture, reason: str) -> ImageError:
    return ImageError(
        f"{picture.kind} of {picture.width} x {picture.height} ({len(picture.content)} bytes) is "
        f"damaged: {reason}; check the camera's encoder and the transport"
    )
