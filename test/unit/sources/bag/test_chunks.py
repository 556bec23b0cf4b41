"""Chunks that unpack to gigabytes are refused by what they declare, before anything is unpacked."""

from __future__ import annotations

import struct
import tracemalloc

import lz4.frame
import pytest
from rigs import frame_set

from streampetr_ros.core.source import SourceError
from streampetr_ros.sources import open_source
from streampetr_ros.sources.bag.chunks import check_chunks
from streampetr_ros.sources.bag.writer import write_bag

zstd = pytest.importorskip("backports.zstd")

MAGIC = b"\x89MCAP0\r\n"


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(body)) + body


def chunk(packed: bytes, compression: bytes = b"zstd", declared: int = 1000) -> bytes:
    head = struct.pack("<QQQII", 0, 0, declared, 0, len(compression)) + compression
    return record(0x06, head + struct.pack("<Q", len(packed)) + packed)


def file_of(tmp_path, *records):
    file = tmp_path / "bag.mcap"
    file.write_bytes(MAGIC + record(1, bytes(8)) + b"".join(records) + MAGIC)
    return file


def zeros(count: int, **options) -> bytes:
    """Zeros as a stream that does not say how many."""
    packer = zstd.ZstdCompressor(**options)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(count)]
    return b"".join(parts) + packer.flush()


@pytest.mark.parametrize("declared", [1000, 7 << 30])
def test_what_unpacks_to_gigabytes_is_refused_unpacked(tmp_path, declared):
    bomb = zeros(700)
    assert len(bomb) < 100_000
    file = file_of(tmp_path, chunk(zstd.compress(b"good")), chunk(bomb, declared=declared))
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"chunk of \d+ bytes at \d+ .* GiB; record it again"):
        open_source(file)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_frames_and_skipped_parts_add_up(tmp_path):
    skippable = struct.pack("<II", 0x184D2A50, 5) + b"hello"
    checked = {zstd.CompressionParameter.checksum_flag: 1}
    parts = zeros(300, options=checked) + skippable + zeros(300)
    with pytest.raises(SourceError, match=r"0\.6 GiB"):
        check_chunks(file_of(tmp_path, chunk(parts)))
    check_chunks(file_of(tmp_path, chunk(zeros(300) + skippable)))


def test_lz4(tmp_path):
    packed = lz4.frame.compress(bytes(1 << 16))
    check_chunks(file_of(tmp_path, chunk(packed, b"lz4")))
    with pytest.raises(SourceError, match="GiB"):
        check_chunks(file_of(tmp_path, chunk(packed, b"lz4", declared=1 << 40)))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_our_bags_pass(tmp_path, storage):
    write_bag([frame_set(0, size=(16, 9))], tmp_path / "bag", encoding="jpeg", storage=storage)
    for part in (tmp_path / "bag").iterdir():
        check_chunks(part)


def test_damage_is_left_to_the_reader(tmp_path):
    good = chunk(zstd.compress(b"x" * 1000)) * 2
    for end in range(0, len(good), 3):
        check_chunks(file_of(tmp_path, good[:end]))
    check_chunks(file_of(tmp_path, struct.pack("<BQ", 6, 2**64 - 1)))
