"""Standard messages from plain values, whichever library the messages are of.

Quaternions are (w, x, y, z) in the core and x, y, z, w in messages; stamps are integer nanoseconds
in the core and seconds with nanoseconds in messages.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from transforms3d.quaternions import mat2quat

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration

#: Gives, for the name of a type such as "std_msgs/msg/Header", what builds messages of it from
#: the fields that are not at their defaults: `ros.messages.types` what rclpy publishes, `cdr.types`
#: what bags take. Numbers in a row are given as `array.array`, or as NumPy array if their count is
#: fixed.
Types = Callable[[str], Callable[..., Any]]

#: One transform: parent, child, stamp in nanoseconds, (4, 4) parent_from_child.
Edge = tuple[str, str, int, Array]

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"

_SECOND_NS = 1_000_000_000


def time_message(types: Types, stamp_ns: int) -> Any:
    """Return a stamp as a message."""
    seconds, nanoseconds = divmod(stamp_ns, _SECOND_NS)
    return types("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)


def header(types: Types, stamp_ns: int, frame_id: str) -> Any:
    """Return a header."""
    return types("std_msgs/msg/Header")(stamp=time_message(types, stamp_ns), frame_id=frame_id)


def points(types: Types, places: Array) -> list[Any]:
    """Return (n, 3) places as geometry_msgs/Point."""
    point = types("geometry_msgs/msg/Point")
    return [point(x=x, y=y, z=z) for x, y, z in places.tolist()]


def image_message(types: Types, pixels: NDArray[np.uint8], top: Any) -> Any:
    """Write (height, width, 3) RGB pixels as an rgb8 image with a header."""
    height, width = pixels.shape[:2]
    return types(IMAGE)(
        header=top,
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        data=array("B", pixels.tobytes()),
    )


def compressed_message(
    types: Types, pixels: NDArray[np.uint8], encoding: str, quality: int, top: Any
) -> Any:
    """Write (height, width, 3) RGB pixels as a compressed image.

    Args:
        types: see `Types`.
        pixels: the picture.
        encoding: "jpeg" or "png".
        quality: of JPEG, 1 to 100.
        top: header.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if encoding == "jpeg" else []
    _, data = cv2.imencode(f".{encoding}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    # The format names colors, then the file type, as usual in ROS.
    image_format = f"rgb8; {encoding} compressed bgr8"
    return types(COMPRESSED)(header=top, format=image_format, data=array("B", data.tobytes()))


def camera_info_message(types: Types, calibration: CameraCalibration, top: Any) -> Any:
    """Write intrinsics; P is K because the images are what K and D describe."""
    plain = calibration.distortion_model == "none"
    projection = np.zeros((3, 4))
    projection[:, :3] = calibration.intrinsic
    return types(CAMERA_INFO)(
        header=top,
        height=calibration.height,
        width=calibration.width,
        distortion_model="plumb_bob" if plain else calibration.distortion_model,
        d=array("d", np.zeros(5) if plain else calibration.distortion),
        k=calibration.intrinsic.astype(np.float64).ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
    )


def tf_message(types: Types, edges: Iterable[Edge]) -> Any:
    """Write transforms."""
    return types(TF)(transforms=[transform_message(types, edge) for edge in edges])


def transform_message(types: Types, edge: Edge) -> Any:
    """Write a transform."""
    parent, child, stamp_ns, parent_from_child = edge
    x, y, z = parent_from_child[:3, 3].tolist()
    return types("geometry_msgs/msg/TransformStamped")(
        header=header(types, stamp_ns, parent),
        child_frame_id=child,
        transform=types("geometry_msgs/msg/Transform")(
            translation=types("geometry_msgs/msg/Vector3")(x=x, y=y, z=z),
            rotation=quaternion_message(types, parent_from_child[:3, :3]),
        ),
    )


def quaternion_message(types: Types, rotation: Array) -> Any:
    """Return a (3, 3) rotation as a message."""
    w, x, y, z = mat2quat(rotation).tolist()
    return types("geometry_msgs/msg/Quaternion")(w=w, x=x, y=y, z=z)
