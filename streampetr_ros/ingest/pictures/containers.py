"""What a JPEG or PNG file holds, read before any decoder sees it.

Decoders are written in C, allocate what a header claims, repeat work as often as a file asks for,
and some crash on chunks that no camera sends. So the structure is read here to its end, and only
what belongs to one still picture goes on.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from streampetr_ros.ingest.pictures.pixels import ImageError, check_image_size

_JPEG_START = b"\xff\xd8"
_PNG_START = b"\x89PNG\r\n\x1a\n"

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
#: Frame headers of JPEG (ITU-T T.81, table B.1), and those that cameras send: Huffman-coded,
#: sequential or progressive.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FRAMES_OF_CAMERAS = frozenset({0xC0, 0xC1, 0xC2})
#: Markers without a length: temporary and restarts.
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
#: A progressive picture is decoded once per scan. Encoders make about ten.
_MOST_SCANS = 64
_MOST_SCANNED_PIXELS = 1_000_000_000

#: Chunks that make up a still picture, and those that make it move.
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
#: Bits per sample by color type (ISO/IEC 15948, table 11.1).
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}

#: How files of other formats begin.
_OTHERS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x01", "H.264 or H.265 video"),
    (b"\0\0\x01", "H.264 or H.265 video"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A file whose structure is sound.

    Attributes:
        kind: "JPEG" or "PNG".
        width: of the picture as it lies in the file.
        height: likewise.
        is_gray: whether it holds one sample per pixel.
        content: the file without what decoders need not see.
    """

    kind: str
    width: int
    height: int
    is_gray: bool
    content: bytes


def read_picture(content: bytes, format_text: str = "") -> Picture:
    """Read the structure of a picture.

    Args:
        content: the file.
        format_text: what the sender calls it, for the sentence about other formats.

    Raises:
        ImageError: if it is not a complete JPEG or PNG of one still picture of a sensible size.
    """
    if content.startswith(_JPEG_START):
        return _read_jpeg(content)
    if content.startswith(_PNG_START):
        return _read_png(content)
    said = f", format '{format_text[:40]}'" if format_text else ""
    kind = next((name for start, name in _OTHERS if content.startswith(start)), "")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "WebP"
    if content[4:8] == b"ftyp":
        kind = "AVIF, HEIF or MP4"
    found = kind or f"neither JPEG nor PNG: it starts with '{content[:4].hex(' ')}'"
    raise ImageError(
        f"compressed image of {len(content)} bytes{said} is {found}; publish JPEG, PNG or raw "
        "images"
    )


def _read_jpeg(content: bytes) -> Picture:
    """Read a JPEG up to its end marker; what follows that is left out."""
    frame: tuple[int, int, int] | None = None
    scans, position = 0, len(_JPEG_START)
    while True:
        marker, position = _next_marker(content, position)
        if marker == _END:
            break
        length = int.from_bytes(content[position : position + 2], "big")
        end = position + length
        if length < 2 or end > len(content):
            raise _truncated(content)
        if marker in _FRAMES:
            if frame is not None:
                raise ImageError("JPEG holds a second frame header; check the camera's encoder")
            frame = _read_frame(marker, content[position + 2 : end])
        if marker == _SCAN:
            scans += 1
            end = _end_of_scan(content, end)
            if frame is None or scans > _MOST_SCANS:
                break
        position = end
    if frame is None or not scans:
        raise ImageError(f"JPEG of {len(content)} bytes holds no picture; check the encoder")
    width, height, parts = frame
    if scans > _MOST_SCANS or scans * width * height > _MOST_SCANNED_PIXELS:
        raise ImageError(
            f"JPEG of {width} x {height} has {scans} or more scans, which would take far too long "
            "to decode; let the encoder write a sequential or an ordinary progressive JPEG"
        )
    return Picture("JPEG", width, height, parts == 1, content[:position])


def _next_marker(content: bytes, position: int) -> tuple[int, int]:
    """Return a marker with a meaning and where its content begins."""
    while position + 2 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _BARE:
            position += 2
        elif marker in (0x00, _START):
            break
        else:
            return marker, position + 2
    if position + 2 > len(content):
        raise _truncated(content)
    raise ImageError(
        f"JPEG of {len(content)} bytes is damaged: there is no marker at byte {position}; check "
        "the transport and the camera's encoder"
    )


