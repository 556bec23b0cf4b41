"""ROS messages to plain values, whichever library made the messages: rclpy, or a reader of bags.

Only fields are looked at, so nothing of ROS is needed here. Quaternions are (w, x, y, z) in the
core and x, y, z, w in messages; stamps are integer nanoseconds in the core.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from streampetr_ros.ingest import rig
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import Pixels, shrink
from streampetr_ros.ingest.pictures.raw import RawImage, decode_raw
from streampetr_ros.ingest.transforms.tree import StampedTransform

_SECOND_NS = 1_000_000_000
#: Pictures of so many bytes are read whole to tell them from the one before; other threads of
#: Python go on meanwhile.
_WHOLE_BYTES = 1 << 20
#: Of larger ones, so many pieces all over them are looked at, each of so many bytes: single bytes
#: as far apart would take as long to fetch as whole pieces.
_PIECES, _PIECE_BYTES = 1024, 64


def stamp_ns_from(stamp: Any) -> int:
    """Return a builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * _SECOND_NS + int(stamp.nanosec)


def stamp_text(stamp_ns: int) -> str:
    """Write a stamp as seconds for messages to people."""
    seconds, nanoseconds = divmod(stamp_ns, _SECOND_NS)
    return f"{seconds}.{nanoseconds:09d}"


def transform_from(message: Any, *, static: bool = False) -> StampedTransform:
    """Read a geometry_msgs/TransformStamped; a static one holds at all times."""
    move, turn = message.transform.translation, message.transform.rotation
    return StampedTransform(
        parent=message.header.frame_id,
        child=message.child_frame_id,
        stamp_ns=None if static else stamp_ns_from(message.header.stamp),
        translation=(move.x, move.y, move.z),
        quaternion_wxyz=(turn.w, turn.x, turn.y, turn.z),
    )


def transform_from_odometry(message: Any) -> StampedTransform:
    """Read the pose of a nav_msgs/Odometry."""
    move, turn = message.pose.pose.position, message.pose.pose.orientation
    return StampedTransform(
        parent=message.header.frame_id,
        child=message.child_frame_id,
        stamp_ns=stamp_ns_from(message.header.stamp),
        translation=(move.x, move.y, move.z),
        quaternion_wxyz=(turn.w, turn.x, turn.y, turn.z),
    )


def camera_info_from(message: Any) -> rig.CameraInfo:
    """Read a sensor_msgs/CameraInfo."""
    roi = message.roi
    return rig.CameraInfo(
        width=message.width,
        height=message.height,
        distortion_model=message.distortion_model,
        d=tuple(message.d),
        k=tuple(message.k),
        r=tuple(message.r),
        p=tuple(message.p),
        binning_x=message.binning_x,
        binning_y=message.binning_y,
        roi=rig.Region(
            x_offset=roi.x_offset, y_offset=roi.y_offset, width=roi.width, height=roi.height
        ),
    )


def decode_message(
    message: Any, reduction: int = 1, convert_other: Callable[[RawImage], Pixels] | None = None
) -> Pixels:
    """Decode a sensor_msgs/Image or CompressedImage.

    Args:
        message: with the bytes.
        reduction: one of `REDUCTIONS`, by which width and height are divided.
        convert_other: as for `decode_raw`.

    Returns:
        (height / reduction, width / reduction, 3) uint8 RGB.

    Raises:
        ImageError: saying what is wrong with it.
    """
    if hasattr(message, "format"):
        return decode_compressed(message.data, message.format, reduction)
    raw = RawImage(
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        data=message.data,
        is_bigendian=bool(message.is_bigendian),
    )
    return shrink(decode_raw(raw, convert_other), reduction)


def fingerprint(message: Any) -> int:
    """Return a cheap digest of an image's data that tells a frozen camera from a live one."""
    data = message.data
    if len(data) <= _WHOLE_BYTES:
        return zlib.crc32(data)
    pieces = np.frombuffer(data, dtype=np.uint8)[-(len(data) // _PIECES) * _PIECES :]
    return zlib.crc32(np.ascontiguousarray(pieces.reshape(_PIECES, -1)[:, :_PIECE_BYTES]).data)
