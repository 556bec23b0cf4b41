"""The node's executor: messages on the short way, all else still served meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

import rclpy
from graph import Graph
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from streampetr_ros.ros import qos
from streampetr_ros.ros.executor import StreamExecutor, serve

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class Stream:
    """A node that hears a stream of numbers, which flows while it is spun."""

    def __init__(self) -> None:
        self.node: Node = rclpy.create_node("executor_under_test")
        self.executor = StreamExecutor()
        self.executor.add_node(self.node)
        self.heard: list[float] = []
        self.subscription = self.node.create_subscription(
            Float64, "numbers", lambda message: self.heard.append(message.data), RELIABLE
        )
        self._publisher = self.node.create_publisher(Float64, "numbers", RELIABLE)
        self._next = 0.0

    def publish(self) -> None:
        self._publisher.publish(Float64(data=self._next))
        self._next += 1.0

    def flow_until(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}"
            self.publish()
            self.executor.spin_once()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def stream(graph: Graph) -> Iterator[Stream]:
    assert graph
    opened = Stream()
    # Once a message came, the short way is open.
    opened.flow_until(lambda: opened.heard, "the first number")
    yield opened
    opened.close()


def test_messages_come_once_and_in_order(stream: Stream) -> None:
    stream.flow_until(lambda: len(stream.heard) >= 200, "200 numbers")
    first = int(stream.heard[0])
    assert stream.heard == [float(first + i) for i in range(len(stream.heard))]


def test_timers_run_while_messages_stream_in(stream: Stream) -> None:
    ticks: list[float] = []
    stream.node.create_timer(0.01, lambda: ticks.append(time.monotonic()))
    stream.flow_until(lambda: len(ticks) >= 5, "a timer")


def test_guard_conditions_are_served_while_messages_stream_in(stream: Stream) -> None:
    passed: list[int] = []
    guard = stream.node.create_guard_condition(lambda: passed.append(len(stream.heard)))
    for count in range(1, 6):
        threading.Thread(target=guard.trigger).start()
        stream.flow_until(lambda count=count: len(passed) >= count, "the guard condition")
    heard = len(stream.heard)
    stream.flow_until(lambda: len(stream.heard) > heard + 20, "numbers after that")
    assert len(passed) == 5


def test_services_answer_while_messages_stream_in(stream: Stream) -> None:
    def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        return response

    stream.node.create_service(Trigger, "question", answer)
    client = stream.node.create_client(Trigger, "question")
    stream.flow_until(client.service_is_ready, "the service")
    future = client.call_async(Trigger.Request())
    stream.flow_until(future.done, "the answer")
    assert future.result().success


def test_a_topic_that_is_added_is_heard(stream: Stream) -> None:
    heard: list[float] = []
    stream.node.create_subscription(
        Float64, "numbers", lambda message: heard.append(message.data), RELIABLE
    )
    stream.flow_until(lambda: heard, "the second subscription")


def test_a_callback_may_end_the_subscription_that_is_served_next(stream: Stream) -> None:
    node, heard = stream.node, stream.heard
    others = [
        node.create_subscription(Float64, "numbers", lambda _: end_others(), RELIABLE)
        for _ in range(2)
    ]

    def end_others() -> None:
        while others:
            node.destroy_subscription(others.pop())

    stream.flow_until(lambda: not others, "the end of the other subscriptions")
    count = len(heard)
    stream.flow_until(lambda: len(heard) > count + 5, "numbers after that")


def test_incompatible_publishers_are_noticed_while_messages_stream_in(stream: Stream) -> None:
    policies: list[str] = []
    stream.node.create_subscription(
        Float64,
        "others",
        lambda _: None,
        RELIABLE,
        event_callbacks=qos.mismatch_events(policies.append),
    )
    stream.node.create_publisher(Float64, "others", BEST_EFFORT)
    stream.flow_until(lambda: policies, "word of the publisher")
    assert "RELIABILITY" in policies[0]


def test_the_end_of_ros_ends_the_wait() -> None:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("ended", context=context)
    executor = StreamExecutor(context=context)
    executor.add_node(node)
    heard: list[float] = []
    node.create_subscription(Float64, "last", lambda message: heard.append(message.data), RELIABLE)
    publisher = node.create_publisher(Float64, "last", RELIABLE)
    while not heard:
        publisher.publish(Float64(data=1.0))
        executor.spin_once()
    threading.Timer(0.1, context.try_shutdown).start()
    with pytest.raises(ExternalShutdownException):
        _spin(executor)
    node.destroy_node()


def _spin(executor: StreamExecutor) -> None:
    while True:
        executor.spin_once()


def test_messages_can_be_taken_out_of_turn(stream: Stream) -> None:
    while serve(stream.subscription):
        continue
    count = len(stream.heard)
    stream.publish()
    end = time.monotonic() + 20.0
    while not serve(stream.subscription):
        assert time.monotonic() < end, "waited in vain for the number"
    assert len(stream.heard) == count + 1
    assert not serve(stream.subscription)
    stream.node.destroy_subscription(stream.subscription)
    assert not serve(stream.subscription)
