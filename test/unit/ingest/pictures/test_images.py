"""Raw image decoding against pictures packed by hand, and every way to send a wrong one."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest

from streampetr_ros.ingest.pictures.pixels import ImageError
from streampetr_ros.ingest.pictures.raw import ENCODINGS, RawImage, decode_raw

HEIGHT, WIDTH = 6, 10


def picture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def packed(rows: np.ndarray, pad: int = 0) -> tuple[bytes, int]:
    """Bytes of (rows, ...) samples with `pad` bytes of rubbish after each row, and the step."""
    flat = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    rubbish = np.full((len(rows), pad), 0xAB, np.uint8)
    return np.hstack([flat, rubbish]).tobytes(), flat.shape[1] + pad


def raw(encoding: str, rows: np.ndarray, pad: int = 0, **changes: object) -> RawImage:
    data, step = packed(rows, pad)
    fields = {"height": HEIGHT, "width": WIDTH, "step": step, "data": data}
    return RawImage(encoding=encoding, **{**fields, **changes})


def with_alpha(rgb: np.ndarray) -> np.ndarray:
    return np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)])


def gray(rgb: np.ndarray) -> np.ndarray:
    return np.repeat(rgb[..., :1], 3, axis=2)


COLOR = {
    "rgb8": lambda p: p,
    "bgr8": lambda p: p[..., ::-1],
    "8UC3": lambda p: p[..., ::-1],
    "rgba8": with_alpha,
    "bgra8": lambda p: with_alpha(p[..., ::-1]),
    "8UC4": lambda p: with_alpha(p[..., ::-1]),
}
PADDINGS = [0, 1, 2, 5, 64]


class TestPlainEncodings:
    @pytest.mark.parametrize("pad", PADDINGS)
    @pytest.mark.parametrize("encoding", COLOR)
    def test_color(self, encoding, pad):
        found = decode_raw(raw(encoding, COLOR[encoding](picture()), pad))
        assert np.array_equal(found, picture())
        assert found.flags.c_contiguous

    @pytest.mark.parametrize("pad", PADDINGS)
    @pytest.mark.parametrize("encoding", ["mono8", "8UC1", "MONO8 "])
    def test_gray(self, encoding, pad):
        found = decode_raw(raw(encoding, picture()[..., 0], pad))
        assert np.array_equal(found, gray(picture()))

    @pytest.mark.parametrize("pad", PADDINGS)
    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize("encoding", ["mono16", "16UC1", "rgb16", "bgr16", "rgba16", "bgra16"])
    def test_16_bit(self, encoding, big, pad):
        """8 bit values times 257 are exactly the same picture in 16 bit."""
        channels = COLOR.get(encoding.replace("16", "8"), lambda p: p[..., 0])(picture())
        samples = (channels.astype(np.uint16) * 257).astype(">u2" if big else "<u2")
        found = decode_raw(raw(encoding, samples, pad, is_bigendian=big))
        expected = picture() if channels.ndim == 3 else gray(picture())
        assert np.array_equal(found, expected)

    def test_16_bit_values_are_rounded(self):
        samples = np.full((HEIGHT, WIDTH), 1000, "<u2")
        assert np.all(decode_raw(raw("mono16", samples)) == round(1000 * 255 / 65535))

    def test_rgb8_is_not_copied(self):
        data = bytearray(picture().tobytes())
        found = decode_raw(raw("rgb8", picture(), data=data))
        data[0] ^= 0xFF
        assert found[0, 0, 0] == data[0]
        assert not found.flags.writeable

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda b: array("B", b)])
    def test_any_buffer(self, wrap):
        image = raw("bgr8", picture()[..., ::-1])
        found = decode_raw(raw("bgr8", picture(), data=wrap(image.data)))
        assert np.array_equal(found, picture())

    def test_last_row_without_padding_is_enough(self):
        image = raw("rgb8", picture(), pad=5)
        found = decode_raw(raw("rgb8", picture(), step=image.step, data=image.data[:-5]))
        assert np.array_equal(found, picture())


#: Colors of the first two pixels of the first two rows.
PATTERNS = {
    "rggb": ("rg", "gb"),
    "bggr": ("bg", "gr"),
    "gbrg": ("gb", "rg"),
    "grbg": ("gr", "bg"),
}


class TestMosaics:
    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_flat_color_comes_back(self, pattern, bits):
        color = {"r": 200, "g": 120, "b": 30}
        mosaic = np.zeros((HEIGHT, WIDTH), np.uint8)
        for row, names in enumerate(PATTERNS[pattern]):
            for column, name in enumerate(names):
                mosaic[row::2, column::2] = color[name]
        samples = mosaic if bits == 8 else mosaic.astype("<u2") * 257
        found = decode_raw(raw(f"bayer_{pattern}{bits}", samples, pad=3))
        assert np.abs(found.astype(int) - [200, 120, 30]).max() <= 1


def yuv_of(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """Studio-range BT.601, the form cameras send."""
    r, g, b = (value / 255 for value in rgb)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return round(16 + 219 * y), round(128 + 126.4 * (b - y)), round(128 + 159.8 * (r - y))


class TestHalvedColor:
    @pytest.mark.parametrize("rgb", [(200, 120, 30), (10, 200, 90), (255, 255, 255), (0, 0, 0)])
    @pytest.mark.parametrize("pad", [0, 3])
    @pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"])
    def test_flat_color_comes_back(self, encoding, pad, rgb):
        y, u, v = yuv_of(rgb)
        if encoding.startswith("nv"):
            rows = np.full((HEIGHT * 3 // 2, WIDTH), y, np.uint8)
            rows[HEIGHT:] = np.tile((u, v) if encoding == "nv12" else (v, u), WIDTH // 2)
        else:
            four = (u, y, v, y) if encoding in ("yuv422", "uyvy") else (y, u, y, v)
            rows = np.tile(np.array(four, np.uint8), (HEIGHT, WIDTH // 2))
        found = decode_raw(raw(encoding, rows, pad))
        assert found.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(found.astype(int) - rgb).max() <= 3

    @pytest.mark.parametrize("encoding", ["yuv422", "nv12"])
    def test_odd_width_is_refused(self, encoding):
        with pytest.raises(ImageError, match="even"):
            decode_raw(raw(encoding, np.zeros((HEIGHT, 64), np.uint8), width=9))

    def test_odd_height_is_refused(self):
        with pytest.raises(ImageError, match="even"):
            decode_raw(raw("nv21", np.zeros((9, WIDTH), np.uint8), height=5))


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"width": 0}, "no pixels"),
            ({"height": 0}, "no pixels"),
            ({"width": -3}, "no pixels"),
            ({"width": 2**31, "height": 2**31}, "megapixels"),
            ({"step": 29}, "step of 29 bytes, a row needs 30"),
            ({"step": 0}, "step of 0"),
            ({"data": b""}, "has 0 bytes, expected are 180"),
            ({"data": bytes(179)}, "has 179 bytes"),
            ({"data": bytes(210)}, "has 210 bytes"),
            ({"height": 7}, "expected are 210"),
            ({"step": 2**32 - 1}, "expected are"),
            ({"data": "text"}, "contiguous bytes"),
            ({"data": None}, "contiguous bytes"),
            ({"data": memoryview(bytes(360))[::2]}, "contiguous bytes"),
            ({"encoding": "32FC1"}, "'32FC1' of 10 x 6 has an unknown encoding; publish one of"),
            ({"encoding": ""}, "unknown encoding"),
        ],
    )
    def test_message_says_what_is_wrong(self, changes, word):
        encoding = changes.pop("encoding", "rgb8")
        with pytest.raises(ImageError, match=word):
            decode_raw(raw(encoding, picture(), **changes))

    def test_encodings_are_the_documented_ones(self):
        assert len(ENCODINGS) == 30


class TestForeignConversion:
    def test_is_asked_for_unknown_encodings_only(self):
        asked = []

        def convert(image: RawImage) -> np.ndarray:
            asked.append(image.encoding)
            return picture()

        assert np.array_equal(decode_raw(raw("nv24", picture()), convert), picture())
        decode_raw(raw("rgb8", picture()), convert)
        assert asked == ["nv24"]

    @pytest.mark.parametrize(
        "wrong", [np.zeros((6, 10), np.uint8), picture()[:, :5], picture() / 2.0]
    )
    def test_its_result_is_checked(self, wrong):
        with pytest.raises(ImageError, match="instead of 8 bit RGB"):
            decode_raw(raw("nv24", picture()), lambda image: wrong)

    @pytest.mark.parametrize("kind", [TypeError, RuntimeError, ValueError, cv2.error])
    def test_its_failure_is_an_image_error(self, kind):
        def fail(image: RawImage) -> np.ndarray:
            raise kind("no conversion")

        with pytest.raises(ImageError, match="'nv24' of 10 x 6 could not be converted"):
            decode_raw(raw("nv24", picture()), fail)
