"""When diagnostics are published: in time, but not in the middle of a frame set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from diagnostic_msgs.msg import DiagnosticArray
from graph import Graph
from rclpy.lifecycle import LifecycleNode

from streampetr_ros.ros import qos
from streampetr_ros.ros.executor import StreamExecutor
from streampetr_ros.ros.node.health import HealthPublisher

#: Seconds that no test waits for.
NEVER_S = 60.0


class Patient:
    """A node whose health is published."""

    def __init__(self) -> None:
        self.node = LifecycleNode("patient")
        self.executor = StreamExecutor()
        self.executor.add_node(self.node)
        self.heard: list[DiagnosticArray] = []
        self.health = HealthPublisher(self.node, lambda: None)
        self.health.set_period(NEVER_S)
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", self.heard.append, qos.outputs()
        )
        self.spin_until(lambda: self.node.count_subscribers("/diagnostics"))
        self.health.publish()
        self.spin_until(lambda: self.heard)
        self.heard.clear()

    def spin_until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def patient(graph: Graph) -> Iterator[Patient]:
    assert graph
    opened = Patient()
    yield opened
    opened.close()


def test_without_frame_sets_it_is_published_on_time(patient: Patient) -> None:
    for count in (1, 2, 3):
        patient.health.on_time()
        patient.spin_until(lambda count=count: len(patient.heard) == count)


def test_where_frame_sets_come_it_follows_the_next_one(patient: Patient) -> None:
    patient.health.set_done()
    patient.health.on_time()
    patient.spin_for(0.3)
    assert not patient.heard
    threading.Thread(target=patient.health.set_done).start()
    patient.spin_until(lambda: patient.heard)
    patient.health.set_done()
    patient.spin_for(0.3)
    assert len(patient.heard) == 1


def test_it_waits_no_longer_than_until_it_is_due_again(patient: Patient) -> None:
    patient.health.set_done()
    patient.health.on_time()
    patient.health.on_time()
    patient.spin_until(lambda: patient.heard)
    patient.health.set_done()
    patient.spin_for(0.3)
    assert len(patient.heard) == 1


def test_frame_sets_that_ended_are_not_waited_for(patient: Patient) -> None:
    patient.health.set_done()
    patient.health.set_period(0.1)
    patient.spin_until(lambda: len(patient.heard) >= 3)
