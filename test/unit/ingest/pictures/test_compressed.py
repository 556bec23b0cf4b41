"""JPEG and PNG: colors, depth, format texts, and the damage that decoders do not mention."""

from __future__ import annotations

import random
import re
import struct
import zlib

import cv2
import numpy as np
import pytest

from streampetr_ros.core.native import library
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import ImageError

HEIGHT, WIDTH = 40, 56


def smooth() -> np.ndarray:
    """RGB picture of slow color gradients, which JPEG keeps within a few gray values."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    return np.stack([40 + 180 * x, 60 + 150 * y, 200 - 120 * x], axis=-1).astype(np.uint8)


def encoded(kind: str, rgb: np.ndarray | None = None, *options: int) -> bytes:
    pixels = smooth() if rgb is None else rgb
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(kind, np.ascontiguousarray(bgr), list(options))[1].tobytes()


JPEG = encoded(".jpg", None, cv2.IMWRITE_JPEG_QUALITY, 95)
PNG = encoded(".png")


def difference(found: np.ndarray, expected: np.ndarray) -> int:
    return int(np.abs(found.astype(int) - expected).max())


class TestColors:
    @pytest.mark.parametrize(
        "text",
        ["", "jpeg", "jpg", "png", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8"],
    )
    def test_decoded_is_rgb(self, text):
        assert difference(decode_compressed(JPEG, text), smooth()) <= 6
        assert np.array_equal(decode_compressed(PNG, text), smooth())

    def test_colors_exchanged_before_encoding_are_exchanged_back(self):
        swapped = encoded(".png", smooth()[..., ::-1])
        found = decode_compressed(swapped, "rgb8; png compressed rgb8")
        assert np.array_equal(found, smooth())
        assert found.flags.c_contiguous

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, np.frombuffer])
    def test_any_buffer(self, wrap):
        data = wrap(PNG, np.uint8) if wrap is np.frombuffer else wrap(PNG)
        assert np.array_equal(decode_compressed(data), smooth())

    def test_gray_jpeg(self):
        found = decode_compressed(encoded(".jpg", smooth()[..., 0]))
        assert difference(found, smooth()[..., :1]) <= 6

    def test_gray_16_bit_and_alpha_png(self):
        deep = smooth().astype(np.uint16) * 257
        assert difference(decode_compressed(encoded(".png", deep)), smooth()) <= 1
        assert difference(decode_compressed(encoded(".png", deep[..., 0])), smooth()[..., :1]) <= 1
        alpha = np.dstack([np.full((HEIGHT, WIDTH), 7, np.uint8), smooth()])  # becomes b g r a
        assert np.array_equal(decode_compressed(encoded(".png", alpha)), smooth())

    @pytest.mark.parametrize("kind", [".jpg", ".png"])
    def test_mosaic_in_a_gray_file(self, kind):
        mosaic = np.full((HEIGHT, WIDTH), 120, np.uint8)
        mosaic[::2, ::2], mosaic[1::2, 1::2] = 200, 30
        found = decode_compressed(
            encoded(kind, mosaic, cv2.IMWRITE_JPEG_QUALITY, 100)
            if kind == ".jpg"
            else encoded(kind, mosaic),
            f"bayer_rggb8; {kind[1:]} compressed ",
        )
        assert difference(found, np.array([200, 120, 30])) <= 8

    def test_exif_orientation_is_ignored(self):
        """A calibration belongs to the picture as stored."""
        tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
        body = b"Exif\0\0" + tiff
        tagged = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + JPEG[2:]
        assert difference(decode_compressed(tagged), smooth()) <= 6

    def test_progressive_and_padded_jpeg(self):
        progressive = encoded(".jpg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
        for data in (progressive, JPEG + bytes(512)):
            assert decode_compressed(data).shape == (HEIGHT, WIDTH, 3)


class TestDamage:
    @pytest.mark.parametrize("data", [JPEG, encoded(".jpg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
    def test_every_truncation_of_a_jpeg_is_noticed(self, data):
        for length in range(2, len(data) - 1, 7):
            with pytest.raises(ImageError, match="truncated"):
                decode_compressed(data[:length])

    def test_end_of_a_thumbnail_is_not_the_end(self):
        thumbnail = b"Exif\0\0" + JPEG[:200] + b"\xff\xd9"
        segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
        tagged = JPEG[:2] + segment + JPEG[2:]
        assert decode_compressed(tagged).shape == (HEIGHT, WIDTH, 3)
        with pytest.raises(ImageError, match="truncated"):
            decode_compressed(tagged[:-200])

    def test_every_truncation_of_a_png_is_noticed(self):
        for length in range(8, len(PNG), 11):
            with pytest.raises(ImageError, match="truncated"):
                decode_compressed(PNG[:length])

    def test_flipped_bits_of_a_png_are_noticed(self):
        for position in range(8, len(PNG), 37):
            with pytest.raises(ImageError):
                decode_compressed(flipped(PNG, position))

    @pytest.mark.parametrize("data", [b"", b"\xff", b"abc", bytes(1000)])
    def test_other_bytes(self, data):
        with pytest.raises(ImageError, match="neither JPEG nor PNG"):
            decode_compressed(data)

    @pytest.mark.parametrize(
        ("start", "name"),
        [
            (b"GIF89a", "GIF"),
            (b"BM", "BMP"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
            (b"II*\0", "TIFF"),
            (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
            (b"\0\0\0\x1cftypavif", "AVIF"),
            (b"\0\0\0\x01\x67", "H.264 or H.265 video"),
        ],
    )
    def test_other_formats_are_named_as_the_sender_does(self, start, name):
        with pytest.raises(ImageError, match=rf"format 'rgb8; odd' is {name}.*publish"):
            decode_compressed(start + bytes(100), "rgb8; odd")

    @pytest.mark.parametrize(
        ("options", "least"),
        [
            ((), 39),
            ((cv2.IMWRITE_JPEG_RST_INTERVAL, 8), 38),
            ((cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 20),
        ],
        ids=["sequential", "restarts", "progressive"],
    )
    @pytest.mark.parametrize("kind", ["zeroed", "garbled", "swapped", "cut", "shifted"])
    def test_damage_inside_a_jpeg_is_noticed(self, kind, options, least):
        """Of 40. What is left reads like a picture; of progressive ones decoders alone judge."""
        if least > 20 and library("jpeg", "") is None:
            pytest.skip("no compiled check")
        rng = random.Random(kind)
        noise = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        street = cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
        good = encoded(".jpg", street, *options)
        said = []
        for _ in range(40):
            try:
                decode_compressed(hurt(rng, kind, good))
            except ImageError as error:
                said.append(str(error))
        assert len(said) >= least
        assert all(re.search("^JPEG .*(damaged|truncated|second frame)", each) for each in said)

    @pytest.mark.parametrize("data", [None, 5.0, "text", [1000]])
    def test_no_bytes(self, data):
        with pytest.raises(ImageError, match="not bytes"):
            decode_compressed(data)


@pytest.mark.parametrize("quality", [5, 60, 100])
@pytest.mark.parametrize("optimized", [0, 1])
@pytest.mark.parametrize("interval", [0, 1, 7])
@pytest.mark.parametrize("sampling", [0x111111, 0x211111, 0x221111, 0x121111, 0x411111])
def test_sound_jpegs_are_whole(quality, optimized, interval, sampling):
    """Every table, block size and edge of the picture that encoders make."""
    built = library("jpeg", "")
    if built is None:
        pytest.skip("no compiled check")
    rng = np.random.default_rng(quality)
    for height, width in ((1, 1), (33, 75), (96, 128)):
        for pixels in (
            rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            np.full((height, width, 3), 255, np.uint8),
            np.full((height, width), 0, np.uint8),
        ):
            data = encoded(
                ".jpg",
                pixels,
                *(cv2.IMWRITE_JPEG_QUALITY, quality),
                *(cv2.IMWRITE_JPEG_OPTIMIZE, optimized),
                *(cv2.IMWRITE_JPEG_RST_INTERVAL, interval),
                *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling),
            )
            assert built.check_jpeg(data, len(data)) == 0


class TestTolerated:
    """What sound cameras and drivers send although the standard says otherwise."""

    def test_zeros_before_the_end(self):
        assert difference(decode_compressed(JPEG[:-2] + bytes(9) + JPEG[-2:]), smooth()) <= 6

    def test_pixels_that_end_in_zeros(self):
        """Where tables are made for the picture, one gray is written as zeros alone."""
        flat = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        data = encoded(".jpg", flat, cv2.IMWRITE_JPEG_OPTIMIZE, 1)
        assert data[-4:-2] == bytes(2)
        assert difference(decode_compressed(data), flat) <= 1

    @pytest.mark.parametrize("tail", [bytes(512), b"\xff\xd9", JPEG, b"\xff" * 7])
    def test_bytes_behind_the_end(self, tail):
        assert np.array_equal(decode_compressed(JPEG + tail), decode_compressed(JPEG))

    def test_no_huffman_tables(self):
        """Frames of MJPEG streams leave out the tables of the standard."""
        plain = encoded(".jpg", None, cv2.IMWRITE_JPEG_QUALITY, 95)
        bare, position = plain[:2], 2
        while plain[position + 1] != 0xDA:
            end = position + 2 + struct.unpack_from(">H", plain, position + 2)[0]
            bare += plain[position:end] if plain[position + 1] != 0xC4 else b""
            position = end
        bare += plain[position:]
        assert len(bare) < len(plain) - 400
        assert np.array_equal(decode_compressed(bare), decode_compressed(plain))

    def test_restarts_and_fill_bytes(self):
        data = encoded(".jpg", None, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
        table = data.index(b"\xff\xdb")
        filled = data[:table] + b"\xff\xff" + data[table:]
        assert np.array_equal(decode_compressed(filled), decode_compressed(data))

    def test_unneeded_chunks_of_a_png(self):
        text = chunk(b"tEXt", b"Comment\0" + bytes(1000)) + chunk(b"gAMA", struct.pack(">I", 9))
        assert np.array_equal(decode_compressed(PNG[:33] + text + PNG[33:]), smooth())


class TestKinds:
    """Only a still picture as cameras send it reaches a decoder."""

    @pytest.mark.parametrize("kind", [b"acTL", b"fcTL", b"fdAT"])
    def test_animated_png(self, kind):
        """A frame larger than the picture ends OpenCV 4.11 with a segmentation fault."""
        control = struct.pack(">IIIIIHHBB", 0, 60000, 60000, 0, 0, 1, 1, 0, 0)
        body = struct.pack(">II", 1, 0) if kind == b"acTL" else control
        with pytest.raises(ImageError, match="animated; publish"):
            decode_compressed(PNG[:33] + chunk(kind, body) + PNG[33:])

    def test_unknown_critical_chunk(self):
        with pytest.raises(ImageError, match="unknown critical chunk 'ABCD'"):
            decode_compressed(PNG[:33] + chunk(b"ABCD", b"") + PNG[33:])

    @pytest.mark.parametrize(
        ("place", "body"), [(8, b""), (33, PNG[16:29]), (-12, PNG[16:29])], ids=str
    )
    def test_chunk_out_of_place(self, place, body):
        kind = b"IHDR" if body else b"PLTE"
        with pytest.raises(ImageError, match="stands where it must not"):
            decode_compressed(PNG[:place] + chunk(kind, body) + PNG[place:])

    @pytest.mark.parametrize("fields", [(8, 5, 0, 0, 0), (3, 2, 0, 0, 0), (8, 2, 1, 0, 0)])
    def test_impossible_png_header(self, fields):
        body = struct.pack(">II", WIDTH, HEIGHT) + bytes(fields)
        with pytest.raises(ImageError, match="impossible header"):
            decode_compressed(PNG[:8] + chunk(b"IHDR", body) + PNG[33:])

    @pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC9, 0xCA])
    def test_jpeg_that_is_lossless_hierarchical_or_arithmetic(self, marker):
        frame = JPEG.index(b"\xff\xc0")
        strange = JPEG[: frame + 1] + bytes([marker]) + JPEG[frame + 2 :]
        with pytest.raises(ImageError, match=f"no camera sends .*0x{marker:02x}"):
            decode_compressed(strange)

    def test_jpeg_of_12_bits_or_four_components(self):
        frame = JPEG.index(b"\xff\xc0")
        deep = JPEG[: frame + 4] + b"\x0c" + JPEG[frame + 5 :]
        with pytest.raises(ImageError, match="12 bits"):
            decode_compressed(deep)
        print_ = JPEG[: frame + 9] + b"\x04" + JPEG[frame + 10 :]
        with pytest.raises(ImageError, match="4 color components"):
            decode_compressed(print_)

    def test_second_frame_header(self):
        frame = JPEG.index(b"\xff\xc0")
        (length,) = struct.unpack_from(">H", JPEG, frame + 2)
        header = JPEG[frame : frame + 2 + length]
        with pytest.raises(ImageError, match="second frame header"):
            decode_compressed(JPEG[:frame] + header + JPEG[frame:])

    def test_jpeg_without_picture(self):
        with pytest.raises(ImageError, match="holds no picture"):
            decode_compressed(b"\xff\xd8\xff\xd9")


class TestBombs:
    """A small file may claim any size; nothing of that size must be allocated."""

    def test_jpeg(self):
        frame = JPEG.index(b"\xff\xc0")
        huge = JPEG[: frame + 5] + struct.pack(">HH", 65000, 65000) + JPEG[frame + 9 :]
        with pytest.raises(ImageError, match="65000 x 65000 exceeds"):
            decode_compressed(huge)

    @pytest.mark.parametrize("large", [False, True])
    def test_jpeg_of_endless_scans(self, large):
        """Each scan costs as much as the picture is large, however few bytes it has."""
        data = encoded(".jpg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
        last = data.rindex(b"\xff\xda")
        bomb = data[:-2] + data[last:-2] * (20 if large else 300) + data[-2:]
        if large:
            frame = bomb.index(b"\xff\xc2")
            bomb = bomb[: frame + 5] + struct.pack(">HH", 8000, 8000) + bomb[frame + 9 :]
        with pytest.raises(
            ImageError, match=r"has \d+ or more scans, which would take far too long"
        ):
            decode_compressed(bomb)

    @pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (0, 5)])
    def test_png(self, size):
        head = b"IHDR" + struct.pack(">II", *size) + PNG[24:29]
        huge = PNG[:12] + head + struct.pack(">I", zlib.crc32(head)) + PNG[33:]
        with pytest.raises(ImageError, match=f"{size[0]} x {size[1]}"):
            decode_compressed(huge)


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def hurt(rng: random.Random, kind: str, data: bytes) -> bytes:
    """Damage the pixels of a JPEG, not its tables."""
    changed, first = bytearray(data), data.index(b"\xff\xda") + 20
    place, other = (rng.randrange(first, len(data) - 220) for _ in range(2))
    if kind == "zeroed":
        changed[place : place + 200] = bytes(200)
    elif kind == "garbled":
        changed[place : place + 200] = rng.randbytes(200)
    elif kind == "swapped":
        changed[place : place + 99], changed[other : other + 99] = (
            data[other : other + 99],
            data[place : place + 99],
        )
    elif kind == "cut":
        del changed[place : place + 99]
    else:
        changed[place:place] = rng.randbytes(99)
    return bytes(changed)
