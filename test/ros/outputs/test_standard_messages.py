"""Every field of the vision_msgs and Autoware messages."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from rclpy.serialization import deserialize_message, serialize_message
from test_conversions import EPOCH_NS, detections, tracks
from vision_msgs.msg import Detection3DArray, LabelInfo

from streampetr_ros.core.config import ConfigError
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.model.config import NUSCENES_CLASSES
from streampetr_ros.ros.outputs import vision
from streampetr_ros.ros.outputs.autoware import AutowareWriter, autoware_messages

#: Yaw of the car, and its position and size, in `test_conversions.detections`.
YAW, CENTER, SIZE = 3.0, (10.0, -3.5, 0.7), (4.5, 1.9, 1.6)


def sent(message):
    return deserialize_message(serialize_message(message), type(message))


def xyz(vector) -> tuple[float, float, float]:
    return (vector.x, vector.y, vector.z)


def assert_pose_of_the_car(pose) -> None:
    assert xyz(pose.position) == pytest.approx(CENTER)
    turn = pose.orientation
    assert (turn.x, turn.y) == (0.0, 0.0)
    assert 2.0 * np.arctan2(turn.z, turn.w) == pytest.approx(YAW)


def test_vision_detections() -> None:
    identified = replace(detections(), track_ids=np.array([7, 0]))
    message = sent(vision.detections_to_vision(identified, "base_link"))
    assert isinstance(message, Detection3DArray)
    car, pedestrian = message.detections
    for head in (message.header, car.header, pedestrian.header):
        assert (head.frame_id, stamp_ns_from(head.stamp)) == ("base_link", EPOCH_NS)
    assert (car.id, pedestrian.id) == ("7", "")
    assert len(car.results) == 1
    assert car.results[0].hypothesis.class_id == "car"
    assert car.results[0].hypothesis.score == 0.75
    assert pedestrian.results[0].hypothesis.class_id == "pedestrian"
    assert_pose_of_the_car(car.bbox.center)
    assert_pose_of_the_car(car.results[0].pose.pose)
    assert xyz(car.bbox.size) == SIZE
    assert not car.results[0].pose.covariance.any()


def test_vision_detections_without_tracking() -> None:
    message = vision.detections_to_vision(detections(), "base_link")
    assert [found.id for found in message.detections] == ["", ""]


def test_vision_tracks_have_covariances() -> None:
    message = sent(vision.tracks_to_vision(tracks(), "base_link"))
    car, pedestrian = message.detections
    assert (car.id, pedestrian.id) == ("7", "4")
    assert car.results[0].hypothesis.score == 0.9
    assert_pose_covariance(car.results[0].pose.covariance)


def assert_pose_covariance(values) -> None:
    """Row-major x, y, z, roll, pitch, yaw, from x, y, z, yaw of the track."""
    table = np.reshape(values, (6, 6))
    expected = np.zeros((6, 6))
    expected[0, 0], expected[1, 1], expected[2, 2], expected[5, 5] = 0.5, 0.25, 0.1, 0.02
    expected[0, 1] = expected[1, 0] = 0.125
    np.testing.assert_allclose(table, expected)


def test_label_info_names_the_classes() -> None:
    message = sent(vision.label_info(NUSCENES_CLASSES, 0.25, EPOCH_NS))
    assert isinstance(message, LabelInfo)
    assert stamp_ns_from(message.header.stamp) == EPOCH_NS
    assert [each.class_id for each in message.class_map] == list(range(10))
    assert tuple(each.class_name for each in message.class_map) == NUSCENES_CLASSES
    assert message.threshold == 0.25


@pytest.fixture(name="writer")
def _writer() -> AutowareWriter:
    kinds = pytest.importorskip("autoware_perception_msgs.msg", reason="needs Autoware's messages")
    return AutowareWriter(kinds, run=b"12345678")


def test_autoware_detections(writer: AutowareWriter) -> None:
    message = sent(writer.detected_objects(detections(), "base_link"))
    assert message.header.frame_id == "base_link"
    assert stamp_ns_from(message.header.stamp) == EPOCH_NS
    car, pedestrian = message.objects
    assert car.existence_probability == 0.75
    kind = writer.messages.ObjectClassification
    assert [(c.label, c.probability) for c in car.classification] == [(kind.CAR, 1.0)]
    assert pedestrian.classification[0].label == kind.PEDESTRIAN
    kinematics = car.kinematics
    assert_pose_of_the_car(kinematics.pose_with_covariance.pose)
    assert not kinematics.has_position_covariance
    assert kinematics.orientation_availability == type(kinematics).AVAILABLE
    assert kinematics.has_twist
    assert not kinematics.has_twist_covariance
    assert_twist_of_the_car(kinematics.twist_with_covariance.twist)
    assert not pedestrian.kinematics.has_twist
    assert xyz(pedestrian.kinematics.twist_with_covariance.twist.linear) == (0.0, 0.0, 0.0)
    assert car.shape.type == type(car.shape).BOUNDING_BOX
    assert xyz(car.shape.dimensions) == SIZE
    assert len(car.shape.footprint.points) == 0


def assert_twist_of_the_car(twist) -> None:
    """The velocity (8, -0.5) of the header's axes along and across a car with yaw 3."""
    along = 8.0 * np.cos(YAW) - 0.5 * np.sin(YAW)
    across = -8.0 * np.sin(YAW) - 0.5 * np.cos(YAW)
    assert xyz(twist.linear) == pytest.approx((along, across, 0.0))
    assert xyz(twist.angular) == (0.0, 0.0, 0.0)


