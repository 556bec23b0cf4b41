"""Messages to plain values and core types, and back; pure functions without a node.

Quaternions are (w, x, y, z) in the core and x, y, z, w in messages; stamps are integer nanoseconds
in the core and seconds with nanoseconds in messages. Both are converted here and nowhere else.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, CameraCalibration, Detections, Tracks
from streampetr_ros.ingest.messages import StampedTransform, stamp_ns_from, transform_from
from streampetr_ros.msg import Object3D, Object3DArray

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReport:
    """What is published about a frame set beside its boxes.

    Attributes:
        model: name of the model.
        base_frame: frame of the boxes.
        cameras_expected: number of configured cameras.
        camera_stamps_ns: stamp by name of each camera that took part.
        frames_since_reset: sets processed since the memory was last empty, this one not counted.
        memory_age: seconds since the set that started the memory.
        reset_reason: why the memory was emptied before this set; empty when it was kept.
    """

    model: str
    base_frame: str
    cameras_expected: int
    camera_stamps_ns: Mapping[str, int]
    frames_since_reset: int
    memory_age: float
    reset_reason: str


class ObjectShelf:
    """Object messages of one topic, filled anew for every set: making them takes far longer.

    A message written with a shelf holds until the next one is, which publishing does not outlast.
    """

    def __init__(self) -> None:
        self._objects: list[Object3D] = []

    def take(self, count: int) -> list[Object3D]:
        """Return so many of them, as they were left."""
        missing = count - len(self._objects)
        self._objects += [Object3D() for _ in range(missing)]
        return self._objects[:count]


def time_message(stamp_ns: int) -> Time:
    """Return a stamp as a message."""
    seconds, nanoseconds = divmod(stamp_ns, _SECOND_NS)
    return Time(sec=seconds, nanosec=nanoseconds)


def header(stamp_ns: int, frame_id: str) -> Header:
    """Return a header."""
    return Header(stamp=time_message(stamp_ns), frame_id=frame_id)


def transform_message(transform: StampedTransform) -> TransformStamped:
    """Write a TF message."""
    x, y, z = transform.translation
    return TransformStamped(
        header=header(transform.stamp_ns, transform.parent),
        child_frame_id=transform.child,
        transform=Transform(
            translation=Vector3(x=x, y=y, z=z),
            rotation=_quaternion_message(transform.quaternion_wxyz),
        ),
    )


def matrix_from(message: TransformStamped) -> Array:
    """Return the (4, 4) parent_from_child of a TF message."""
    values = transform_from(message)
    return geometry.transform_from_quaternion(values.translation, values.quaternion_wxyz)


def transform_from_matrix(
    parent: str, child: str, stamp_ns: int, parent_from_child: Array
) -> StampedTransform:
    """Take a (4, 4) transform apart."""
    x, y, z = (float(value) for value in parent_from_child[:3, 3])
    w, i, j, k = (float(v) for v in geometry.quaternion_from_rotation(parent_from_child[:3, :3]))
    return StampedTransform(
        parent=parent,
        child=child,
        stamp_ns=stamp_ns,
        translation=(x, y, z),
        quaternion_wxyz=(w, i, j, k),
    )


def _quaternion_message(quaternion_wxyz: tuple[float, float, float, float]) -> Quaternion:
    w, x, y, z = quaternion_wxyz
    return Quaternion(w=w, x=x, y=y, z=z)


def detections_message(
    detections_base: Detections,
    report: SetReport,
    tracks_base: Tracks | None = None,
    shelf: ObjectShelf | None = None,
) -> Object3DArray:
    """Write detections and how they were made.

    Args:
        detections_base: boxes in the base frame, best first.
        report: everything else.
        tracks_base: the tracks that the identities of the detections are of.
        shelf: of detections alone, filled again; None makes a message that lasts.
    """
    message = _array_message(detections_base, report, shelf or ObjectShelf())
    if detections_base.track_ids is None or tracks_base is None:
        return message
    ages = dict(zip(tracks_base.ids.tolist(), tracks_base.ages.tolist(), strict=True))
    for found, identity in zip(message.objects, detections_base.track_ids.tolist(), strict=True):
        found.track_id, found.age = identity, ages.get(identity, 0.0)
    return message


def tracks_message(tracks_base: Tracks, report: SetReport) -> Object3DArray:
    """Write tracks and how they were made.

    Args:
        tracks_base: in the base frame, most certain first.
        report: everything else.
    """
    message = _array_message(tracks_base, report, ObjectShelf())
    rows = zip(
        message.objects,
        tracks_base.ids.tolist(),
        tracks_base.ages.tolist(),
        tracks_base.unseen.tolist(),
        tracks_base.covariances.astype(np.float32),
        strict=True,
    )
    for found, identity, age, unseen, covariance in rows:
        found.track_id, found.age, found.unseen = identity, age, unseen
        found.covariance = array("f", covariance.tobytes())
    return message


def _array_message(
    items: Detections | Tracks, report: SetReport, shelf: ObjectShelf
) -> Object3DArray:
    boxes = items.boxes
    rows = zip(
        shelf.take(len(items)),
        boxes.centers.tolist(),
        boxes.sizes.tolist(),
        boxes.yaws.tolist(),
        boxes.velocities.tolist(),
        items.scores.tolist(),
        items.labels.tolist(),
        strict=True,
    )
    return Object3DArray(
        header=header(items.stamp_ns, report.base_frame),
        model=report.model,
        class_names=list(items.class_names),
        objects=[
            _filled(found, items.class_names, label, score, (center, size, yaw, velocity))
            for found, center, size, yaw, velocity, score, label in rows
        ],
        cameras_expected=report.cameras_expected,
        cameras_used=len(report.camera_stamps_ns),
        camera_names=list(report.camera_stamps_ns),
        camera_stamps=[time_message(stamp) for stamp in report.camera_stamps_ns.values()],
        frames_since_reset=report.frames_since_reset,
        memory_age=report.memory_age,
        reset_reason=report.reset_reason,
    )


def write_latencies(message: Object3DArray, latency_ms: Mapping[str, float]) -> None:
    """Enter the duration of each stage, milliseconds, in the order the stages ran."""
    message.latency_stages = list(latency_ms)
    message.latency_ms = list(latency_ms.values())


def _filled(
    found: Object3D,
    names: tuple[str, ...],
    label: int,
    score: float,
    box: tuple[list[float], list[float], float, list[float]],
) -> Object3D:
    """Write one box, given as centre, size, yaw and velocity, of no known object."""
    center, size, yaw, velocity = box
    found.class_name, found.class_id, found.score = names[label], label, score
    found.track_id, found.age = 0, 0.0
    # Filling the parts in place takes a third less time than handing over new ones.
    set_upright_pose(found.pose, center, yaw)
    found.size.x, found.size.y, found.size.z = size
    found.velocity.x, found.velocity.y = velocity
    return found


def pose_covariance(covariance: Array) -> Array:
    """Spread the covariance of x, y, z, yaw over the 36 values of a PoseWithCovariance.

    Args:
        covariance: (6, 6) of a track; roll and pitch, which are 0, get none.
    """
    table = np.zeros((6, 6))
    places = np.ix_([0, 1, 2, 5], [0, 1, 2, 5])
    table[places] = covariance[:4, :4]
    return table.ravel()


def detections_from(message: Object3DArray) -> Detections:
    """Read published detections, base frame."""
    objects = message.objects
    poses = [found.pose for found in objects]
    return Detections(
        stamp_ns=stamp_ns_from(message.header.stamp),
        boxes=Boxes(
            centers=_table([[p.position.x, p.position.y, p.position.z] for p in poses], 3),
            sizes=_table([[found.size.x, found.size.y, found.size.z] for found in objects], 3),
            yaws=np.array([2.0 * math.atan2(p.orientation.z, p.orientation.w) for p in poses]),
            velocities=_table([[found.velocity.x, found.velocity.y] for found in objects], 2),
        ),
        scores=np.array([found.score for found in objects], dtype=np.float64),
        labels=np.array([found.class_id for found in objects], dtype=np.int64),
        class_names=tuple(message.class_names),
        frame="base",
        track_ids=np.array([found.track_id for found in objects], dtype=np.int64),
    )


def set_upright_pose(pose: Pose, center: list[float], yaw: float) -> None:
    """Fill a pose with a position and a rotation about z, rad."""
    pose.position.x, pose.position.y, pose.position.z = center
    pose.orientation.z, pose.orientation.w = math.sin(0.5 * yaw), math.cos(0.5 * yaw)


def image_message(pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """Write (height, width, 3) RGB pixels as an rgb8 image."""
    height, width = pixels.shape[:2]
    message = Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
    )
    message.data = _octets(pixels.tobytes())
    return message


def compressed_message(
    data: bytes, image_format: str, stamp_ns: int, frame_id: str
) -> CompressedImage:
    """Write encoded image bytes; the format names colors, then the file type, as usual in ROS."""
    message = CompressedImage(
        header=header(stamp_ns, frame_id), format=f"rgb8; {image_format} compressed bgr8"
    )
    message.data = _octets(data)
    return message


def camera_info_message(calibration: CameraCalibration, stamp_ns: int, frame_id: str) -> CameraInfo:
    """Write intrinsics; P is K because the images are what K and D describe."""
    plain = calibration.distortion_model == "none"
    projection = np.zeros((3, 4))
    projection[:, :3] = calibration.intrinsic
    return CameraInfo(
        header=header(stamp_ns, frame_id),
        width=calibration.width,
        height=calibration.height,
        distortion_model="plumb_bob" if plain else calibration.distortion_model,
        d=[0.0] * 5 if plain else [float(value) for value in calibration.distortion],
        k=calibration.intrinsic.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=projection.ravel().tolist(),
    )


def _octets(data: bytes) -> array[int]:
    """Wrap bytes so that the message takes them as they are; a list would be copied one by one."""
    return array("B", data)


def _table(rows: list[list[float]], columns: int) -> Array:
    return np.array(rows, dtype=np.float64).reshape(-1, columns)
