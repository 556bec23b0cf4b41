"""JPEG and PNG bytes to RGB pixels, refusing what decoders would silently accept.

Most versions of OpenCV fill what is missing of a truncated JPEG with grey, and all allocate what a
header claims; so headers and endings are examined first.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

from streampetr_ros.ingest.pictures.raw import (
    Buffer,
    ImageError,
    Pixels,
    as_pixels,
    check_size,
    debayer,
    is_bayer,
)
from streampetr_ros.ingest.pictures.reduction import require_divisible, shrink

_LOGGER = logging.getLogger(__name__)
_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"

#: Frame headers of JPEG: baseline, progressive, lossless, arithmetic, ...
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
#: Markers without a length: temporary and restarts.
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True)
class _Header:
    width: int
    height: int
    gray: bool


def jpeg_decoder() -> str:
    """Name what decodes JPEG files here; both give the same pixels, simplejpeg sooner."""
    if simplejpeg is None:
        return f"OpenCV {cv2.__version__} (pip install simplejpeg decodes faster)"
    return f"simplejpeg {simplejpeg.__version__}"


def decode_compressed(data: Buffer, format_text: str = "", reduction: int = 1) -> Pixels:
    """Decode the bytes of a sensor_msgs/CompressedImage.

    The kind is recognised by the bytes. Of the format text, as compressed_image_transport writes
    it ("rgb8; jpeg compressed bgr8": a picture that was rgb8, given to the encoder as BGR), two
    things matter: "compressed rgb8" says that red and blue were exchanged before encoding, and a
    grey picture that was "bayer_*" is a mosaic.

    Args:
        data: the file's bytes.
        format_text: the message's format.
        reduction: one of `REDUCTIONS`, by which width and height are divided.

    Returns:
        (height / reduction, width / reduction, 3) uint8 RGB, contiguous.

    Raises:
        ImageError: if the bytes are no complete JPEG or PNG of a sensible size.
    """
    try:
        content = bytes(data)
    except (TypeError, ValueError, BufferError) as error:
        raise ImageError("compressed image has data that are not bytes") from error
    header = _read_header(content)
    check_size(header.width, header.height)
    require_divisible(header.width, header.height, reduction)
    was, _, packed = format_text.lower().partition(";")
    if header.gray and is_bayer(was.strip()):
        mosaic = _decode(content, cv2.IMREAD_GRAYSCALE, header)
        return shrink(debayer(mosaic, was.strip()), reduction)
    swapped = "compressed rgb" in packed
    pixels = _decode_jpeg(content, "BGR" if swapped else "RGB", header, reduction)
    if pixels is not None:
        return pixels
    pixels = shrink(_decode(content, cv2.IMREAD_COLOR, header), reduction)
    if swapped:
        return pixels
    return as_pixels(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels))


def _read_header(content: bytes) -> _Header:
    if content.startswith(_JPEG_START):
        return _read_jpeg(content)
    if content.startswith(_PNG_START):
        return _read_png(content)
    raise ImageError(
        f"compressed image is neither JPEG nor PNG ({len(content)} bytes starting with "
        f"'{content[:4].hex(' ')}'); publish one of these or raw images"
    )


def _decode_jpeg(content: bytes, order: str, header: _Header, reduction: int) -> Pixels | None:
    """Decode with simplejpeg; None leaves other files, and what it refuses, to OpenCV."""
    if simplejpeg is None or not content.startswith(_JPEG_START):
        return None
    height, width = header.height // reduction, header.width // reduction
    try:
        # The defaults are the exact transform and the smooth colors that OpenCV has too.
        decoded = simplejpeg.decode_jpeg(content, order, min_height=height, min_width=width)
    except ValueError as error:
        _LOGGER.debug("simplejpeg refuses a picture: %s", error)
        return None
    return as_pixels(decoded) if decoded.shape[:2] == (height, width) else None


def _decode(content: bytes, flags: int, header: _Header) -> Pixels:
    # The camera's calibration refers to the picture as it lies in memory, not as tagged by EXIF.
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(
            f"compressed image of {header.width} x {header.height} could not be decoded: "
            f"{' '.join(str(error).split())}"
        ) from error
    if pixels is None or pixels.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"compressed image of {header.width} x {header.height} ({len(content)} bytes) is "
            f"damaged; check the camera's encoder and the transport"
        )
    return as_pixels(pixels)


def _read_jpeg(content: bytes) -> _Header:
    """Read the size of a JPEG and make sure its pixels end where they should."""
    header = None
    for marker, start, end in _jpeg_segments(content):
        if marker in _JPEG_FRAMES and end - start >= 6:
            height, width, parts = struct.unpack_from(">HHB", content, start + 1)
            header = _Header(width, height, gray=parts == 1)
        if marker == _JPEG_SCAN:
            # Inside pixels an 0xff is always followed by 0, so an end marker there is genuine.
            if header is None or content.rfind(_JPEG_END, end) < 0:
                break
            return header
    raise ImageError(
        f"JPEG of {len(content)} bytes is truncated; check the transport's message size limits and "
        f"the camera's encoder"
    )


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the content of each segment up to the first scan."""
    position = len(_JPEG_START)
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF or marker in _JPEG_BARE:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        start, end = position + 4, position + 2 + length
        if length < 2 or end > len(content):
            return
        yield marker, start, end
        position = end


def _read_png(content: bytes) -> _Header:
    """Read the size of a PNG and check all its chunks, which carry check sums."""
    position, header, complete = len(_PNG_START), None, False
    while not complete and position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        if end + 4 > len(content):
            break
        (expected,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(memoryview(content)[position + 4 : end]) != expected:
            raise ImageError(f"PNG of {len(content)} bytes is damaged: check sum is wrong")
        if kind == b"IHDR" and length >= 13:
            width, height, _, color = struct.unpack_from(">IIBB", content, position + 8)
            header = _Header(width, height, gray=color == 0)
        complete, position = kind == b"IEND", end + 4
    if header is None or not complete:
        raise ImageError(
            f"PNG of {len(content)} bytes is truncated; check the transport's message size limits"
        )
    return header
