"""Frame sets as the messages a vehicle would have published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from streampetr_ros.geometry import Array
from streampetr_ros.ros import convert
from streampetr_ros.types import CameraFrame, FrameSet

#: Encodings of images on the wire; png keeps every pixel.
ENCODINGS = ("jpeg", "png", "raw")

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
    """What one camera publishes for one exposure."""

    camera: str
    stamp_ns: int
    image: Image | CompressedImage
    info: CameraInfo


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetMessages:
    """What a vehicle publishes for one frame set.

    Attributes:
        stamp_ns: reference time of the set.
        cameras: in order of their stamps.
        poses: vehicle pose at every stamp of the set.
        mountings: static transforms of cameras and model frame.
    """

    stamp_ns: int
    cameras: tuple[CameraMessages, ...]
    poses: TFMessage
    mountings: TFMessage


def set_messages(frame_set: FrameSet, encoding: str, names: FrameNames) -> SetMessages:
    """Write all messages of a frame set.

    Args:
        frame_set: images with calibration and poses.
        encoding: one of `ENCODINGS`.
        names: TF names.
    """
    ordered = sorted(frame_set.cameras, key=lambda camera: camera.stamp_ns)
    return SetMessages(
        stamp_ns=frame_set.stamp_ns,
        cameras=tuple(_camera_messages(camera, encoding) for camera in ordered),
        poses=_poses(frame_set, names),
        mountings=_mountings(frame_set, names),
    )


def optical_frame(camera: str) -> str:
    """Name a camera's optical frame."""
    return f"{camera}_optical_frame"


def _camera_messages(camera: CameraFrame, encoding: str) -> CameraMessages:
    name, stamp_ns = camera.calibration.name, camera.stamp_ns
    frame_id = optical_frame(name)
    return CameraMessages(
        camera=name,
        stamp_ns=stamp_ns,
        image=_image(camera, encoding, frame_id),
        info=convert.camera_info_message(camera.calibration, stamp_ns, frame_id),
    )


def _image(camera: CameraFrame, encoding: str, frame_id: str) -> Image | CompressedImage:
    if encoding == "raw":
        return convert.image_message(camera.pixels, camera.stamp_ns, frame_id)
    bgr = cv2.cvtColor(camera.pixels, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if encoding == "jpeg" else []
    _, encoded = cv2.imencode(f".{encoding}", bgr, options)
    return convert.compressed_message(encoded.tobytes(), encoding, camera.stamp_ns, frame_id)


def _poses(frame_set: FrameSet, names: FrameNames) -> TFMessage:
    poses = {camera.stamp_ns: camera.fixed_from_base for camera in frame_set.cameras}
    poses[frame_set.stamp_ns] = frame_set.fixed_from_base
    edges = [(names.fixed, names.base, stamp, pose) for stamp, pose in sorted(poses.items())]
    return _tf_message(iter(edges))


def _mountings(frame_set: FrameSet, names: FrameNames) -> TFMessage:
    stamp_ns = min(camera.stamp_ns for camera in frame_set.cameras)
    mounted = {
        optical_frame(camera.calibration.name): camera.calibration.base_from_camera
        for camera in frame_set.cameras
    }
    mounted[names.model] = frame_set.base_from_model
    edges = [(names.base, child, stamp_ns, matrix) for child, matrix in mounted.items()]
    return _tf_message(iter(edges))


def _tf_message(edges: Iterator[tuple[str, str, int, Array]]) -> TFMessage:
    return TFMessage(
        transforms=[
            convert.transform_message(convert.transform_from_matrix(*edge)) for edge in edges
        ]
    )
