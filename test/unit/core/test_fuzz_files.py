"""Damaged files of settings and weights: only the declared errors may come out."""

from __future__ import annotations

import random

import micro_detector
import pytest
from chance import chance
from test_config import Outer

from streampetr_ros.core.config import load_config
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.checkpoints.published import read_published
from streampetr_ros.model.checkpoints.weights import load_weights, save_weights
from streampetr_ros.track import TrackingConfig

YAML = b"name: x\ninner: {rate: 2.0, sizes: [1, 2], pair: [0.5, 1.5]}\npath: null\non: true\n"
PARTS = (b"{", b"}", b"[", b"]", b":", b"- ", b"&a ", b"*a", b"!!python/object/apply:os.system ")


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Change, cut, insert or repeat some bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        action = rng.randrange(4)
        if action == 0:
            changed[place : place + rng.randint(1, 9)] = rng.randbytes(rng.randint(0, 9))
        elif action == 1:
            changed[place:place] = rng.choice(PARTS)
        elif action == 2 and place > 8:
            del changed[place:]
        else:
            changed[place:place] = changed[: rng.randint(0, 40)]
    return bytes(changed)


@pytest.mark.parametrize("kind", [Outer, TrackingConfig])
def test_configuration(tmp_path, kind):
    rng = chance(0)
    file = tmp_path / "settings.yaml"
    refused = 0
    for _ in range(800):
        file.write_bytes(damaged(rng, YAML))
        try:
            load_config(file, kind)
        except UserError:
            refused += 1
    assert refused > 400


def test_weights(tmp_path):
    rng = chance(1)
    file = tmp_path / "w.safetensors"
    save_weights(file, micro_detector.detector())
    good = file.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    refused = 0
    for k in range(120):
        # Most damage goes where structure is; a changed number is a number all the same.
        head, body = good[:header], good[header:]
        data = damaged(rng, head) + body if k % 3 else damaged(rng, good)
        file.write_bytes(data)
        try:
            load_weights(file)
        except UserError:
            refused += 1
    assert refused > 80


def test_official_checkpoints(tmp_path):
    rng = chance(2)
    file = tmp_path / "official.pth"
    for start in (b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x02}q\x00."):
        for _ in range(40):
            file.write_bytes(start + rng.randbytes(rng.randint(0, 300)))
            with pytest.raises(UserError):
                read_published(file)
