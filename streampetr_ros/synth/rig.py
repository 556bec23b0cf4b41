"""Six-camera rigs resembling the nuScenes car: mounting, lenses and firing times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.types import CameraCalibration

#: Image size that `_Camera.focal` and `_PRINCIPAL_POINT` refer to.
_REFERENCE_SIZE = (1600, 900)
_PRINCIPAL_POINT = np.array([810.0, 490.0])
# Columns are the optical axes (right, down, forward) in a frame of x forward, y left, z up.
_MOUNT_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


class _Camera(NamedTuple):
    """Position (metres) and heading (degrees) in the base frame, focal length and firing time."""

    position: tuple[float, float, float]
    heading: float
    focal: float
    offset_ns: int


_CAMERAS = {
    "CAM_FRONT": _Camera((1.70, 0.00, 1.51), 0.0, 1260.0, 7_600_000),
    "CAM_FRONT_RIGHT": _Camera((1.55, -0.50, 1.50), -56.0, 1260.0, 15_500_000),
    "CAM_FRONT_LEFT": _Camera((1.55, 0.50, 1.50), 56.0, 1260.0, 0),
    "CAM_BACK": _Camera((0.03, 0.00, 1.57), 180.0, 805.0, 32_700_000),
    "CAM_BACK_LEFT": _Camera((1.03, 0.48, 1.58), 109.0, 1260.0, 42_600_000),
    "CAM_BACK_RIGHT": _Camera((1.03, -0.48, 1.57), -110.0, 1260.0, 23_000_000),
}

#: Exposure of each camera, in the order of `build_rig`, after the start of a 12 Hz cycle,
#: nanoseconds: a roof LiDAR sweeping clockwise triggers them one by one.
FIRING_OFFSETS_NS: tuple[int, ...] = tuple(camera.offset_ns for camera in _CAMERAS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RigOptions:
    """How a rig deviates from the standard one.

    Attributes:
        width: image width, pixels.
        height: image height, pixels. Another aspect than 16:9 crops the top (too flat) or both
            sides (too tall) of the reference image, as the preprocessing of the detector does, so
            352 x 128 is what that network sees of a 1600 x 900 camera.
        randomness: 0 for the standard rig; 1 varies focal lengths by 8 %, mounting angles by a few
            degrees and positions by some 20 cm.
        seed: of the random deviations.
    """

    width: int = 704
    height: int = 396
    randomness: float = 0.0
    seed: int = 0


def build_rig(options: RigOptions) -> tuple[CameraCalibration, ...]:
    """Return the cameras in the order the network is fed; the same options give the same."""
    rng = np.random.default_rng([options.seed, 0x516])
    return tuple(_calibration(name, options, rng) for name in _CAMERAS)


def _calibration(name: str, options: RigOptions, rng: np.random.Generator) -> CameraCalibration:
    camera = _CAMERAS[name]
    # The last four bent the lenses of an earlier rig; drawing less would change every random one.
    draws = rng.uniform(-1, 1, 13)
    focal, *center = options.randomness * draws[:3] * (0.08, 20.0, 20.0)
    shift = options.randomness * draws[3:6] * (0.2, 0.1, 0.15)
    roll, pitch, yaw = options.randomness * np.radians(draws[6:9] * (1.5, 1.5, 4.0))
    rotation = euler2mat(roll, pitch, np.radians(camera.heading) + yaw)
    width, height = _REFERENCE_SIZE
    scale = max(options.width / width, options.height / height)
    focal = camera.focal * (1 + focal) * scale
    x, y = (_PRINCIPAL_POINT + center) * scale
    # Too much width is cropped from both sides, too much height from the top.
    x -= int(max(0, int(width * scale) - options.width) / 2)
    y -= max(0, int(height * scale) - options.height)
    return CameraCalibration(
        name=name,
        width=options.width,
        height=options.height,
        intrinsic=np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]]),
        base_from_camera=geometry.transform_from_parts(
            camera.position + shift, rotation @ _MOUNT_FROM_OPTICAL
        ),
    )
