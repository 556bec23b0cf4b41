"""Frame sets as the messages that a vehicle would have published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.messages.standard import (
    Edge,
    Types,
    camera_info_message,
    compressed_message,
    header,
    image_message,
    tf_message,
)

#: Encodings of images; png keeps every pixel.
IMAGE_ENCODINGS = ("jpeg", "png", "raw")

_JPEG_QUALITY = 95


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraMessages:
    """What one camera publishes for one exposure: an Image or CompressedImage, a CameraInfo."""

    camera: str
    stamp_ns: int
    image: Any
    info: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetMessages:
    """What a vehicle publishes for one frame set.

    Attributes:
        stamp_ns: reference time of the set.
        cameras: in order of their stamps.
        poses: TFMessage of the vehicle pose at every stamp of the set.
        mountings: TFMessage of the static transforms of cameras and model frame.
    """

    stamp_ns: int
    cameras: tuple[CameraMessages, ...]
    poses: Any
    mountings: Any


def set_messages(
    types: Types, frame_set: FrameSet, encoding: str, names: FrameNames
) -> SetMessages:
    """Write all messages of a frame set.

    Args:
        types: see `Types`.
        frame_set: images with calibration and poses.
        encoding: one of `IMAGE_ENCODINGS`.
        names: TF names.
    """
    ordered = sorted(frame_set.cameras, key=lambda camera: camera.stamp_ns)
    return SetMessages(
        stamp_ns=frame_set.stamp_ns,
        cameras=tuple(_camera_messages(types, camera, encoding) for camera in ordered),
        poses=tf_message(types, pose_edges(frame_set, names)),
        mountings=tf_message(types, mounting_edges(frame_set, names)),
    )


def image_topic(camera: str, encoding: str) -> str:
    """Name the topic of a camera's images, relative."""
    return f"{camera}/image_raw" if encoding == "raw" else f"{camera}/image_raw/compressed"


def optical_frame_name(camera: str) -> str:
    """Name a camera's optical frame."""
    return f"{camera}_optical_frame"


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
            optical_frame_name(camera.calibration.name): camera.calibration.base_from_camera
            for camera in frame_set.cameras
        },
        names.model: frame_set.base_from_model,
    }
    return [(names.base, child, stamp_ns, matrix) for child, matrix in mounted.items()]


def _camera_messages(types: Types, camera: CameraFrame, encoding: str) -> CameraMessages:
    name, stamp_ns = camera.calibration.name, camera.stamp_ns
    # One each, as whoever receives them has.
    tops = [header(types, stamp_ns, optical_frame_name(name)) for _ in range(2)]
    if encoding == "raw":
        image = image_message(types, camera.pixels, tops[0])
    else:
        image = compressed_message(types, camera.pixels, encoding, _JPEG_QUALITY, tops[0])
    info = camera_info_message(types, camera.calibration, tops[1])
    return CameraMessages(camera=name, stamp_ns=stamp_ns, image=image, info=info)
