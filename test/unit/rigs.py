"""A small six-camera rig and drives for tests: analytic poses, no files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.track import TrackingConfig

#: base_from_model of the nuScenes weights: roof LiDAR, x right, y forward.
BASE_FROM_MODEL = geometry.transform_from_parts(
    [0.94, 0.0, 1.84], geometry.rotation_about_z(-np.pi / 2)
)

#: Optical axes (x right, y down, z forward) of a camera that looks along base x.
BASE_FROM_FORWARD_OPTICAL = np.array(
    [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], dtype=np.float64
)

#: Name, yaw in degrees and exposure before the reference time in milliseconds.
CAMERAS = (
    ("CAM_FRONT", 0.0, 35.0),
    ("CAM_FRONT_RIGHT", -55.0, 27.0),
    ("CAM_FRONT_LEFT", 55.0, 43.0),
    ("CAM_BACK", 180.0, 10.0),
    ("CAM_BACK_LEFT", 110.0, 0.0),
    ("CAM_BACK_RIGHT", -110.0, 20.0),
)

#: Follows boxes of random weights too, whose scores are low.
EASY_TRACKING = TrackingConfig(
    min_score=1e-4, birth_score=1e-3, confirm_probability=0.03, drop_probability=0.02
)


def calibration(name: str, yaw_degrees: float, size: tuple[int, int] = (400, 225)):
    """One camera of the rig, 1.5 m above ground."""
    width, height = size
    rotation = geometry.rotation_about_z(np.radians(yaw_degrees)) @ BASE_FROM_FORWARD_OPTICAL
    direction = rotation[:, 2]
    return CameraCalibration(
        name=name,
        width=width,
        height=height,
        intrinsic=np.array(
            [[0.8 * width, 0.0, 0.51 * width], [0.0, 0.8 * width, 0.54 * height], [0, 0, 1.0]]
        ),
        base_from_camera=geometry.transform_from_parts(
            [0.8 + 0.8 * direction[0], 0.5 * direction[1], 1.5], rotation
        ),
    )


def rig(size: tuple[int, int] = (400, 225)) -> tuple[CameraCalibration, ...]:
    """The six cameras."""
    return tuple(calibration(name, yaw, size) for name, yaw, _ in CAMERAS)


def driving_pose(seconds: float, speed: float = 12.0, turn_rate: float = 0.15) -> np.ndarray:
    """fixed_from_base of a vehicle on a circle; the origin is left at time zero along x."""
    heading = turn_rate * seconds
    radius = speed / turn_rate
    position = [radius * np.sin(heading), radius * (1.0 - np.cos(heading)), 0.0]
    return geometry.transform_from_parts(position, geometry.rotation_about_z(heading))


def frame_set(
    index: int = 0,
    period: float = 0.5,
    pose=driving_pose,
    start_ns: int = 1_000_000_000,
    size: tuple[int, int] = (400, 225),
) -> FrameSet:
    """Set number `index` of a drive with staggered exposures and noise images."""
    stamp_ns = start_ns + round(index * period * 1e9)
    frames = []
    for number, camera in enumerate(rig(size)):
        lag_ns = round(CAMERAS[number][2] * 1e6)
        rng = np.random.default_rng(abs(round(1000 * index)) + number)
        frames.append(
            CameraFrame(
                calibration=camera,
                stamp_ns=stamp_ns - lag_ns,
                pixels=rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8),
                fixed_from_base=pose(index * period - lag_ns * 1e-9),
            )
        )
    return FrameSet(
        stamp_ns=stamp_ns,
        cameras=tuple(frames),
        fixed_from_base=pose(index * period),
        base_from_model=BASE_FROM_MODEL,
        sequence="drive",
    )


def moved(original: FrameSet, new_from_old: np.ndarray, later_ns: int = 0) -> FrameSet:
    """The same set seen in another fixed frame and at another date."""
    return replace(
        original,
        stamp_ns=original.stamp_ns + later_ns,
        fixed_from_base=new_from_old @ original.fixed_from_base,
        cameras=tuple(
            replace(
                frame,
                stamp_ns=frame.stamp_ns + later_ns,
                fixed_from_base=new_from_old @ frame.fixed_from_base,
            )
            for frame in original.cameras
        ),
    )


def without(original: FrameSet, *names: str) -> FrameSet:
    """The same set with images missing."""
    kept = tuple(frame for frame in original.cameras if frame.calibration.name not in names)
    return replace(original, cameras=kept)
