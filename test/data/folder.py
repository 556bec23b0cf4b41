"""Where the real recordings are; tests that need them skip when they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]

DATA = Path(os.environ.get("STREAMPETR_DATA", _REPOSITORY.parent / "shared" / "data"))

NUSCENES = ("nusc_scene0061_key0", "nusc_val0_key0")
DDAD = "ddad_scene02_seq3"
MINI_VAL = "nusc_mini_val_meta"

needs_data = pytest.mark.skipif(
    not all((DATA / name).is_dir() for name in (*NUSCENES, DDAD, MINI_VAL)),
    reason="the recordings are not here; set STREAMPETR_DATA to their folder",
)
