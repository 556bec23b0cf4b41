"""The check says all that is wrong with a broken bag, and nothing about a good one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rigs import frame_set
from rosbags.interfaces import Qos, QosDurability, QosReliability, QosTime
from typer.testing import CliRunner

from streampetr_ros.ingest.assembly import CameraSettings
from streampetr_ros.parameters.bag import BagOptions, bag_options
from streampetr_ros.sources.bag.log import TopicFacts
from streampetr_ros.sources.bag.topics import BagTopics, CameraTopics
from streampetr_ros.sources.bag.writer import BagWriter, write_bag, write_frame_set
from streampetr_ros.sources.checks.qos_check import qos_problems
from streampetr_ros.tools.cli import build_app


def run(*arguments: object) -> tuple[int, str]:
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(build_app({words[0]}), words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.output.split())


def drive():
    return [frame_set(i, size=(176, 99)) for i in range(6)]


class Broken(BagWriter):
    """One camera without CameraInfo, one with lost images, no vehicle pose, one uncalibrated."""

    def write(self, topic, message, recorded_ns):
        lost = topic.startswith("/CAM_BACK_LEFT/image") and recorded_ns > 2_000_000_000
        if topic in ("/CAM_BACK/camera_info", "/tf") or lost:
            return
        super().write(topic, message, recorded_ns)


class Uncalibrated(BagWriter):
    def write(self, topic, message, recorded_ns):
        if topic == "/CAM_FRONT/camera_info":
            message.k = np.zeros(9)
        super().write(topic, message, recorded_ns)


def write(writer: BagWriter) -> None:
    with writer as bag:
        for index, each in enumerate(drive()):
            write_frame_set(bag, each, "png", first=index == 0)


def test_a_good_bag_lacks_nothing_and_gives_a_parameter_file(tmp_path: Path):
    write_bag(drive(), tmp_path / "bag", encoding="png")
    file = tmp_path / "rig.yaml"
    code, text = run("check", tmp_path / "bag", "--write-params", file)
    assert code == 0, text
    assert "nothing is missing" in text
    assert "a frame set every 0.500 s" in text
    assert [camera.name for camera in bag_options(file).cameras][:2] == [
        "CAM_FRONT",
        "CAM_FRONT_RIGHT",
    ]
    assert run("check", tmp_path / "bag", "--params", file)[0] == 0


def test_everything_that_is_missing_is_named(tmp_path: Path):
    write(Broken(tmp_path / "bag"))
    code, text = run("check", tmp_path / "bag")
    assert code == 1
    assert "problem: images on '/CAM_BACK/image_raw/compressed' have no CameraInfo" in text
    assert "problem: the bag has no moving transforms on '/tf'; record /tf" in text
    assert "'/CAM_BACK_LEFT/image_raw/compressed' has 3 images where other cameras have 6" in text


def test_an_uncalibrated_camera_is_named(tmp_path: Path):
    write(Uncalibrated(tmp_path / "bag"))
    code, text = run("check", tmp_path / "bag")
    assert code == 1
    assert "CameraInfo on '/CAM_FRONT/camera_info' cannot be used" in text
    assert "k[0] = 0, which means uncalibrated" in text


def test_wrong_frames_are_named(tmp_path: Path):
    write_bag(drive(), tmp_path / "bag", encoding="png")
    code, text = run("check", tmp_path / "bag", "--fixed-frame", "map")
    assert code == 1
    assert "frame 'map' is unknown, known are" in text


class Unmounted(BagWriter):
    """Two cameras without mounting."""

    def write(self, topic, message, recorded_ns):
        if topic == "/tf_static":
            missing = ("CAM_BACK_LEFT", "CAM_BACK_RIGHT")
            message.transforms = [
                each for each in message.transforms if not each.child_frame_id.startswith(missing)
            ]
        super().write(topic, message, recorded_ns)


def test_every_missing_transform_is_named(tmp_path: Path):
    write(Unmounted(tmp_path / "bag"))
    code, text = run("check", tmp_path / "bag")
    assert code == 1
    assert "problem: no pose of camera CAM_BACK_LEFT: " in text
    assert "problem: no pose of camera CAM_BACK_RIGHT: " in text
    assert text.count("problem: ") == 2


def test_a_camera_with_the_frame_of_its_body_is_named(tmp_path: Path):
    first = drive()[0].cameras[0]
    upright = np.eye(4)
    upright[:3, 3] = first.calibration.base_from_camera[:3, 3]
    turned = [
        replace(
            each,
            cameras=tuple(
                replace(frame, calibration=replace(frame.calibration, base_from_camera=upright))
                if frame.calibration.name == first.calibration.name
                else frame
                for frame in each.cameras
            ),
        )
        for each in drive()
    ]
    write_bag(turned, tmp_path / "bag", encoding="png")
    code, text = run("check", tmp_path / "bag")
    assert code == 1
    assert "camera CAM_FRONT looks straight up; its frame must be optical" in text


def facts(name: str, reliability: int, durability: int, *publishers: str) -> TopicFacts:
    never = QosTime(0, 0)
    policies = (QosReliability(reliability), QosDurability(durability))
    offer = Qos(1, 1, *policies, never, never, 1, never, False)
    return TopicFacts(name=name, kind="", count=1, qos=(offer,), publishers=publishers)


def test_offers_that_the_node_does_not_match_are_named():
    camera = CameraTopics(
        settings=CameraSettings(name="c", image_topic="/c/image", info_topic="/c/info"),
        image_topic="/c/image",
        packed=False,
    )
    used = BagTopics(
        cameras=(camera,), moving=("/tf",), static=("/tf_static",), odometry="", problems=()
    )
    topics = [
        facts("/c/image", 2, 2),
        facts("/tf", 1, 2),
        facts("/tf_static", 1, 2, "/broadcaster"),
    ]
    (static,) = qos_problems(topics, used, BagOptions())
    assert "'/tf_static' is offered volatile by /broadcaster" in static
    image, _ = qos_problems(
        topics,
        used,
        bag_options(given={"cameras.reliability": "reliable"}),
    )
    assert "parameter cameras.reliability asks for reliable" in image
    assert "set it to best_effort" in image


def test_a_live_check_without_ros_says_so(monkeypatch):
    # As if nothing of it had been imported, whatever tests ran before.
    for name in [*sys.modules]:
        if name.startswith(("rclpy.", "streampetr_ros.ros.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rclpy", None)
    code, text = run("check", "--live")
    assert code == 1
    assert "error: --live needs ROS 2, but Python finds no 'rclpy'; source" in text


def test_a_bag_and_the_graph_at_once_are_refused(tmp_path: Path):
    assert run("check", tmp_path, "--live")[0] == 2
    assert run("check")[0] == 2
