"""Whether the cameras of a rig look where vehicle cameras look and where their names say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.pictures.pixels import Pixels
from streampetr_ros.ingest.rig import rig_changed

#: Optical axes of vehicle cameras do not rise or fall steeper than this (sine of the angle).
_STEEPEST = 0.85
#: No camera is farther from the origin of the vehicle than this, metres.
_FARTHEST = 25.0
#: Words of names, the axis of the base frame they speak of, its sign, and how far (sine of the
#: angle) a camera may look to the other side: stereo pairs squint, and side cameras look back.
_SIDES = (
    (re.compile(r"front|forward"), 0, 1.0, 0.5),
    (re.compile(r"rear|back"), 0, -1.0, 0.5),
    (re.compile(r"left"), 1, 1.0, 0.34),
    (re.compile(r"right"), 1, -1.0, 0.34),
)


def check_mountings(
    cameras: Mapping[str, CameraCalibration], pictures: Mapping[str, Pixels]
) -> list[str]:
    """Name cameras whose mounting or picture cannot be theirs.

    Args:
        cameras: calibrations by camera.
        pictures: of about the same time, by camera.
    """
    return [
        *_directions(cameras),
        *_distances(cameras),
        *_twins(cameras),
        *_same_pictures(pictures),
    ]


def _directions(cameras: Mapping[str, CameraCalibration]) -> Iterator[str]:
    for name, camera in cameras.items():
        axis = camera.base_from_camera[:3, 2]
        if abs(axis[2]) > _STEEPEST:
            yield (
                f"camera {name} looks straight {'up' if axis[2] > 0 else 'down'}; its frame must "
                "be optical (z into the scene, x right, y down), not that of its body"
            )
        elif _contradicts(name, axis):
            yield (
                f"camera {name} looks {_heading(axis)} by its transform, which is not what its "
                "name says; cameras, frame_ids or calibrations are swapped: compare picture and "
                "mounting with 'streampetr overlay'"
            )


def _contradicts(name: str, axis: Array) -> bool:
    return any(
        word.search(name.lower()) and sign * axis[place] < -most
        for word, place, sign, most in _SIDES
    )


def _heading(axis: Array) -> str:
    degrees = round(float(np.degrees(np.arctan2(axis[1], axis[0]))))
    side = "left" if degrees > 0 else "right"
    return (
        f"{abs(degrees)} degrees to the {side} of straight ahead" if degrees else "straight ahead"
    )


def _distances(cameras: Mapping[str, CameraCalibration]) -> Iterator[str]:
    for name, camera in cameras.items():
        metres = float(np.linalg.norm(camera.base_from_camera[:3, 3]))
        if metres > _FARTHEST:
            yield (
                f"camera {name} is mounted {metres:.0f} m from the origin of the vehicle; "
                "its transform must be in metres"
            )


def _twins(cameras: Mapping[str, CameraCalibration]) -> Iterator[str]:
    """Name pairs of cameras with one mounting and one camera matrix."""
    for one, two in combinations(cameras.values(), 2):
        if rig_changed([one], [replace(two, name=one.name)]) is None:
            yield (
                f"cameras {one.name} and {two.name} have the same calibration and mounting; one "
                "of them is a copy: calibrate each, and give each a frame of its own"
            )


def _same_pictures(pictures: Mapping[str, Pixels]) -> Iterator[str]:
    """Name pairs of cameras that show one picture, unless it is blank."""
    for (name, one), (other, two) in combinations(pictures.items(), 2):
        if np.array_equal(one, two) and np.ptp(one):
            yield (
                f"cameras {name} and {other} show the same picture; one camera is published on "
                "two topics: correct the driver or cameras.image_topics"
            )
