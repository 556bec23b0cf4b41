"""Frame sets as the messages a vehicle would have published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.messages.published import (
    Edge,
    FrameNames,
    compress,
    mounting_edges,
    optical_frame,
    pose_edges,
)
from streampetr_ros.ros import convert


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
        encoding: one of `sources.published.ENCODINGS`.
        names: TF names.
    """
    ordered = sorted(frame_set.cameras, key=lambda camera: camera.stamp_ns)
    return SetMessages(
        stamp_ns=frame_set.stamp_ns,
        cameras=tuple(_camera_messages(camera, encoding) for camera in ordered),
        poses=_tf_message(pose_edges(frame_set, names)),
        mountings=_tf_message(mounting_edges(frame_set, names)),
    )


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
    data = compress(camera.pixels, encoding).tobytes()
    return convert.compressed_message(data, encoding, camera.stamp_ns, frame_id)


def _tf_message(edges: Iterable[Edge]) -> TFMessage:
    return TFMessage(
        transforms=[
            convert.transform_message(convert.transform_from_matrix(*edge)) for edge in edges
        ]
    )
