"""Image bytes as they come from ROS to RGB pixels: raw encodings with any row padding.

Encodings are those of sensor_msgs/image_encodings. 16 bit values are scaled to 8 bit by 255/65535.
Pictures without color order in their name (8UC3, 8UC4) are taken as BGR, OpenCV's order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from streampetr_ros.ingest.pictures.pixels import (
    Buffer,
    ImageError,
    Pixels,
    as_pixels,
    check_image_size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImage:
    """The fields of a sensor_msgs/Image that describe its pixels.

    Attributes:
        encoding: name from sensor_msgs/image_encodings, such as "bgr8".
        height: rows.
        width: columns.
        step: bytes from one row to the next, padding included.
        data: the bytes.
        is_bigendian: byte order of 16 bit values.
    """

    encoding: str
    height: int
    width: int
    step: int
    data: Buffer
    is_bigendian: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """How pixels lie in a row, and OpenCV's conversion to RGB (None: it is RGB)."""

    channels: int
    bits: int
    to_rgb: int | None
    even_width: bool = False
    chroma_rows: bool = False

    def rows(self, height: int) -> int:
        return height * 3 // 2 if self.chroma_rows else height


# OpenCV names a Bayer pattern after the second row's second and third pixel, ROS after the first
# two rows: RGGB of ROS is BG of OpenCV.
_BAYER = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}

_LAYOUTS = MappingProxyType(
    {
        **{f"rgb{bits}": _Layout(3, bits, None) for bits in (8, 16)},
        **{f"bgr{bits}": _Layout(3, bits, cv2.COLOR_BGR2RGB) for bits in (8, 16)},
        **{f"rgba{bits}": _Layout(4, bits, cv2.COLOR_RGBA2RGB) for bits in (8, 16)},
        **{f"bgra{bits}": _Layout(4, bits, cv2.COLOR_BGRA2RGB) for bits in (8, 16)},
        **{f"mono{bits}": _Layout(1, bits, cv2.COLOR_GRAY2RGB) for bits in (8, 16)},
        **{f"{bits}uc1": _Layout(1, bits, cv2.COLOR_GRAY2RGB) for bits in (8, 16)},
        **{f"{bits}uc3": _Layout(3, bits, cv2.COLOR_BGR2RGB) for bits in (8, 16)},
        **{f"{bits}uc4": _Layout(4, bits, cv2.COLOR_BGRA2RGB) for bits in (8, 16)},
        **{f"{n}{bits}": _Layout(1, bits, code) for n, code in _BAYER.items() for bits in (8, 16)},
        **dict.fromkeys(("yuv422", "uyvy"), _Layout(2, 8, cv2.COLOR_YUV2RGB_UYVY, True)),
        **dict.fromkeys(("yuv422_yuy2", "yuyv"), _Layout(2, 8, cv2.COLOR_YUV2RGB_YUY2, True)),
        "nv12": _Layout(1, 8, cv2.COLOR_YUV2RGB_NV12, True, True),
        "nv21": _Layout(1, 8, cv2.COLOR_YUV2RGB_NV21, True, True),
    }
)

#: Encodings decoded here, in lower case.
ENCODINGS = frozenset(_LAYOUTS)


def decode_raw(raw: RawImage, convert_other: Callable[[RawImage], Pixels] | None = None) -> Pixels:
    """Decode a raw image.

    Args:
        raw: the image.
        convert_other: called for encodings not in `ENCODINGS`; returns (height, width, 3) RGB.

    Returns:
        (height, width, 3) uint8 RGB, contiguous; a read-only view of the data for packed rgb8.

    Raises:
        ImageError: naming encoding, size and remedy.
    """
    check_image_size(raw.width, raw.height)
    layout = _LAYOUTS.get(str(raw.encoding).strip().lower())
    try:
        if layout is not None:
            return _to_rgb(_samples(raw, layout), layout)
        if convert_other is not None:
            return _checked(convert_other(raw), raw)
    except (cv2.error, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"{describe(raw)} could not be converted: {' '.join(str(error).split())}"
        ) from error
    raise ImageError(
        f"{describe(raw)} has an unknown encoding; publish one of {', '.join(sorted(ENCODINGS))}"
    )


