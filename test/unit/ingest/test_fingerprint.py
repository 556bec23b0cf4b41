"""Digests of pictures tell a frozen camera from a live one."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from streampetr_ros.ingest.messages import fingerprint

#: A compressed picture, a raw one just too large to be read whole, one of 1600 x 900 pixels.
SIZES = (150_000, (1 << 20) + 1, 1600 * 900 * 3)


def digest(pixels: np.ndarray) -> int:
    return fingerprint(SimpleNamespace(data=array("B", pixels.tobytes())))


@pytest.mark.parametrize("size", SIZES)
def test_the_same_picture_has_the_same_digest_however_it_is_held(size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    for held in (pixels.tobytes(), memoryview(pixels), pixels):
        assert fingerprint(SimpleNamespace(data=held)) == digest(pixels)


@pytest.mark.parametrize("size", SIZES)
def test_noise_or_motion_in_one_place_changes_the_digest(size: int) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, size, dtype=np.uint8)
    assert digest(pixels + rng.integers(0, 2, size, dtype=np.uint8)) != digest(pixels)
    for start in np.linspace(0, size - 5000, 7).astype(int):
        moved = pixels.copy()
        moved[start : start + 5000] += 1
        assert digest(moved) != digest(pixels)
