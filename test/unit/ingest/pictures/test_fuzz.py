"""Bytes and numbers from outside, at random: only the declared errors may come out."""

from __future__ import annotations

import random
import struct
import zlib

import cv2
import numpy as np
from chance import chance

from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import ImageError
from streampetr_ros.ingest.pictures.raw import ENCODINGS, RawImage, decode_raw
from streampetr_ros.ingest.rig import CalibrationError, CameraInfo, Region, build_calibration
from streampetr_ros.ingest.transforms.tree import (
    TransformError,
    TransformTree,
    TransformUnavailable,
)

ODD_NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, 1e9, float("nan"), float("inf"), 500.0, 300.0)
ODD_SIZES = (0, 1, 2, 3, 7, 8, 15, 16, 640, 65535, 2**31, 2**32 - 1)


def is_picture(pixels: np.ndarray, height: int, width: int) -> bool:
    return pixels.shape == (height, width, 3) and pixels.dtype == np.uint8


def test_raw_images():
    rng = chance(0)
    encodings = [*sorted(ENCODINGS), "32FC1", "", "jpeg"]
    decoded = 0
    for _ in range(6000):
        width, height = (rng.choice(ODD_SIZES[:9]) for _ in range(2))
        step = rng.choice(
            (width, 2 * width, 3 * width, 4 * width, 8 * width, rng.choice(ODD_SIZES))
        )
        size = rng.choice((step * height, step * height * 3 // 2, rng.choice(ODD_SIZES[:10])))
        image = RawImage(
            encoding=rng.choice(encodings),
            height=height,
            width=width,
            step=step,
            data=bytes(min(size, 100_000)),
            is_bigendian=rng.random() < 0.3,
        )
        try:
            assert is_picture(decode_raw(image), height, width)
            decoded += 1
        except ImageError:
            continue
    assert decoded > 300


def test_compressed_images():
    rng = chance(1)
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    files = [cv2.imencode(kind, picture)[1].tobytes() for kind in (".jpg", ".png")]
    decoded = 0
    for _ in range(1500):
        data = damaged(rng, bytearray(rng.choice(files)))
        text = rng.choice(
            ("", "jpeg", "bayer_rggb8; jpeg compressed ", ";;", "rgb8; png compressed")
        )
        try:
            pixels = decode_compressed(data, text)
            assert is_picture(pixels, *pixels.shape[:2])
            decoded += 1
        except ImageError:
            continue
    assert decoded > 50


def damaged(rng: random.Random, data: bytearray) -> bytes:
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place : place + rng.randint(1, 40)] = rng.randbytes(rng.randint(0, 40))
        elif kind == 2 and len(data) > 4:
            del data[max(2, place) :]
        else:
            data += rng.randbytes(20)
    return bytes(data)


def test_pngs_with_right_check_sums():
    """Damage that check sums do not reveal reaches the decoder itself."""
    rng = chance(2)
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    good = cv2.imencode(".png", picture)[1].tobytes()
    start = good.index(b"IDAT")
    (length,) = struct.unpack_from(">I", good, start - 4)
    for _ in range(300):
        body = bytearray(good[start : start + 4 + length])
        body[rng.randrange(4, len(body))] ^= 1 << rng.randrange(8)
        check = struct.pack(">I", zlib.crc32(body))
        data = good[:start] + bytes(body) + check + good[start + 8 + length :]
        try:
            assert is_picture(decode_compressed(data), 24, 32)
        except ImageError:
            continue


def test_random_bytes_are_no_pictures():
    rng = chance(3)
    for _ in range(500):
        start = rng.choice((b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        data = start + rng.randbytes(rng.randint(0, 300))
        try:
            decode_compressed(data)
        except ImageError:
            continue
        raise AssertionError(f"random bytes decoded: {data.hex()}")


def test_camera_info():
    rng = chance(4)
    good_k = [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]
    good_p = [500.0, 0.0, 320.0, 0.0, 0.0, 500.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    good_r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    built = 0
    for _ in range(4000):
        info = CameraInfo(
            width=rng.choice((640, 640, 640, 0, 1, 2**32 - 1)),
            height=rng.choice((480, 480, 480, 0, 1, 2**32 - 1)),
            distortion_model=rng.choice(
                ("plumb_bob", "equidistant", "", "rational_polynomial", "x")
            ),
            d=[rng.choice((*ODD_NUMBERS, 0.1)) for _ in range(rng.choice((0, 4, 5, 8, 14, 20)))],
            k=spoiled(rng, good_k),
            r=spoiled(rng, good_r),
            p=spoiled(rng, good_p),
            binning_x=rng.choice((0, 0, 1, 2, 1000)),
            binning_y=rng.choice((0, 0, 1, 2, 1000)),
            roi=rng.choice((Region(), Region(), Region(x_offset=5, width=10, height=10**6))),
        )
        mounting = np.eye(4)
        if rng.random() < 0.1:
            mounting[rng.randrange(4), rng.randrange(4)] = rng.choice(ODD_NUMBERS)
        try:
            found = build_calibration("c", info, mounting, rectified=rng.random() < 0.5)
        except CalibrationError:
            continue
        built += 1
        assert np.all(np.isfinite(found.intrinsic))
        assert np.all(np.isfinite(found.base_from_camera))
        assert min(found.width, found.height) > 0
        assert min(found.intrinsic[0, 0], found.intrinsic[1, 1]) > 0
    assert built > 100


def spoiled(rng: random.Random, values: list[float]) -> list[float]:
    result = values[:]
    for _ in range(rng.choice((0, 0, 1, 2))):
        result[rng.randrange(len(result))] = rng.choice(ODD_NUMBERS)
    if rng.random() < 0.05:
        del result[rng.randrange(len(result)) :]
    return result


def test_transforms():
    rng = chance(5)
    names = ["a", "b", "c", "/a", "", "/"]
    found = 0
    for k in range(4000):
        if k % 20 == 0:  # before all the frames hang in one loop
            tree = TransformTree(max_reorder_ns=10**10)
        parent, child = rng.choice(names), rng.choice(names)
        rotation = rng.choice(((1.0, 0.0, 0.0, 0.0), [rng.choice(ODD_NUMBERS) for _ in range(4)]))
        position = [rng.choice(ODD_NUMBERS) for _ in range(3)]
        try:
            stamp = None if rng.random() < 0.1 else rng.randint(-5, 3 * 10**9)
            tree.insert(parent, child, stamp, position, rotation)
        except TransformError:
            pass
        try:
            stamp = rng.randint(0, 3 * 10**9)
            assert tree.lookup(rng.choice(names), rng.choice(names), stamp).shape == (4, 4)
            found += 1
        except TransformUnavailable:
            continue
    assert found > 50
