"""Whatever comes in, the node names it, skips the set without touching the memory, and goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from drive import PACKED, Drive
from geometry_msgs.msg import TransformStamped
from graph import NAMES, Graph
from node_process import NodeProcess
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from streampetr_ros.messages.vehicle import CameraMessages


@pytest.fixture(scope="module")
def drive(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    transports = ["compressed" if name == PACKED else "raw" for name in NAMES]
    log = tmp_path_factory.mktemp("survival") / "node.log"
    node = NodeProcess(log, {"cameras.transports": transports})
    publishers = {**graph.images, PACKED: graph.compressed[PACKED]}
    try:
        graph.wait_for_subscribers([*publishers.values(), *graph.infos.values()])
        graph.wait_for_subscribers([graph.tf, graph.tf_static])
        graph.wait_for_results_topic()
        started = Drive(graph, node, packed=True)
        started.good()
        yield started
        assert node.is_alive
        graph.send(started.messages())
    finally:
        exit_code = node.stop()
    assert exit_code == 0
    assert "Traceback" not in node.log
    graph.forget_node()


@pytest.fixture(autouse=True)
def _detection_resumes_and_memory_is_kept(drive: Drive) -> Iterator[None]:
    """Only sets with a result count as steps of the memory."""
    drive.graph.results.clear()
    before = drive.good()
    yield
    after = drive.good()
    since = [result for result in drive.graph.results if result is not before]
    if not any(result.reset_reason for result in since):
        assert after.frames_since_reset == before.frames_since_reset + len(since)


def set_encoding(camera: CameraMessages) -> None:
    camera.image.encoding = "weird12"


def cut_raw(camera: CameraMessages) -> None:
    camera.image.data = camera.image.data[: len(camera.image.data) // 2]


def cut_jpeg(camera: CameraMessages) -> None:
    camera.image.data = camera.image.data[: len(camera.image.data) // 2]


def random_bytes(camera: CameraMessages) -> None:
    camera.image.data = bytes(range(256)) * 20


def other_size(camera: CameraMessages) -> None:
    camera.image.height -= 25
    camera.image.data = camera.image.data[: camera.image.height * camera.image.step]


def no_frame(camera: CameraMessages) -> None:
    camera.image.header.frame_id = ""


def unknown_frame(camera: CameraMessages) -> None:
    camera.image.header.frame_id = camera.info.header.frame_id = "nowhere"


def uncalibrated(camera: CameraMessages) -> None:
    camera.info.k = [0.0] * 9


def not_a_number(camera: CameraMessages) -> None:
    camera.info.k = [math.nan] * 9


@pytest.mark.parametrize(
    ("tamper", "camera", "says"),
    [
        (set_encoding, "CAM_FRONT", r"'/CAM_FRONT/image_raw' at \d+\.\d{9}: .*'weird12'.*encoding"),
        (cut_raw, "CAM_FRONT", r"'/CAM_FRONT/image_raw' at \d+.*bytes, expected are"),
        (cut_jpeg, PACKED, r"'/CAM_BACK/image_raw/compressed' at \d+.*truncated"),
        (random_bytes, PACKED, r"compressed' at \d+.*neither JPEG nor PNG"),
        (other_size, "CAM_FRONT", r"400 x 200 but CameraInfo is for 400 x 225; publish"),
        (no_frame, "CAM_FRONT", r"no frame_id; set it in the driver"),
        (unknown_frame, "CAM_FRONT", r"skipped after waiting .*nowhere"),
        (uncalibrated, "CAM_FRONT", r"CameraInfo on 'CAM_FRONT/camera_info'.*uncalibrated"),
        (not_a_number, "CAM_FRONT", r"CameraInfo on 'CAM_FRONT/camera_info'.*not finite"),
    ],
)
def test_unusable_image_or_calibration(
    drive: Drive, tamper: object, camera: str, says: str
) -> None:
    drive.bad(says, tamper, camera)


def test_missing_transform(drive: Drive) -> None:
    seen = len(drive.node.log)
    drive.graph.send(drive.messages(), poses=False)
    line = drive.node.wait_for_log("skipped after waiting 0.1 s", seen)
    assert "pose.timeout_s" in line


def test_late_transform_is_waited_for(drive: Drive) -> None:
    graph = drive.graph
    assert graph.set_parameter("pose.timeout_s", 10.0).successful
    messages = drive.messages()
    formed = complete_sets(graph)
    graph.send(messages, poses=False)
    graph.wait_for(lambda: complete_sets(graph) > formed, "the set without transforms")
    time.sleep(0.1)
    graph.tf.publish(messages.poses)
    result = graph.result_of(messages.stamp_ns)
    stages = dict(zip(result.latency_stages, result.latency_ms, strict=True))
    assert stages["transforms"] > 50
    assert graph.set_parameter("pose.timeout_s", 0.1).successful


def complete_sets(graph: Graph) -> int:
    return int(graph.health_value("synchroniser", "complete sets") or 0)


def test_unusable_transform(drive: Drive) -> None:
    broken = TransformStamped(child_frame_id="base_link")
    broken.header.frame_id = "odom"
    broken.header.stamp.sec = 10_000
    broken.transform.translation.x = math.nan
    broken.transform.rotation.w = 1.0
    seen = len(drive.node.log)
    drive.graph.tf.publish(TFMessage(transforms=[broken]))
    drive.node.wait_for_log("transform ignored.*base_link.*not finite", seen)


def test_zero_stamp(drive: Drive) -> None:
    def zero(camera: CameraMessages) -> None:
        camera.image.header.stamp.sec = camera.image.header.stamp.nanosec = 0

    line = drive.bad("'/CAM_FRONT/image_raw' dropped: zero stamp", zero)
    assert "driver must fill in header.stamp" in line


def test_duplicate_and_late_images(drive: Drive) -> None:
    messages = drive.messages()
    drive.graph.send(messages)
    drive.graph.result_of(messages.stamp_ns)
    seen = len(drive.node.log)
    camera = messages.cameras[0]
    drive.graph.images[camera.camera].publish(camera.image)
    drive.node.wait_for_log(f"{camera.camera}.* dropped: duplicate stamp", seen)
    camera.image.header.stamp.nanosec -= 1_000_000
    drive.graph.images[camera.camera].publish(camera.image)
    drive.node.wait_for_log(f"{camera.camera}.* dropped: late", seen)


def test_missing_camera(drive: Drive) -> None:
    messages = drive.messages()
    seen = len(drive.node.log)
    drive.graph.send(replace(messages, cameras=messages.cameras[1:]))
    drive.good()
    drive.node.wait_for_log("dropped: cycle incomplete.*sync.min_cameras", seen)


def test_reset_service_starts_afresh(drive: Drive) -> None:
    answer = drive.graph.call(Trigger)
    assert answer.success
    assert "emptied" in answer.message
    result = drive.good()
    assert (result.reset_reason, result.frames_since_reset) == ("manual", 0)


def test_loop_of_a_recording(drive: Drive) -> None:
    drive.index = -1
    drive.graph.results.clear()
    first = drive.good()
    assert (first.reset_reason, first.frames_since_reset) == ("backward_stamp", 0)
    assert drive.good().frames_since_reset == 1


def test_publisher_with_other_qos(drive: Drive) -> None:
    seen = len(drive.node.log)
    publisher = drive.graph.node.create_publisher(
        Image, "CAM_FRONT/image_raw", qos_profile_sensor_data
    )
    line = drive.node.wait_for_log("offers an incompatible QoS", seen)
    assert "/CAM_FRONT/image_raw" in line
    assert "RELIABILITY" in line
    drive.graph.node.destroy_publisher(publisher)


def test_parameters_at_run_time(drive: Drive) -> None:
    graph = drive.graph
    assert graph.set_parameter("detection.score_thresholds", [1.0]).successful
    assert len(drive.good().objects) == 0
    refused = graph.set_parameter("detection.score_thresholds", [1.5])
    assert (refused.successful, "within 0 to 1" in refused.reason) == (False, True)
    refused = graph.set_parameter("detection.score_thresholds", [0.1, 0.2])
    assert (refused.successful, "one for each of the 10 classes" in refused.reason) == (False, True)
    refused = graph.set_parameter("detection.range_min", [999.0, 0.0, 0.0])
    assert (refused.successful, "must be below" in refused.reason) == (False, True)
    refused = graph.set_parameter("sync.policy", "exact")
    assert (refused.successful, "deactivate and clean up" in refused.reason) == (False, True)
    assert graph.set_parameter("detection.score_thresholds", [0.0]).successful
    assert len(drive.good().objects) > 0


def test_health_names_every_part(drive: Drive) -> None:
    graph = drive.graph
    expected = {"node", "synchroniser", "transforms", "memory", "latency"}
    expected |= {f"camera {name}" for name in NAMES}
    graph.wait_for(lambda: expected <= set(graph.health), "all diagnostics")
    graph.wait_for(lambda: int(graph.health_value("memory", "frames") or 0) > 1, "frames counted")
    assert graph.health_value("camera CAM_FRONT", "resolution") == "400 x 225"
    assert graph.health_value("latency", "total p99 ms")
    assert graph.health_value("node", "model") == "tiny"


def test_markers_follow_the_boxes(drive: Drive) -> None:
    result = drive.good()

    def current() -> bool:
        return any(m.markers[0].header.stamp == result.header.stamp for m in drive.graph.markers)

    drive.graph.wait_for(current, "markers")