def debayer(mosaic: Pixels, encoding: str) -> Pixels:
    """Turn an (H, W) 8 bit mosaic of a "bayer_*" encoding into (H, W, 3) RGB."""
    return as_pixels(cv2.cvtColor(mosaic, _BAYER[encoding.rstrip("0123456789")]))


def is_bayer(encoding: str) -> bool:
    """Whether the encoding is a known color mosaic."""
    return encoding.rstrip("0123456789") in _BAYER


def describe(raw: RawImage) -> str:
    """Name an image by encoding and size."""
    return f"image '{raw.encoding}' of {raw.width} x {raw.height}"


def without_padding(raw: RawImage, row_bytes: int) -> Pixels:
    """View the data of an image as (height, row_bytes) bytes, whatever its step.

    Raises:
        ImageError: if step or length of the data does not fit.
    """
    return _cut_padding(_bytes_of(raw), raw.height, row_bytes, raw)


def _samples(raw: RawImage, layout: _Layout) -> Pixels | NDArray[np.uint16]:
    """Return the samples, (rows, width) or (rows, width, channels), padding cut off."""
    odd = (layout.even_width and raw.width % 2) or (layout.chroma_rows and raw.height % 2)
    if odd:
        raise ImageError(f"{describe(raw)} must have an even size: color is halved in it")
    rows, row_bytes = layout.rows(raw.height), raw.width * layout.channels * layout.bits // 8
    packed = _cut_padding(_bytes_of(raw), rows, row_bytes, raw)
    shape = (rows, raw.width) if layout.channels == 1 else (rows, raw.width, layout.channels)
    if layout.bits == 8:
        return packed.reshape(shape)
    order = ">" if raw.is_bigendian else "<"
    samples = np.ascontiguousarray(packed).view(f"{order}u2").reshape(shape)
    return np.require(samples, np.uint16, ["C", "A"])


def _bytes_of(raw: RawImage) -> Pixels:
    try:
        return np.frombuffer(raw.data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise ImageError(f"{describe(raw)} has data that are not contiguous bytes") from error


def _cut_padding(data: Pixels, rows: int, row_bytes: int, raw: RawImage) -> Pixels:
    """View flat data as (rows, row_bytes), steps of any number of bytes included."""
    step = raw.step
    if step < row_bytes:
        raise ImageError(
            f"{describe(raw)} has a step of {step} bytes, a row needs {row_bytes}; the driver must "
            f"set step, encoding and width consistently"
        )
    shortest, too_long = step * (rows - 1) + row_bytes, step * (rows + 1)
    if not shortest <= data.size < too_long:
        raise ImageError(
            f"{describe(raw)} has {data.size} bytes, expected are {step * rows} ({rows} rows of "
            f"{step}); the message is incomplete or its size fields are wrong"
        )
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (step, 1), writeable=False)


def _to_rgb(samples: Pixels | NDArray[np.uint16], layout: _Layout) -> Pixels:
    if samples.dtype != np.uint8:
        samples = as_pixels(cv2.convertScaleAbs(samples, alpha=255 / 65535))
    if layout.to_rgb is None or layout.channels == 2 or layout.chroma_rows:
        samples = as_pixels(np.ascontiguousarray(samples))
    return as_pixels(samples if layout.to_rgb is None else cv2.cvtColor(samples, layout.to_rgb))


def _checked(pixels: Pixels, raw: RawImage) -> Pixels:
    """Trust a foreign conversion only as far as its result has the right form."""
    found = np.asarray(pixels)
    if found.shape != (raw.height, raw.width, 3) or found.dtype != np.uint8:
        raise ImageError(
            f"{describe(raw)} was converted to {found.dtype} of shape {found.shape} instead of "
            f"8 bit RGB of the same size; publish a plain encoding such as rgb8"
        )
    return np.ascontiguousarray(found)
