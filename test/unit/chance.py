"""Random numbers of the tests that damage files and pictures."""

from __future__ import annotations

import os
import random


def chance(number: int) -> random.Random:
    """Return the numbers of one test, the same every time unless STREAMPETR_FUZZ_SEED is set."""
    seed = int(os.environ.get("STREAMPETR_FUZZ_SEED", "0"))
    print(f"STREAMPETR_FUZZ_SEED={seed}")  # noqa: T201 - shown where a test fails
    return random.Random(1000 * seed + number)
