"""What a stream is deprived of, as changes of its frame sets: the network and pipeline stay as is.

Each function takes a frame set and returns the one the pipeline gets instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import FrameSet

Change = Callable[[FrameSet], FrameSet]


def unchanged(frame_set: FrameSet) -> FrameSet:
    """Keep everything."""
    return frame_set


def without_memory(frame_set: FrameSet) -> FrameSet:
    """Make every frame set a sequence of its own, which restarts the memory."""
    return replace(frame_set, sequence=f"{frame_set.sequence}@{frame_set.stamp_ns}")


def without_ego_motion(frame_set: FrameSet) -> FrameSet:
    """Hide the motion between frame sets; the motion within a set stays compensated."""
    base_from_fixed = geometry.inverse(frame_set.fixed_from_base)
    cameras = tuple(
        replace(camera, fixed_from_base=base_from_fixed @ camera.fixed_from_base)
        for camera in frame_set.cameras
    )
    return replace(frame_set, cameras=cameras, fixed_from_base=np.eye(4))


def without_camera_motion(frame_set: FrameSet) -> FrameSet:
    """Pretend that every camera exposed at the reference time."""
    cameras = tuple(
        replace(camera, fixed_from_base=frame_set.fixed_from_base) for camera in frame_set.cameras
    )
    return replace(frame_set, cameras=cameras)


def without_camera(index: int) -> Change:
    """Return the change that drops one camera."""

    def change(frame_set: FrameSet) -> FrameSet:
        cameras = frame_set.cameras[:index] + frame_set.cameras[index + 1 :]
        return replace(frame_set, cameras=cameras)

    return change


#: Changes by the name used on the command line.
ABLATIONS: dict[str, Change] = {
    "none": unchanged,
    "no-memory": without_memory,
    "no-ego-motion": without_ego_motion,
    "no-camera-motion": without_camera_motion,
    "no-front-camera": without_camera(0),
}
