"""What a vehicle publishes for a frame set, before a library makes messages of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import FrameSet

#: Encodings of images; png keeps every pixel.
ENCODINGS = ("jpeg", "png", "raw")

_JPEG_QUALITY = 95

#: One transform: parent, child, stamp in nanoseconds, (4, 4) parent_from_child.
Edge = tuple[str, str, int, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNames:
    """TF names of the frames that are published.

    Attributes:
        fixed: fixed frame.
        base: vehicle frame.
        model: frame the network predicts in.
    """

    fixed: str = "odom"
    base: str = "base_link"
    model: str = "lidar_top"


def optical_frame(camera: str) -> str:
    """Name a camera's optical frame."""
    return f"{camera}_optical_frame"


def compress(pixels: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    """Return (height, width, 3) RGB pixels as the (n,) bytes of a JPEG or PNG file.

    Args:
        pixels: the picture.
        encoding: "jpeg" or "png".
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if encoding == "jpeg" else []
    _, encoded = cv2.imencode(f".{encoding}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return np.asarray(encoded, dtype=np.uint8).ravel()


def pose_edges(frame_set: FrameSet, names: FrameNames) -> list[Edge]:
    """Return the vehicle pose at every stamp of a frame set."""
    poses = {camera.stamp_ns: camera.fixed_from_base for camera in frame_set.cameras}
    poses[frame_set.stamp_ns] = frame_set.fixed_from_base
    return [(names.fixed, names.base, stamp, pose) for stamp, pose in sorted(poses.items())]


def mounting_edges(frame_set: FrameSet, names: FrameNames) -> list[Edge]:
    """Return the mountings of cameras and model frame on the vehicle."""
    stamp_ns = min(camera.stamp_ns for camera in frame_set.cameras)
    mounted: Mapping[str, Array] = {
        **{
            optical_frame(camera.calibration.name): camera.calibration.base_from_camera
            for camera in frame_set.cameras
        },
        names.model: frame_set.base_from_model,
    }
    return [(names.base, child, stamp_ns, matrix) for child, matrix in mounted.items()]
