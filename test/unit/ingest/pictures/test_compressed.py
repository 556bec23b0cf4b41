"""JPEG and PNG: colors, depth, format texts, and the damage that decoders do not mention."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from streampetr_ros.ingest.pictures import compressed
from streampetr_ros.ingest.pictures.compressed import decode_compressed, jpeg_decoder
from streampetr_ros.ingest.pictures.raw import ImageError

HEIGHT, WIDTH = 40, 56


def smooth() -> np.ndarray:
    """RGB picture of slow color gradients, which JPEG keeps within a few grey values."""
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

    @pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a", b"BM" + bytes(100), bytes(1000)])
    def test_other_bytes(self, data):
        with pytest.raises(ImageError, match="neither JPEG nor PNG"):
            decode_compressed(data)

    @pytest.mark.parametrize("data", [None, 5.0, "text", [1000]])
    def test_no_bytes(self, data):
        with pytest.raises(ImageError, match="not bytes"):
            decode_compressed(data)


class TestBombs:
    """A small file may claim any size; nothing of that size must be allocated."""

    def test_jpeg(self):
        frame = JPEG.index(b"\xff\xc0")
        huge = JPEG[: frame + 5] + struct.pack(">HH", 65000, 65000) + JPEG[frame + 9 :]
        with pytest.raises(ImageError, match="65000 x 65000 exceeds"):
            decode_compressed(huge)

    @pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (0, 5)])
    def test_png(self, size):
        head = b"IHDR" + struct.pack(">II", *size) + PNG[24:29]
        huge = PNG[:12] + head + struct.pack(">I", zlib.crc32(head)) + PNG[33:]
        with pytest.raises(ImageError, match=f"{size[0]} x {size[1]}"):
            decode_compressed(huge)


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


SAMPLINGS = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


class TestJpegDecoders:
    """simplejpeg, where installed, and OpenCV give the same pixels."""

    @pytest.fixture
    def both(self, monkeypatch):
        pytest.importorskip("simplejpeg")

        def decode_twice(data: bytes, text: str = "") -> tuple[np.ndarray, np.ndarray]:
            fast = decode_compressed(data, text)
            with monkeypatch.context() as patch:
                patch.setattr(compressed, "simplejpeg", None)
                return fast, decode_compressed(data, text)

        return decode_twice

    @pytest.mark.parametrize("sampling", SAMPLINGS)
    @pytest.mark.parametrize("progressive", [0, 1])
    @pytest.mark.parametrize("quality", [30, 90, 100])
    def test_equal_pixels(self, both, sampling, progressive, quality):
        noise = np.random.default_rng(quality).integers(0, 256, (75, 101, 3), dtype=np.uint8)
        data = encoded(
            ".jpg",
            noise,
            *(cv2.IMWRITE_JPEG_QUALITY, quality),
            *(cv2.IMWRITE_JPEG_PROGRESSIVE, progressive),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling]),
        )
        for text in ("", "rgb8; jpeg compressed rgb8"):
            fast, reference = both(data, text)
            assert np.array_equal(fast, reference)
            assert fast.flags.c_contiguous

    def test_equal_gray_pixels(self, both):
        fast, reference = both(encoded(".jpg", smooth()[..., 0]))
        assert np.array_equal(fast, reference)

    def test_what_one_refuses_the_other_judges(self, both):
        """Stray bytes before the end are a warning to OpenCV and an error to simplejpeg."""
        fast, reference = both(JPEG[:-2] + b"stray" + JPEG[-2:])
        assert np.array_equal(fast, reference)

    def test_is_named(self, monkeypatch):
        pytest.importorskip("simplejpeg")
        assert jpeg_decoder().startswith("simplejpeg")
        monkeypatch.setattr(compressed, "simplejpeg", None)
        assert jpeg_decoder().startswith("OpenCV")