def test_autoware_tracks(writer: AutowareWriter) -> None:
    message = sent(writer.tracked_objects(tracks(), "base_link"))
    assert message.header.frame_id == "base_link"
    assert stamp_ns_from(message.header.stamp) == EPOCH_NS
    car, pedestrian = message.objects
    assert bytes(car.object_id.uuid) == b"12345678" + (7).to_bytes(8, "big")
    assert bytes(pedestrian.object_id.uuid)[-1] == 4
    assert car.existence_probability == pytest.approx(0.9)
    assert car.classification[0].label == writer.messages.ObjectClassification.CAR
    kinematics = car.kinematics
    assert_pose_of_the_car(kinematics.pose_with_covariance.pose)
    assert_pose_covariance(kinematics.pose_with_covariance.covariance)
    assert_twist_of_the_car(kinematics.twist_with_covariance.twist)
    table = np.reshape(kinematics.twist_with_covariance.covariance, (6, 6))
    turn = np.array([[np.cos(YAW), np.sin(YAW)], [-np.sin(YAW), np.cos(YAW)]])
    expected = turn @ np.array([[1.5, -0.25], [-0.25, 0.75]]) @ turn.T
    np.testing.assert_allclose(table[:2, :2], expected)
    assert np.count_nonzero(table) == 4
    assert not np.any(kinematics.acceleration_with_covariance.covariance)
    assert kinematics.orientation_availability == type(kinematics).AVAILABLE
    assert (kinematics.is_stationary, pedestrian.kinematics.is_stationary) == (False, True)
    assert car.shape.type == type(car.shape).BOUNDING_BOX
    assert xyz(car.shape.dimensions) == SIZE


@pytest.mark.parametrize(
    ("name", "label", "orientation"),
    [
        ("car", "CAR", "AVAILABLE"),
        ("truck", "TRUCK", "AVAILABLE"),
        ("construction_vehicle", "TRUCK", "AVAILABLE"),
        ("bus", "BUS", "AVAILABLE"),
        ("trailer", "TRAILER", "AVAILABLE"),
        ("motorcycle", "MOTORCYCLE", "AVAILABLE"),
        ("bicycle", "BICYCLE", "AVAILABLE"),
        ("pedestrian", "PEDESTRIAN", "AVAILABLE"),
        ("barrier", "HAZARD", "SIGN_UNKNOWN"),
        ("traffic_cone", "HAZARD", "UNAVAILABLE"),
        ("tram", "UNKNOWN", "AVAILABLE"),
    ],
)
def test_autoware_classes(writer: AutowareWriter, name: str, label: str, orientation: str) -> None:
    one = replace(detections().selected(np.array([0])), class_names=("x", name))
    found = writer.detected_objects(one, "base_link").objects[0]
    assert found.classification[0].label == getattr(writer.messages.ObjectClassification, label)
    kinematics = found.kinematics
    assert kinematics.orientation_availability == getattr(type(kinematics), orientation)


def test_identities_of_two_runs_differ(writer: AutowareWriter) -> None:
    other = AutowareWriter(writer.messages)
    uuids = [
        bytes(w.tracked_objects(tracks(), "b").objects[0].object_id.uuid) for w in (writer, other)
    ]
    assert uuids[0] != uuids[1]
    assert uuids[0][8:] == uuids[1][8:]


def test_autoware_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert autoware_messages("auto") is None
    assert autoware_messages("off") is None
    with pytest.raises(ConfigError, match="autoware_perception_msgs is not installed"):
        autoware_messages("on")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("DetectedObjects", "header objects"),
        ("DetectedObject", "existence_probability classification kinematics shape"),
        (
            "DetectedObjectKinematics",
            "pose_with_covariance has_position_covariance orientation_availability "
            "twist_with_covariance has_twist has_twist_covariance",
        ),
        ("ObjectClassification", "label probability"),
        ("Shape", "type footprint dimensions"),
        ("TrackedObjects", "header objects"),
        ("TrackedObject", "object_id existence_probability classification kinematics shape"),
        (
            "TrackedObjectKinematics",
            "pose_with_covariance twist_with_covariance acceleration_with_covariance "
            "orientation_availability is_stationary",
        ),
    ],
)
def test_autoware_fields(writer: AutowareWriter, name: str, fields: str) -> None:
    kind = getattr(writer.messages, name)
    assert list(kind.get_fields_and_field_types()) == fields.split()
