"""Cameras are put into the order of published weights by the words of their names."""

from __future__ import annotations

import random

import pytest

from streampetr_ros.nuscenes.car import nuscenes_order, viewing_direction


@pytest.mark.parametrize(
    "ordered",
    [
        (
            "CAM_FRONT",
            "CAM_FRONT_RIGHT",
            "CAM_FRONT_LEFT",
            "CAM_BACK",
            "CAM_BACK_LEFT",
            "CAM_BACK_RIGHT",
        ),
        ("front", "front_right", "front_left", "rear", "rear_left", "rear_right"),
        ("forward", "right", "left", "backLeft", "backRight"),
        ("camera0", "camera1", "camera2"),
        ("front_narrow", "front_wide", "rear"),
    ],
    ids="/".join,
)
def test_order_of_names(ordered: tuple[str, ...]) -> None:
    shuffled = random.Random(3).sample(ordered, len(ordered))
    assert tuple(sorted(shuffled, key=nuscenes_order)) == ordered


def test_both_sides_are_none() -> None:
    assert viewing_direction("left_right_stitched") == (False, True, True)
    assert nuscenes_order("left_right_stitched")[1] == nuscenes_order("front")[1]
