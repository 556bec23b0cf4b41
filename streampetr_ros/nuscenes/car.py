"""The car of nuScenes, whose frame and order of cameras published weights have learned."""

from __future__ import annotations

import re

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array

#: (4, 4) mounting of the roof LiDAR, which is the model frame: x right, y forward.
BASE_FROM_NUSCENES_LIDAR: Array = geometry.transform_from_parts(
    [0.94, 0.0, 1.84], geometry.rotation_about_z(-np.pi / 2)
)

#: Order in which the published models take the cameras.
CAMERA_ORDER: tuple[str, ...] = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_FRONT_LEFT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_BACK_RIGHT",
)

_BEHIND = re.compile(r"rear|back", re.IGNORECASE)


def viewing_direction(camera: str) -> tuple[bool, bool, bool]:
    """Return whether the words of a name mean behind, left and right.

    Example:
        >>> viewing_direction("CAM_BACK_LEFT")
        (True, True, False)
    """
    lower = camera.lower()
    return bool(_BEHIND.search(lower)), "left" in lower, "right" in lower


def nuscenes_order(camera: str) -> tuple[bool, int, str]:
    """Return a key that sorts cameras as published weights know them.

    That is front, front right, front left, back, back left, back right; cameras whose names say
    the same are sorted by name. Token t takes the focal length of camera t mod 6 in those weights.

    Example:
        >>> sorted(["rear", "left", "right", "front"], key=nuscenes_order)
        ['front', 'right', 'left', 'rear']
    """
    behind, left, right = viewing_direction(camera)
    side = 0 if left == right else 1 if right != behind else 2
    return behind, side, camera.lower()
