"""What a replay writes into a bag is what the node publishes, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from graph import NAMES
from rclpy.serialization import deserialize_message, serialize_message
from rigs import frame_set
from test_conversions import detections, report, tracks

from streampetr_ros.messages import cdr, standard
from streampetr_ros.messages.marker_scene import MarkerWriter
from streampetr_ros.messages.pictures import PictureWriter
from streampetr_ros.messages.results import SetResult
from streampetr_ros.messages.standard import Types
from streampetr_ros.messages.vehicle import IMAGE_ENCODINGS, FrameNames, set_messages
from streampetr_ros.ros.messages import types

SECOND_NS = 1_000_000_000


def results() -> Iterator[SetResult]:
    """A car drives ahead, a pedestrian vanishes, the memory starts anew."""
    for index, (rows, reason) in enumerate((([0, 1], ""), ([0, 1], ""), ([0], ""), ([0, 1], "x"))):
        now, kept = frame_set(index, size=(64, 36)), np.array(rows)
        followed = replace(tracks().selected(kept), stamp_ns=now.stamp_ns)
        followed.boxes.centers[0, 0] += 5.0 * index
        yield SetResult(
            frame_set=now,
            detections=replace(detections().selected(kept), stamp_ns=now.stamp_ns),
            tracks=followed,
            report=replace(report(), reset_reason=reason),
            camera_frames={name: f"{name}_optical" for name in NAMES},
        )


def markers(of: Types) -> Iterator[Any]:
    writer = MarkerWriter(of, "odom")
    for restarts, result in enumerate(results()):
        yield from (array() for array in writer.write(result, restarts // 3))


def pictures(of: Types) -> Iterator[Any]:
    writer = PictureWriter(of, NAMES, follows=True)
    for result in results():
        yield from (picture() for picture in writer.write(result).values())


def vehicle(of: Types) -> Iterator[Any]:
    for encoding in IMAGE_ENCODINGS:
        messages = set_messages(of, frame_set(size=(64, 36)), encoding, FrameNames())
        yield from (messages.poses, messages.mountings)
        for camera in messages.cameras:
            yield from (camera.image, camera.info)


def assert_same(published: Any, recorded: Any) -> None:
    kind = type(published)
    received = deserialize_message(serialize_message(published), kind)
    assert deserialize_message(cdr.serialise(recorded), kind) == received


@pytest.mark.parametrize("write", [markers, pictures, vehicle])
def test_bags_hold_what_the_node_publishes(write: Callable[[Types], Iterator[Any]]) -> None:
    count = 0
    for published, recorded in zip(write(types), write(cdr.types), strict=True):
        kind = recorded.__msgtype__
        assert kind == f"{type(published).__module__.split('.')[0]}/msg/{type(published).__name__}"
        assert_same(published, recorded)
        count += 1
    assert count >= 8


def test_fields_that_nobody_gives_have_the_same_defaults() -> None:
    for kind in (standard.IMAGE, standard.CAMERA_INFO, "visualization_msgs/msg/Marker"):
        assert_same(types(kind)(), cdr.types(kind)())
