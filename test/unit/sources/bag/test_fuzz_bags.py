"""Damaged bags: they are read as far as they go, or refused with the declared error."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chance import chance
from rigs import frame_set

from streampetr_ros.core.types import FrameSet
from streampetr_ros.sources import SourceError
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.sources.bag.writer import write_bag

SIZE = (16, 9)
SETS = 2


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Change, cut, insert or repeat some bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed))
        action = rng.randrange(5)
        if action == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif action == 1:
            changed[place : place + rng.randint(1, 9)] = rng.randbytes(rng.randint(0, 9))
        elif action == 2:
            # Lengths and counts are what readers believe.
            changed[place : place + 8] = rng.choice((b"\xff" * 8, b"\0" * 8))
        elif action == 3 and place > 8:
            del changed[place:]
        else:
            changed[place:place] = changed[: rng.randint(0, 40)]
    return bytes(changed)


def frame_sets(path: Path) -> Iterator[FrameSet]:
    """Read a bag to its end, as replay does."""
    yield from BagSource(path)


@pytest.mark.parametrize(("storage", "tries"), [("mcap", 50), ("sqlite3", 30)])
def test_bags(tmp_path: Path, storage: str, tries: int) -> None:
    rng = chance(0)
    good = tmp_path / "good"
    sets = [frame_set(i, size=SIZE) for i in range(SETS)]
    write_bag(sets, good, encoding="jpeg", storage=storage)
    files = sorted(each.name for each in good.iterdir())
    assert len(list(frame_sets(good))) == SETS
    bad = tmp_path / "bad"
    read, refused = 0, []
    for k in range(tries):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        victim = bad / files[k % len(files)]
        victim.write_bytes(damaged(rng, victim.read_bytes()))
        try:
            read += len(list(frame_sets(bad)))
        except SourceError as error:
            refused.append(str(error))
    assert read > 0
    assert len(refused) > tries // 4
    assert all(str(bad) in sentence for sentence in refused)
