"""ROS 2 messages made and serialised without ROS."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration, CameraFrame
from streampetr_ros.messages.published import Edge, compress, optical_frame

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
MARKERS = "visualization_msgs/msg/MarkerArray"

_SECOND_NS = 1_000_000_000


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """Return the definitions of the standard messages, which all releases of ROS 2 share."""
    return get_typestore(Stores.ROS2_HUMBLE)


def make(kind: str, **fields: Any) -> Any:
    """Build a message of a type such as "std_msgs/msg/Header"."""
    return typestore().types[kind](**fields)


def serialise(message: Any) -> bytes:
    """Return a message's bytes, CDR as in bags and on the wire."""
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def time_message(stamp_ns: int) -> Any:
    """Return a stamp as a message."""
    seconds, nanoseconds = divmod(stamp_ns, _SECOND_NS)
    return make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)


def header(stamp_ns: int, frame_id: str) -> Any:
    """Return a header."""
    return make("std_msgs/msg/Header", stamp=time_message(stamp_ns), frame_id=frame_id)


def image_message(frame: CameraFrame, encoding: str) -> Any:
    """Write a camera's picture.

    Args:
        frame: the picture.
        encoding: "jpeg", "png" (keeps every pixel) or "raw".
    """
    top = header(frame.stamp_ns, optical_frame(frame.calibration.name))
    if encoding == "raw":
        return _raw_message(frame.pixels, top)
    return compressed_message(frame.pixels, encoding, top)


def compressed_message(pixels: NDArray[np.uint8], encoding: str, top: Any) -> Any:
    """Write (height, width, 3) RGB pixels as a compressed image.

    Args:
        pixels: the picture.
        encoding: "jpeg" or "png".
        top: header.
    """
    return make(
        COMPRESSED,
        header=top,
        format=f"rgb8; {encoding} compressed bgr8",
        data=compress(pixels, encoding),
    )


def _raw_message(pixels: NDArray[np.uint8], top: Any) -> Any:
    height, width = pixels.shape[:2]
    return make(
        IMAGE,
        header=top,
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(pixels).ravel(),
    )


def camera_info_message(calibration: CameraCalibration, stamp_ns: int) -> Any:
    """Write intrinsics; P is K because the images are what K and D describe."""
    plain = calibration.distortion_model == "none"
    projection = np.zeros((3, 4))
    projection[:, :3] = calibration.intrinsic
    return make(
        CAMERA_INFO,
        header=header(stamp_ns, optical_frame(calibration.name)),
        height=calibration.height,
        width=calibration.width,
        distortion_model="plumb_bob" if plain else calibration.distortion_model,
        d=np.zeros(5) if plain else np.asarray(calibration.distortion, dtype=np.float64),
        k=np.ascontiguousarray(calibration.intrinsic, dtype=np.float64).ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
        binning_x=0,
        binning_y=0,
        roi=make(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        ),
    )


def tf_message(edges: list[Edge]) -> Any:
    """Write transforms."""
    return make(TF, transforms=[_transform_message(edge) for edge in edges])


def vector(kind: str, values: Array) -> Any:
    """Return a geometry_msgs message with x, y and z, such as "Point" or "Vector3"."""
    x, y, z = (float(value) for value in values)
    return make(f"geometry_msgs/msg/{kind}", x=x, y=y, z=z)


def quaternion(rotation: Array) -> Any:
    """Return a (3, 3) rotation as a message."""
    w, x, y, z = (float(value) for value in geometry.quaternion_from_rotation(rotation))
    return make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def _transform_message(edge: Edge) -> Any:
    parent, child, stamp_ns, parent_from_child = edge
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=make(
            "geometry_msgs/msg/Transform",
            translation=vector("Vector3", parent_from_child[:3, 3]),
            rotation=quaternion(parent_from_child[:3, :3]),
        ),
    )
