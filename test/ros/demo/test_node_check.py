"""The check of a running vehicle, in a process of its own, names what publishers got wrong."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from graph import Graph
from node_process import NodeProcess
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rigs import frame_set
from tf2_msgs.msg import TFMessage

from streampetr_ros.backends.opening import default_weights
from streampetr_ros.messages.vehicle import FrameNames, SetMessages, set_messages
from streampetr_ros.parameters.bag import bag_options
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types

DOCS = Path(__file__).resolve().parents[3] / "docs"
SHORT = ("--live", "--seconds", "1.5")
PERIOD_S = 0.25
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


def documented() -> list[str]:
    """The arguments of the check that the page on one's own vehicle shows."""
    lines = (DOCS / "own_car.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if "check --live" in line]
    return shlex.split(line)[2:]


def start_check(
    arguments: Sequence[str], folder: Path, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streampetr_ros", "check", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def flat(group: dict, prefix: str = "") -> dict[str, object]:
    values = {}
    for name, value in group.items():
        key = f"{prefix}{name}"
        values |= flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return values


class Vehicle:
    """Drives past while the check listens: stamps keep their pace, whenever they are sent."""

    def __init__(self, graph: Graph, send: Callable[[SetMessages], None]) -> None:
        self._graph = graph
        self._send = send

    def checked(self, folder: Path, arguments: Sequence[str] = SHORT) -> tuple[int, str]:
        """Return exit code and words of the check."""
        process = start_check(arguments, folder)
        start_ns = time.time_ns()
        index = 0
        while process.poll() is None:
            each = frame_set(index, PERIOD_S, start_ns=start_ns, size=(176, 99))
            messages = set_messages(types, each, "raw", FrameNames())
            self._graph.is_true(lambda due=each.stamp_ns: time.time_ns() >= due, within=10.0)
            self._send(messages)
            index += 1
        return process.returncode, " ".join(process.stdout.read().split())


def test_a_healthy_vehicle_lacks_nothing_and_gives_parameters(
    graph: Graph, start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    vehicle = Vehicle(graph, lambda messages: graph.send(messages, mountings=True))
    code, text = vehicle.checked(tmp_path, documented())
    assert code == 0, text
    assert "nothing is missing" in text
    assert "QoS reliable, transient local: /tf_static" in text
    assert "a frame set every 0.250 s" in text
    assert "behind this machine's clock" in text
    file = tmp_path / "rig.yaml"
    values = flat(yaml.safe_load(file.read_text())["/**"]["ros__parameters"])
    assert values["model.weights"] == default_weights("tiny")
    assert [camera.name for camera in bag_options(file).cameras] == [
        "CAM_FRONT",
        "CAM_FRONT_RIGHT",
        "CAM_FRONT_LEFT",
        "CAM_BACK",
        "CAM_BACK_LEFT",
        "CAM_BACK_RIGHT",
    ]
    start_node(**values)
    graph.wait_for_active_node()


def test_a_missing_mounting_is_named(graph: Graph, tmp_path: Path) -> None:
    # The old publisher would still tell the mountings of earlier tests.
    graph.node.destroy_publisher(graph.tf_static)
    graph.tf_static = graph.node.create_publisher(TFMessage, "/tf_static", qos.static_transforms())

    def send(messages: SetMessages) -> None:
        kept = [t for t in messages.mountings.transforms if "CAM_BACK_LEFT" not in t.child_frame_id]
        messages.mountings.transforms = kept
        graph.send(messages, mountings=True)

    code, text = Vehicle(graph, send).checked(tmp_path)
    assert code == 1
    assert "problem: no pose of camera CAM_BACK_LEFT: " in text
    assert "publish this transform" in text
    assert text.count("problem: ") == 1, text


def test_missing_calibration_and_unfit_publishers_are_named(graph: Graph, tmp_path: Path) -> None:
    lossy = graph.node.create_publisher(TFMessage, "/tf", BEST_EFFORT)
    topic = graph.images["CAM_FRONT"].topic_name
    second = graph.node.create_publisher(graph.images["CAM_FRONT"].msg_type, topic, BEST_EFFORT)

    def send(messages: SetMessages) -> None:
        for camera in messages.cameras:
            if camera.camera != "CAM_BACK_RIGHT":
                graph.images[camera.camera].publish(camera.image)
            if camera.camera != "CAM_BACK":
                graph.infos[camera.camera].publish(camera.info)
        graph.tf_static.publish(messages.mountings)
        lossy.publish(messages.poses)

    code, text = Vehicle(graph, send).checked(tmp_path)
    graph.node.destroy_publisher(lossy)
    graph.node.destroy_publisher(second)
    assert code == 1
    assert "images on '/CAM_BACK/image_raw' have no CameraInfo beside them; publish it too" in text
    assert "image topic '/CAM_BACK_RIGHT/image_raw' is there but has no messages" in text
    assert "'/tf' is offered best effort by /test_graph" in text
    assert "publish it reliable" in text
    assert f"'{topic}' has 2 publishers (/test_graph, /test_graph)" in text


@pytest.mark.usefixtures("graph")
def test_an_empty_graph_is_named(tmp_path: Path) -> None:
    other = str(int(os.environ["ROS_DOMAIN_ID"]) % 100 + 1)
    process = start_check(SHORT, tmp_path, ROS_DOMAIN_ID=other)
    text, _ = process.communicate()
    assert process.returncode == 1
    assert f"error: nobody publishes anything on the ROS graph of ROS_DOMAIN_ID {other}" in text