def _end_of_scan(content: bytes, start: int) -> int:
    """Return where the next marker stands behind the coded pixels that begin at `start`."""
    coded = np.frombuffer(content, np.uint8, offset=start)
    marks = np.flatnonzero(coded[:-1] == 0xFF)
    kinds = coded[marks + 1]
    # 0 stands for a coded 0xff, 0xd0 to 0xd7 are restarts, 0xff fills.
    is_marker = (kinds != 0) & (kinds != 0xFF) & ((kinds < 0xD0) | (kinds > 0xD7))
    if not is_marker.any():
        raise _truncated(content)
    return start + int(marks[np.argmax(is_marker)])


def _read_frame(marker: int, header: bytes) -> tuple[int, int, int]:
    """Return width, height and number of components."""
    if len(header) < 6:
        raise ImageError("JPEG has a damaged frame header; check the camera's encoder")
    bits, height, width, parts = struct.unpack_from(">BHHB", header)
    check_image_size(width, height)
    if marker not in _FRAMES_OF_CAMERAS or bits != 8:
        raise ImageError(
            f"JPEG of {width} x {height} is of a kind that no camera sends (frame header "
            f"0x{marker:02x}, {bits} bits); publish baseline or progressive JPEG of 8 bits"
        )
    if parts not in (1, 3):
        raise ImageError(
            f"JPEG of {width} x {height} has {parts} color components; publish color (3) or gray "
            "(1) pictures"
        )
    return width, height, parts


def _truncated(content: bytes) -> ImageError:
    return ImageError(
        f"JPEG of {len(content)} bytes is truncated; check the transport's message size limits and "
        "the camera's encoder"
    )


def _read_png(content: bytes) -> Picture:
    """Read a PNG and check all its chunks, which carry check sums; keep those of the picture."""
    position, kept, complete = len(_PNG_START), [_PNG_START], False
    header: tuple[int, int, int] | None = None
    while not complete and position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            break
        if zlib.crc32(memoryview(content)[position + 4 : end - 4]) != _number(content, end - 4):
            raise ImageError(f"PNG of {len(content)} bytes is damaged: check sum is wrong")
        _refuse_strange_chunk(kind, is_first=header is None)
        if header is None:
            header = _read_png_header(content[position + 8 : end - 4])
        if kind in _PNG_CHUNKS:
            kept.append(content[position:end])
        complete, position = kind == b"IEND", end
    if header is None or not complete:
        raise ImageError(
            f"PNG of {len(content)} bytes is truncated; check the transport's message size limits"
        )
    width, height, color = header
    return Picture("PNG", width, height, color == 0, b"".join(kept))


def _number(content: bytes, position: int) -> int:
    return int.from_bytes(content[position : position + 4], "big")


def _refuse_strange_chunk(kind: bytes, *, is_first: bool) -> None:
    name = kind.decode("ascii", "replace")
    if is_first != (kind == b"IHDR"):
        raise ImageError(
            f"PNG is damaged: chunk '{name}' stands where it must not; check the encoder"
        )
    if kind in _PNG_ANIMATION:
        raise ImageError("PNG is animated; publish single pictures")
    # The fifth bit of the first letter tells chunks that a decoder may leave out.
    if kind not in _PNG_CHUNKS and not kind[0] & 0x20:
        raise ImageError(f"PNG holds an unknown critical chunk '{name}'; publish plain PNG or JPEG")


def _read_png_header(header: bytes) -> tuple[int, int, int]:
    """Return width, height and color type."""
    if len(header) != 13:
        raise ImageError("PNG has a damaged header; check the camera's encoder")
    width, height, depth, color, compression, filtering, interlace = struct.unpack(
        ">IIBBBBB", header
    )
    check_image_size(width, height)
    if depth not in _PNG_DEPTHS.get(color, ()) or compression or filtering or interlace > 1:
        raise ImageError(
            f"PNG of {width} x {height} has an impossible header (color type {color}, {depth} "
            "bits); check the camera's encoder"
        )
    return width, height, color
