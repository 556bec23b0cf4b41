"""Where RViz puts the pictures: names of cameras in the stored state of its window."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from streampetr_ros.nuscenes.car import viewing_direction


def camera_places(shipped: Sequence[str], cameras: Sequence[str]) -> dict[str, str]:
    """Give each camera the place of a shipped one that looks the same way by its name, else any.

    Args:
        shipped: names that have places.
        cameras: names of the vehicle's cameras.

    Returns:
        Shipped name to camera; as many as there are of both.
    """
    places: dict[str, str] = {}
    waiting = list(cameras)
    for place in shipped:
        direction = viewing_direction(place)
        alike = [camera for camera in waiting if viewing_direction(camera) == direction]
        if alike:
            places[place] = alike[0]
            waiting.remove(alike[0])
    free = [place for place in shipped if place not in places]
    return places | dict(zip(free, waiting, strict=False))


def renamed_state(state: str, places: Mapping[str, str]) -> str:
    """Rename docks in the state of a QMainWindow, hexadecimal as RViz stores it.

    Qt writes a name as its length in bytes, 4 bytes, and UTF-16, both big-endian. Docks that there
    are not keep their place empty; docks that have none go to the left.
    """
    if not places:
        return state
    parts = {_name(old): _name(new) for old, new in places.items()}
    pattern = re.compile(b"|".join(map(re.escape, parts)))
    return pattern.sub(lambda found: parts[found[0]], bytes.fromhex(state)).hex()


def _name(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return len(encoded).to_bytes(4, "big") + encoded
