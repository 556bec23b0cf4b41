"""Boxes and tracks as our own messages, and the pieces that other messages of them share."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import Pose
from rclpy.time import Time
from std_msgs.msg import Header

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.results import SetReport, SetResult
from streampetr_ros.msg import Object3D, Object3DArray
from streampetr_ros.ros.outputs.output import Output


class TrackOutput(Output):
    """``~/tracks``."""

    def open(self) -> None:
        """Offer the topic."""
        self.offer("~/tracks", Object3DArray, _tracks)


def _tracks(result: SetResult) -> Object3DArray:
    message = tracks_message(result.tracks, result.report)
    write_latencies(message, result.latency_ms)
    return message


def detections_message(
    detections_base: Detections,
    report: SetReport,
    tracks_base: Tracks | None = None,
    shelf: list[Object3D] | None = None,
) -> Object3DArray:
    """Write detections and how they were made.

    Args:
        detections_base: boxes in the base frame, best first.
        report: everything else.
        tracks_base: the tracks that the identities of the detections are of.
        shelf: objects to be filled again, as making them takes far longer, and then kept; the
            message holds until the next one is written with them. None makes one that lasts.
    """
    message = _array_message(detections_base, report, [] if shelf is None else shelf)
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
    message = _array_message(tracks_base, report, [])
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


def write_latencies(message: Object3DArray, latency_ms: Mapping[str, float]) -> None:
    """Enter the duration of each stage, milliseconds, in the order the stages ran."""
    message.latency_stages = list(latency_ms)
    message.latency_ms = list(latency_ms.values())


def _array_message(
    items: Detections | Tracks, report: SetReport, shelf: list[Object3D]
) -> Object3DArray:
    shelf += [Object3D() for _ in range(len(shelf), len(items))]
    rows = zip(
        shelf,
        items.boxes.centers.tolist(),
        items.boxes.sizes.tolist(),
        items.boxes.yaws.tolist(),
        items.boxes.velocities.tolist(),
        items.scores.tolist(),
        items.labels.tolist(),
        strict=False,
    )
    for found, center, size, yaw, velocity, score, label in rows:
        found.class_name, found.class_id, found.score = items.class_names[label], label, score
        found.track_id, found.age = 0, 0.0
        # Filling the parts in place takes a third less time than handing over new ones.
        set_upright_pose(found.pose, center, yaw)
        found.size.x, found.size.y, found.size.z = size
        found.velocity.x, found.velocity.y = velocity
    return Object3DArray(
        header=Header(stamp=Time(nanoseconds=items.stamp_ns).to_msg(), frame_id=report.base_frame),
        model=report.model,
        class_names=list(items.class_names),
        objects=shelf[: len(items)],
        cameras_expected=report.cameras_expected,
        cameras_used=len(report.camera_stamps_ns),
        camera_names=list(report.camera_stamps_ns),
        camera_stamps=[Time(nanoseconds=t).to_msg() for t in report.camera_stamps_ns.values()],
        frames_since_reset=report.frames_since_reset,
        memory_age=report.memory_age,
        reset_reason=report.reset_reason,
    )


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


def _table(rows: list[list[float]], columns: int) -> Array:
    return np.array(rows, dtype=np.float64).reshape(-1, columns)
