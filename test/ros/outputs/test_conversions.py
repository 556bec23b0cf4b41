"""Messages to core types and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from rigs import calibration, frame_set
from sensor_msgs.msg import Image
from streampetr_ros.msg import Object3D, Object3DArray
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.ingest import messages
from streampetr_ros.ingest.pictures.pixels import ImageError
from streampetr_ros.ingest.rig import build_calibration
from streampetr_ros.messages import standard
from streampetr_ros.messages.results import SetReport
from streampetr_ros.messages.vehicle import FrameNames, set_messages
from streampetr_ros.ros.inputs import other_encodings
from streampetr_ros.ros.inputs.other_encodings import convert_by_cv_bridge
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs import objects

EPOCH_NS = 1_700_000_000_123_456_789


def detections() -> Detections:
    return Detections(
        stamp_ns=EPOCH_NS,
        boxes=Boxes(
            centers=np.array([[10.0, -3.5, 0.7], [-20.0, 5.0, 1.0]]),
            sizes=np.array([[4.5, 1.9, 1.6], [0.7, 0.6, 1.8]]),
            yaws=np.array([3.0, -1.2]),
            velocities=np.array([[8.0, -0.5], [np.nan, np.nan]]),
        ),
        scores=np.array([0.75, 0.5]),
        labels=np.array([1, 0]),
        class_names=("pedestrian", "car"),
        frame="base",
    )


def tracks() -> Tracks:
    """A car seen just now and a pedestrian that was seen a second ago."""
    base = detections()
    covariance = np.diag([0.5, 0.25, 0.1, 0.02, 1.5, 0.75])
    covariance[0, 1] = covariance[1, 0] = 0.125
    covariance[4, 5] = covariance[5, 4] = -0.25
    boxes = replace(base.boxes, velocities=np.array([[8.0, -0.5], [0.25, 0.0]]))
    return Tracks(
        stamp_ns=base.stamp_ns,
        boxes=boxes,
        scores=np.array([0.9, 0.6]),
        labels=base.labels,
        ids=np.array([7, 4]),
        ages=np.array([2.5, 12.0]),
        unseen=np.array([0.0, 1.0]),
        covariances=np.stack([covariance, 2.0 * covariance]),
        sources=np.array([0, -1]),
        class_names=base.class_names,
        frame="base",
    )


def report() -> SetReport:
    return SetReport(
        model="tiny",
        base_frame="base_link",
        cameras_expected=6,
        camera_stamps_ns={"CAM_FRONT": EPOCH_NS, "CAM_BACK": EPOCH_NS - 5},
        frames_since_reset=4,
        memory_age=2.0,
        reset_reason="",
    )


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, EPOCH_NS])
def test_stamps_keep_every_nanosecond(stamp_ns: int) -> None:
    assert messages.stamp_ns_from(standard.time_message(types, stamp_ns)) == stamp_ns


def test_stamp_in_words() -> None:
    assert messages.stamp_text(1_000_000_001) == "1.000000001"


def test_detections_survive_the_wire() -> None:
    sent = detections()
    message = objects.detections_message(sent, report())
    objects.write_latencies(message, {"network": 12.5, "total": 20.0})
    message = deserialize_message(serialize_message(message), Object3DArray)
    received = objects.detections_from(message)
    assert received.stamp_ns == EPOCH_NS
    assert received.class_names == sent.class_names
    np.testing.assert_array_equal(received.labels, sent.labels)
    np.testing.assert_allclose(received.scores, sent.scores, atol=1e-7)
    np.testing.assert_allclose(received.boxes.yaws, sent.boxes.yaws, atol=1e-12)
    for name in ("centers", "sizes", "velocities"):
        np.testing.assert_array_equal(getattr(received.boxes, name), getattr(sent.boxes, name))
    assert [found.class_name for found in message.objects] == ["car", "pedestrian"]
    assert message.header.frame_id == "base_link"
    assert message.camera_names == ["CAM_FRONT", "CAM_BACK"]
    assert messages.stamp_ns_from(message.camera_stamps[1]) == EPOCH_NS - 5
    assert (message.cameras_used, message.cameras_expected) == (2, 6)
    assert message.latency_stages == ["network", "total"]
    assert list(message.latency_ms) == [12.5, 20.0]


def test_detections_carry_the_identity_and_age_of_their_track() -> None:
    identified = replace(detections(), track_ids=np.array([7, 0]))
    message = objects.detections_message(identified, report(), tracks())
    message = deserialize_message(serialize_message(message), Object3DArray)
    assert [found.track_id for found in message.objects] == [7, 0]
    assert [found.age for found in message.objects] == [2.5, 0.0]
    assert [len(found.covariance) for found in message.objects] == [0, 0]
    np.testing.assert_array_equal(objects.detections_from(message).track_ids, [7, 0])


def test_objects_from_the_shelf_keep_nothing_of_the_set_before() -> None:
    shelf: list[Object3D] = []
    identified = replace(detections(), track_ids=np.array([7, 8]))
    turned = detections().selected(np.array([1, 0]))
    for sent, of in ((turned, None), (identified, tracks()), (detections(), None), (turned, None)):
        message = objects.detections_message(sent, report(), of, shelf)
        fresh = objects.detections_message(sent, report(), of)
        assert serialize_message(message) == serialize_message(fresh)


def test_tracks_survive_the_wire() -> None:
    sent = tracks()
    message = objects.tracks_message(sent, report())
    message = deserialize_message(serialize_message(message), Object3DArray)
    assert message.header.frame_id == "base_link"
    assert messages.stamp_ns_from(message.header.stamp) == EPOCH_NS
    assert message.class_names == ["pedestrian", "car"]
    assert [found.class_name for found in message.objects] == ["car", "pedestrian"]
    assert [found.track_id for found in message.objects] == [7, 4]
    assert [found.age for found in message.objects] == [2.5, 12.0]
    assert [found.unseen for found in message.objects] == [0.0, 1.0]
    np.testing.assert_allclose([found.score for found in message.objects], sent.scores)
    covariances = [np.reshape(found.covariance, (6, 6)) for found in message.objects]
    np.testing.assert_allclose(covariances, sent.covariances, rtol=1e-6)
    received = objects.detections_from(message).boxes
    for name in ("centers", "sizes", "velocities"):
        np.testing.assert_array_equal(getattr(received, name), getattr(sent.boxes, name))


def test_no_detections() -> None:
    empty = detections().selected(np.zeros(0, dtype=np.int64))
    message = objects.detections_message(empty, report())
    assert len(objects.detections_from(message)) == 0


def test_transforms_round_trip() -> None:
    parent_from_child = geometry.transform_from_parts([1e6, -2.5, 3.0], euler2mat(0.1, -0.2, 2.9))
    edge = ("odom", "base_link", EPOCH_NS, parent_from_child)
    values = messages.transform_from(standard.transform_message(types, edge))
    assert (values.parent, values.child, values.stamp_ns) == ("odom", "base_link", EPOCH_NS)
    np.testing.assert_allclose(
        geometry.transform_from_quaternion(values.translation, values.quaternion_wxyz),
        parent_from_child,
        atol=1e-12,
    )


def test_odometry_is_read_as_a_transform() -> None:
    message = Odometry(header=standard.header(types, EPOCH_NS, "odom"), child_frame_id="base_link")
    message.pose.pose.position.x = 3.0
    message.pose.pose.orientation.z = math.sin(0.25)
    message.pose.pose.orientation.w = math.cos(0.25)
    values = messages.transform_from_odometry(message)
    assert (values.parent, values.child, values.stamp_ns) == ("odom", "base_link", EPOCH_NS)
    assert values.translation == (3.0, 0.0, 0.0)
    assert values.quaternion_wxyz == (math.cos(0.25), 0.0, 0.0, math.sin(0.25))


@pytest.mark.parametrize("model", ["none", "plumb_bob", "equidistant"])
def test_camera_info_gives_the_calibration_back(model: str) -> None:
    camera = calibration("CAM_FRONT", 10.0)
    if model != "none":
        count = {"plumb_bob": 5, "equidistant": 4}[model]
        camera = replace(camera, distortion_model=model, distortion=np.full(count, 0.01))
    message = standard.camera_info_message(types, camera, standard.header(types, EPOCH_NS, "front"))
    values = messages.camera_info_from(message)
    built = build_calibration("CAM_FRONT", values, camera.base_from_camera, rectified=False)
    assert (built.width, built.height) == (camera.width, camera.height)
    assert built.distortion_model == camera.distortion_model
    np.testing.assert_array_equal(built.intrinsic, camera.intrinsic)
    np.testing.assert_array_equal(built.distortion, camera.distortion)


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_images_keep_their_pixels(encoding: str) -> None:
    original = frame_set()
    played = set_messages(types, original, encoding, FrameNames())
    assert [c.stamp_ns for c in played.cameras] == sorted(c.stamp_ns for c in original.cameras)
    sent = {camera.calibration.name: camera for camera in original.cameras}
    for camera in played.cameras:
        assert messages.stamp_ns_from(camera.image.header.stamp) == camera.stamp_ns
        pixels = messages.decode_message(camera.image)
        expected = sent[camera.camera].pixels
        assert pixels.shape == expected.shape
        if encoding != "jpeg":
            np.testing.assert_array_equal(pixels, expected)


class FakeBridgeError(TypeError):
    """Stands in for cv_bridge.CvBridgeError."""


class FakeBridge:
    """Knows one encoding that is not plain."""

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        if encoding != "32FC1":
            raise FakeBridgeError(f"[{encoding}] is not recognised")
        return "float32", 1

    def imgmsg_to_cv2(self, message: Image, desired_encoding: str) -> np.ndarray:
        assert desired_encoding == "rgb8"
        values = np.frombuffer(message.data, np.float32).reshape(message.height, message.width)
        return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def depth_image(encoding: str) -> Image:
    message = Image(height=2, width=3, step=12, encoding=encoding)
    message.data = np.arange(6, dtype=np.float32).tobytes()
    return message


def short_image() -> Image:
    message = depth_image("32FC1")
    message.data = message.data[:-1]
    return message


def decode_message(message: Image) -> np.ndarray:
    """As the node does."""
    return messages.decode_message(message, 1, convert_by_cv_bridge)


def test_encodings_that_are_not_plain_go_through_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = SimpleNamespace(CvBridge=FakeBridge, CvBridgeError=FakeBridgeError)
    monkeypatch.setitem(sys.modules, "cv_bridge", bridge)
    assert decode_message(depth_image("32FC1"))[1, 2].tolist() == [5, 5, 5]
    with pytest.raises(ImageError, match=r"'weird'.*not recognised"):
        decode_message(depth_image("weird"))
    with pytest.raises(ImageError, match="23 bytes, expected are 24"):
        decode_message(short_image())


def test_cv_bridge_never_sees_row_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = SimpleNamespace(CvBridge=FakeBridge, CvBridgeError=FakeBridgeError)
    monkeypatch.setitem(sys.modules, "cv_bridge", bridge)
    message = depth_image("32FC1")
    rows = np.frombuffer(message.data, np.uint8).reshape(2, 12)
    message.data = np.pad(rows, ((0, 0), (0, 7)), constant_values=255).tobytes()
    message.step = 19
    assert decode_message(message)[1, 2].tolist() == [5, 5, 5]


@pytest.mark.parametrize("broken", [None, SimpleNamespace()])
def test_cv_bridge_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", broken)
    with pytest.raises(ImageError, match="needs cv_bridge, which cannot be used here"):
        decode_message(depth_image("32FC1"))


@pytest.fixture
def numpy_2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(other_encodings.np, "__version__", "2.2.6")
    other_encodings._survives_numpy.cache_clear()
    yield
    other_encodings._survives_numpy.cache_clear()


@pytest.mark.usefixtures("numpy_2")
@pytest.mark.parametrize("survives", [True, False])
def test_cv_bridge_that_would_end_the_process(
    survives: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bridge = SimpleNamespace(CvBridge=FakeBridge, CvBridgeError=FakeBridgeError)
    monkeypatch.setitem(sys.modules, "cv_bridge", bridge)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    body = (
        "from unittest.mock import MagicMock as CvBridge" if survives else "import os; os.abort()"
    )
    (tmp_path / "cv_bridge.py").write_text(body)
    if survives:
        assert decode_message(depth_image("32FC1"))[1, 2].tolist() == [5, 5, 5]
    else:
        with pytest.raises(ImageError, match=r"built for another NumPy than the installed 2\.2\.6"):
            decode_message(depth_image("32FC1"))
