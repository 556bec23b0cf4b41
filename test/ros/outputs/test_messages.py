"""Our messages, built and importable beside the source tree, keep what is put into them."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
messages = pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message

import streampetr_ros.core.geometry


def example_object() -> messages.Object3D:
    found = messages.Object3D(class_name="car", class_id=3, score=0.75)
    found.pose.position.x, found.pose.position.y, found.pose.position.z = 12.5, -3.25, 0.5
    found.pose.orientation.z, found.pose.orientation.w = 0.6, 0.8
    found.size.x, found.size.y, found.size.z = 4.5, 2.0, 1.5
    found.velocity.x, found.velocity.y = -8.0, math.nan
    return found


def example_array() -> messages.Object3DArray:
    array = messages.Object3DArray(model="tiny", class_names=["a", "b", "c", "car"])
    array.header.stamp = Time(sec=1_700_000_000, nanosec=123_456_789)
    array.header.frame_id = "base_link"
    array.objects = [example_object(), messages.Object3D(class_name="b", class_id=1)]
    array.cameras_expected, array.cameras_used = 6, 2
    array.camera_names = ["front", "rear"]
    array.camera_stamps = [Time(sec=1, nanosec=2), Time(sec=3, nanosec=4)]
    array.frames_since_reset, array.memory_age = 0, 0.0
    array.reset_reason = "first frame"
    array.latency_stages, array.latency_ms = ["model", "total"], [12.5, 20.25]
    return array


def test_array_survives_the_wire() -> None:
    sent = example_array()
    received = deserialize_message(serialize_message(sent), messages.Object3DArray)
    assert math.isnan(received.objects[0].velocity.y)
    for array in (sent, received):
        array.objects[0].velocity.y = 0.0
    assert received == sent


def test_defaults_are_empty() -> None:
    array = messages.Object3DArray()
    assert not array.objects
    assert array.reset_reason == ""
    assert array.cameras_used == 0


def test_messages_and_sources_are_one_package() -> None:
    assert messages.__name__ == "streampetr_ros.msg"
    assert streampetr_ros.core.geometry.__file__.endswith("geometry.py")


@pytest.mark.parametrize(
    ("module", "name", "fields"),
    [
        ("tf2_msgs.msg", "TFMessage", {"transforms"}),
        ("vision_msgs.msg", "Detection3DArray", {"header", "detections"}),
        ("vision_msgs.msg", "Detection3D", {"header", "results", "bbox", "id"}),
        ("vision_msgs.msg", "ObjectHypothesisWithPose", {"hypothesis", "pose"}),
        ("vision_msgs.msg", "ObjectHypothesis", {"class_id", "score"}),
        ("vision_msgs.msg", "BoundingBox3D", {"center", "size"}),
        ("vision_msgs.msg", "LabelInfo", {"header", "class_map", "threshold"}),
        ("vision_msgs.msg", "VisionClass", {"class_id", "class_name"}),
    ],
)
def test_standard_messages_have_their_fields(module: str, name: str, fields: set[str]) -> None:
    kind = getattr(pytest.importorskip(module), name)
    assert set(kind.get_fields_and_field_types()) == fields
