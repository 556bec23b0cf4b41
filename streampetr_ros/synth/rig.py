"""Six-camera rigs resembling the nuScenes car: mounting, lenses and firing times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Array, CameraCalibration

#: Camera names in the order the network is fed.
CAMERA_NAMES: tuple[str, ...] = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_FRONT_LEFT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_BACK_RIGHT",
)

#: Exposure of each camera after the start of a 12 Hz cycle, nanoseconds: a roof LiDAR sweeping
#: clockwise triggers them one by one.
FIRING_OFFSETS_NS: dict[str, int] = {
    "CAM_FRONT_LEFT": 0,
    "CAM_FRONT": 7_600_000,
    "CAM_FRONT_RIGHT": 15_500_000,
    "CAM_BACK_RIGHT": 23_000_000,
    "CAM_BACK": 32_700_000,
    "CAM_BACK_LEFT": 42_600_000,
}

#: Image size that `_FOCAL_LENGTHS` and `_PRINCIPAL_POINT` refer to.
REFERENCE_SIZE: tuple[int, int] = (1600, 900)

_PRINCIPAL_POINT = (810.0, 490.0)
_FOCAL_LENGTHS = dict.fromkeys(CAMERA_NAMES, 1260.0) | {"CAM_BACK": 805.0}
# x, y, z in metres and heading in degrees, base frame.
_MOUNTS = {
    "CAM_FRONT": (1.70, 0.00, 1.51, 0.0),
    "CAM_FRONT_RIGHT": (1.55, -0.50, 1.50, -56.0),
    "CAM_FRONT_LEFT": (1.55, 0.50, 1.50, 56.0),
    "CAM_BACK": (0.03, 0.00, 1.57, 180.0),
    "CAM_BACK_LEFT": (1.03, 0.48, 1.58, 109.0),
    "CAM_BACK_RIGHT": (1.03, -0.48, 1.57, -110.0),
}
# Columns are the optical axes (right, down, forward) in a frame of x forward, y left, z up.
_MOUNT_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class RigOptions:
    """How a rig deviates from the standard one.

    Attributes:
        width: image width, pixels.
        height: image height, pixels. Another aspect than 16:9 crops the top (too flat) or both
            sides (too tall) of the reference image, as the preprocessing of the detector does, so
            352 x 128 is what that network sees of a 1600 x 900 camera.
        staggered: cameras fire at `FIRING_OFFSETS_NS`; otherwise all at once.
        randomness: 0 for the standard rig; 1 varies focal lengths by 8 %, mounting angles by a few
            degrees and positions by some 20 cm.
        distorted: lenses with radial distortion ("plumb_bob") instead of ideal ones.
        seed: of the random deviations.
    """

    width: int = 704
    height: int = 396
    staggered: bool = True
    randomness: float = 0.0
    distorted: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rig:
    """Calibrated cameras with their firing times.

    Attributes:
        calibrations: one per camera, order of `CAMERA_NAMES`.
        offsets_ns: exposure of each camera after the start of its cycle.
        base_from_model: (4, 4) float64 mounting of the model frame (x right, y forward).
    """

    calibrations: tuple[CameraCalibration, ...]
    offsets_ns: tuple[int, ...]
    base_from_model: Array


def standard_base_from_model() -> Array:
    """Return the mounting of the model frame: a roof LiDAR whose y axis points forward."""
    return geometry.transform_from_parts([0.94, 0.0, 1.84], geometry.rotation_about_z(-np.pi / 2))


def build_rig(options: RigOptions) -> Rig:
    """Build a rig; the same options give the same rig."""
    rng = np.random.default_rng([options.seed, 0x516])
    return Rig(
        calibrations=tuple(_calibration(name, options, rng) for name in CAMERA_NAMES),
        offsets_ns=tuple(
            FIRING_OFFSETS_NS[name] if options.staggered else 0 for name in CAMERA_NAMES
        ),
        base_from_model=standard_base_from_model(),
    )


def _calibration(name: str, options: RigOptions, rng: np.random.Generator) -> CameraCalibration:
    # Draw always, so that the options do not change what later draws mean.
    focal, center_x, center_y = options.randomness * rng.uniform(-1, 1, 3) * (0.08, 20.0, 20.0)
    shift = options.randomness * rng.uniform(-1, 1, 3) * (0.2, 0.1, 0.15)
    roll, pitch, yaw = options.randomness * np.radians(rng.uniform(-1, 1, 3) * (1.5, 1.5, 4.0))
    # Scaled by the focal length: a wide lens sees larger slopes and must stay monotonic.
    bend = rng.uniform(-1, 1, 4) * (0.04, 0.01, 0.001, 0.001) + (-0.15, 0.03, 0.0, 0.0)
    bend *= _FOCAL_LENGTHS[name] / _FOCAL_LENGTHS["CAM_FRONT"]
    x, y, z, heading = _MOUNTS[name]
    rotation = geometry.rotation_from_rpy(roll, pitch, np.radians(heading) + yaw)
    return CameraCalibration(
        name=name,
        width=options.width,
        height=options.height,
        intrinsic=_fit_intrinsic(
            _FOCAL_LENGTHS[name] * (1 + focal),
            (_PRINCIPAL_POINT[0] + center_x, _PRINCIPAL_POINT[1] + center_y),
            (options.width, options.height),
        ),
        base_from_camera=geometry.transform_from_parts(
            np.array([x, y, z]) + shift, rotation @ _MOUNT_FROM_OPTICAL
        ),
        distortion_model="plumb_bob" if options.distorted else "none",
        distortion=np.append(bend, 0.0) if options.distorted else np.zeros(0),
    )


def _fit_intrinsic(focal: float, center: tuple[float, float], size: tuple[int, int]) -> Array:
    """Scale a reference camera matrix to `size`, cropping the top or both sides."""
    scale = max(size[0] / REFERENCE_SIZE[0], size[1] / REFERENCE_SIZE[1])
    left = int(max(0, int(REFERENCE_SIZE[0] * scale) - size[0]) / 2)
    top = max(0, int(REFERENCE_SIZE[1] * scale) - size[1])
    return np.array(
        [
            [focal * scale, 0.0, center[0] * scale - left],
            [0.0, focal * scale, center[1] * scale - top],
            [0.0, 0.0, 1.0],
        ]
    )
