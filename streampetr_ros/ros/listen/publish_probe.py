"""Publishes boxes as the node does, to a process that listens, for `streampetr benchmark`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.node import Node

from streampetr_ros.core.types import Detections
from streampetr_ros.messages.results import SetReport
from streampetr_ros.msg import Object3D, Object3DArray
from streampetr_ros.ros import qos
from streampetr_ros.ros.listen.listening import quiet_node
from streampetr_ros.ros.outputs.objects import detections_message

_NAME = "streampetr_benchmark"
#: A process that imports rclpy takes seconds to start where other work goes on.
_LONGEST_WAIT_S = 60.0


class PublishProbe:
    """Makes and publishes the message of `~/detections`.

    Args:
        node: that publishes.
        model: name of the model.
        cameras: names of the cameras that every set is of.
    """

    def __init__(self, node: Node, model: str, cameras: Sequence[str]) -> None:
        self._publisher = node.create_publisher(Object3DArray, "~/detections", qos.outputs())
        self._model = model
        self._cameras = cameras
        self._received = 0
        self._shelf: list[Object3D] = []

    @property
    def kind(self) -> str:
        """Type of the messages."""
        return f"{Object3DArray.__module__.partition('.')[0]}/{Object3DArray.__name__}"

    @property
    def middleware(self) -> str:
        """Name of the ROS middleware that carries messages."""
        return str(rclpy.get_rmw_implementation_identifier())

    @property
    def received(self) -> int:
        """Messages that the other process has taken, known once the probe is closed."""
        return self._received

    def publish(self, detections_base: Detections) -> None:
        """Make a message of boxes in the base frame and publish it; returns when DDS has it."""
        stamp_ns = detections_base.stamp_ns
        report = SetReport(
            model=self._model,
            base_frame="base_link",
            cameras_expected=len(self._cameras),
            camera_stamps_ns=dict.fromkeys(self._cameras, stamp_ns),
        )
        message = detections_message(detections_base, report, shelf=self._shelf)
        self._publisher.publish(message)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Have another process listen until the block ends.

        Raises:
            TimeoutError: if it is not found.
        """
        command = [sys.executable, "-m", "streampetr_ros.ros.listen.result_listener"]
        listener = subprocess.Popen(  # noqa: S603 - this very package
            [*command, self._publisher.topic_name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self._wait(listener)
            yield
        finally:
            # It ends with its input and then says how many messages it took.
            said, _ = listener.communicate()
            self._received = int(said or 0)

    def _wait(self, listener: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while self._publisher.get_subscription_count() == 0:
            if listener.poll() is not None or time.monotonic() > deadline:
                # What could not even be found may never see that its input has ended.
                listener.kill()
                raise TimeoutError("no listener was found over DDS; see 'ros2 doctor'")
            time.sleep(0.05)


@contextmanager
def open_probe(model: str, cameras: Sequence[str]) -> Iterator[PublishProbe]:
    """Publish to a process of this machine until the block ends.

    Args:
        model: name of the model.
        cameras: names of the cameras that every set is of.

    Raises:
        RuntimeError: if ROS cannot start.
        TimeoutError: if the process that listens is not found.
    """
    with quiet_node(_NAME) as (node, _):
        probe = PublishProbe(node, model, cameras)
        with probe.heard():
            yield probe
