"""How large the compressed parts of a bag become, from what they declare, before they are unpacked.

A megabyte can unpack to gigabytes. The MCAP format (mcap.dev, records) and Zstandard (RFC 8878,
section 3.1.1) say beforehand how large; what they say is added up without unpacking anything.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from streampetr_ros.core.source import SourceError

#: Bytes that one compressed part may unpack to. Recorders close a chunk after some megabytes.
LARGEST_CHUNK = 1 << 29

_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_CHUNK, _CHUNK_HEADER = 0x06, struct.Struct("<QQQII")
_ZSTD_FRAME, _ZSTD_SKIPPABLE = 0xFD2FB528, 0x184D2A5
_ZSTD_BLOCK = 1 << 17
#: LZ4 repeats at most this many bytes for one.
_LZ4_RATIO = 255


def check_chunks(path: Path) -> None:
    """Refuse an MCAP file with a chunk that would fill the memory.

    Args:
        path: of the file; other files are left to those who read them.

    Raises:
        SourceError: naming the file, the sizes and the remedy.
    """
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            return
        for place, declared, packed in _chunks(stream):
            size = max(declared, _unpacked(stream, packed))
            if size > LARGEST_CHUNK:
                raise SourceError(
                    f"bag '{path}' has a chunk of {packed[1]} bytes at {place} that unpacks to "
                    f"{size / 2**30:.1f} GiB; record it again with smaller chunks"
                )


def _chunks(stream: BinaryIO) -> Iterator[tuple[int, int, tuple[str, int]]]:
    """Yield place, declared size, and compression and length of each chunk; leaves off at damage.

    The stream stands at the chunk's packed bytes meanwhile.
    """
    size = os.fstat(stream.fileno()).st_size
    while len(header := stream.read(_RECORD.size)) == _RECORD.size:
        kind, length = _RECORD.unpack(header)
        begin = stream.tell()
        if kind == _CHUNK:
            fields = stream.read(_CHUNK_HEADER.size)
            if len(fields) < _CHUNK_HEADER.size:
                return
            _, _, declared, _, letters = _CHUNK_HEADER.unpack(fields)
            name = stream.read(min(letters, 16)).decode("ascii", "replace")
            packed = _number(stream, 8)
            yield begin, declared, (name, min(packed, size - stream.tell()))
        if begin + length > size:
            return
        stream.seek(begin + length)


def _unpacked(stream: BinaryIO, packed: tuple[str, int]) -> int:
    """Return what packed bytes unpack to at the most."""
    compression, length = packed
    if compression == "lz4":
        return length * _LZ4_RATIO if length * _LZ4_RATIO > LARGEST_CHUNK * 4 else 0
    return sum(_zstd_blocks(stream, length)) if compression == "zstd" else length


def _zstd_blocks(stream: BinaryIO, length: int) -> Iterator[int]:
    """Yield what each block unpacks to at the most; leaves off at damage."""
    end = stream.tell() + length
    while stream.tell() + 4 <= end:
        magic = _number(stream, 4)
        if magic >> 4 == _ZSTD_SKIPPABLE:
            stream.seek(_number(stream, 4), 1)
            continue
        if magic != _ZSTD_FRAME:
            return
        has_checksum = _skip_frame_header(stream)
        is_last = False
        while not is_last and stream.tell() + 3 <= end:
            header = _number(stream, 3)
            is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            stream.seek(1 if kind == 1 else size, 1)
            yield size if kind < 2 else _ZSTD_BLOCK
        stream.seek(4 * has_checksum, 1)


def _skip_frame_header(stream: BinaryIO) -> bool:
    """Go on to the first block; tell whether a check sum follows the last."""
    descriptor = _number(stream, 1)
    is_single = descriptor >> 5 & 1
    size_bytes = (is_single, 2, 4, 8)[descriptor >> 6]
    stream.seek((not is_single) + (0, 1, 2, 4)[descriptor & 3] + size_bytes, 1)
    return bool(descriptor >> 2 & 1)


def _number(stream: BinaryIO, count: int) -> int:
    return int.from_bytes(stream.read(count), "little")
