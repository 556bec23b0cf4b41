"""The profile for images reaches Fast DDS 2 and 3, and gives way to that of a user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def sourced(**given: str) -> dict[str, str]:
    """Source the environment in a shell; return the variables that name a profile."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    answer = subprocess.run(
        ["bash", "-c", ". scripts/environment.sh && env"],
        cwd=ROOT,
        env={**kept, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (line.partition("=") for line in answer.stdout.splitlines())
    return {name: value for name, _, value in lines if name in NAMES}


def test_every_release_finds_the_shipped_profile() -> None:
    assert sourced() == dict.fromkeys(NAMES, str(ROOT / "config" / "fastdds_shm.xml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_of_the_user_stays_alone(name: str) -> None:
    assert sourced(**{name: "/mine.xml"}) == {name: "/mine.xml"}
