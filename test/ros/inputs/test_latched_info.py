"""CameraInfo that a driver publishes once and keeps, before anybody listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

import rclpy
from graph import RELIABLE, Graph
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from streampetr_ros.core.problems import ProblemLog
from streampetr_ros.ingest.assembly import CameraSettings
from streampetr_ros.parameters.inputs import CameraParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.executor import StreamExecutor
from streampetr_ros.ros.inputs.camera_input import CameraInput, ReceivedImage

SETTINGS = CameraSettings(
    name="latched", image_topic="latched/image", info_topic="latched/camera_info", transport="raw"
)


class Rig:
    """A camera whose images flow while it is spun."""

    def __init__(self, graph: Graph, executor: SingleThreadedExecutor) -> None:
        self.graph = graph
        self.node: Node = rclpy.create_node("latched_under_test")
        self.executor = executor
        self.executor.add_node(self.node)
        self.images = graph.node.create_publisher(Image, SETTINGS.image_topic, RELIABLE)
        self.node.create_timer(0.02, lambda: self.images.publish(Image()))
        self.heard: list[ReceivedImage] = []
        self.said: list[str] = []

    def open(self) -> CameraInput:
        return CameraInput(
            self.node,
            SETTINGS,
            CameraParameters(),
            lambda _, image: self.heard.append(image),
            ProblemLog(self.said.append, 0.0),
        )

    def flow_until(self, condition: Callable[[], object], timeout: float = 20.0) -> bool:
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end:
            self.executor.spin_once()
        return bool(condition())

    @property
    def info_subscriptions(self) -> int:
        return sum(s.topic_name.endswith("camera_info") for s in self.node.subscriptions)


@pytest.fixture(params=[SingleThreadedExecutor, StreamExecutor])
def rig(graph: Graph, request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(graph, request.param())
    yield made
    made.executor.shutdown()
    made.node.destroy_node()
    graph.node.destroy_publisher(made.images)


def test_info_published_once_before_is_heard_at_every_activation(rig: Rig) -> None:
    infos = rig.graph.node.create_publisher(CameraInfo, SETTINGS.info_topic, qos.latched())
    infos.publish(CameraInfo(width=7))
    for _ in range(2):
        camera = rig.open()
        assert rig.flow_until(lambda camera=camera: camera.info is not None)
        assert camera.info is not None
        assert camera.info.width == 7
        assert rig.info_subscriptions == 1
        seen = len(rig.heard)
        assert rig.flow_until(lambda seen=seen: len(rig.heard) > seen)
        camera.close()
        assert rig.info_subscriptions == 0
    assert not rig.said
    rig.graph.node.destroy_publisher(infos)


def test_other_publishers_meet_one_subscription_only(rig: Rig) -> None:
    """They would warn of one that asks for what they do not keep."""
    infos = rig.graph.node.create_publisher(CameraInfo, SETTINGS.info_topic, RELIABLE)
    camera = rig.open()
    rig.flow_until(lambda: False, timeout=1.5)
    assert rig.heard
    assert rig.info_subscriptions == 1
    infos.publish(CameraInfo(width=7))
    assert rig.flow_until(lambda: camera.info is not None)
    camera.close()
    rig.graph.node.destroy_publisher(infos)


def test_a_search_in_vain_ends_with_the_camera(rig: Rig) -> None:
    infos = rig.graph.node.create_publisher(CameraInfo, SETTINGS.info_topic, qos.latched())
    camera = rig.open()
    assert rig.flow_until(lambda: rig.info_subscriptions == 2)
    camera.close()
    assert rig.info_subscriptions == 0
    rig.graph.node.destroy_publisher(infos)
