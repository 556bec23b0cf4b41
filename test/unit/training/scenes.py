"""Made-up annotated frame sets for the tests of training."""

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, CameraCalibration, CameraFrame, FrameSet, Truth

OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def make_frame_set(index=0, seed=0, size=(36, 64), cameras=2):
    """A moving vehicle, two cameras that fire 20 ms apart, three objects ahead."""
    rng = np.random.default_rng((seed, index))
    stamp_ns = 10**18 + index * 500_000_000
    height, width = size
    frames = []
    for camera in range(cameras):
        calibration = CameraCalibration(
            name=f"camera{camera}",
            width=width,
            height=height,
            intrinsic=np.array(
                [[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1.0]]
            ),
            base_from_camera=geometry.transform_from_parts(
                [1.5, 0, 1.5], geometry.rotation_about_z(0.2 * camera) @ OPTICAL
            ),
        )
        camera_ns = stamp_ns - 20_000_000 * camera
        frames.append(
            CameraFrame(
                calibration=calibration,
                stamp_ns=camera_ns,
                pixels=rng.integers(0, 255, (height, width, 3), dtype=np.uint8),
                fixed_from_base=pose_at((camera_ns - 10**18) * 1e-9),
            )
        )
    boxes = Boxes(
        centers=np.array([[12.0, 1, 0.8], [20, -4, 0.9], [30, 3, 1]]) + rng.normal(0, 0.5, (3, 3)),
        sizes=np.array([[4.5, 1.9, 1.6], [0.7, 0.7, 1.7], [8.0, 2.5, 3.0]]),
        yaws=rng.uniform(-3, 3, 3),
        velocities=np.array([[5.0, 0], [0, 1], [0, 0]]),
    )
    truth = Truth(
        boxes=boxes,
        class_names=("car", "pedestrian", "bus"),
        instance_ids=np.arange(3),
        visibilities=np.array([1.0, 0.5, np.nan]),
    )
    return FrameSet(
        stamp_ns=stamp_ns,
        cameras=tuple(frames),
        fixed_from_base=pose_at((stamp_ns - 10**18) * 1e-9),
        base_from_model=geometry.transform_from_parts(
            [0.94, 0, 1.84], geometry.rotation_about_z(-np.pi / 2)
        ),
        sequence=f"scene{seed}",
        token=f"{seed}-{index}",
        truth=truth,
    )


def pose_at(seconds):
    """8 m/s along a curve, far from the origin."""
    return geometry.transform_from_parts(
        [1e5 + 8 * seconds, -3e4, 0.2], geometry.rotation_about_z(0.1 * seconds)
    )


class Scenes:
    """A source of made-up scenes."""

    def __init__(self, lengths=(5, 4, 6), size=(36, 64)):
        self._lengths = list(lengths)
        self._size = size

    def lengths(self):
        return self._lengths

    def frame_set(self, sequence, frame):
        return make_frame_set(frame, sequence, self._size)
