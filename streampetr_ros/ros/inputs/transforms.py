"""Transforms from TF or odometry: stored by the executor, waited for by the worker.

One pair of subscriptions feeds either buffer, so that the worker can sleep until something new
came instead of polling, and so that a backward jump of the stamps clears both in the same way.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from threading import Condition
from typing import Any, Protocol, TypeVar

from geometry_msgs.msg import Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.ingest.messages import transform_from
from streampetr_ros.ingest.transforms.tree import (
    Reason,
    TransformError,
    TransformTree,
    TransformUnavailable,
)
from streampetr_ros.parameters.node import PoseParameters
from streampetr_ros.parameters.tree import ParameterError
from streampetr_ros.parameters.wiring import nanoseconds
from streampetr_ros.ros import qos
from streampetr_ros.ros.problems import Problem, ProblemLog

T = TypeVar("T")

#: A stamp this much older than the newest of its frame means that time restarted.
_RESTART_NS = 1_000_000_000


class TransformBuffer(Protocol):
    """Transforms over time; both implementations are thread-safe."""

    name: str

    @property
    def restarts(self) -> int:
        """How often stamps jumped back."""
        ...

    def insert(self, message: TransformStamped, *, static: bool) -> None:
        """Enter a transform.

        Raises:
            TransformError: if it is not usable.
        """
        ...

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """Return the (4, 4) target_from_source at a time.

        Raises:
            TransformUnavailable: if it is not known.
        """
        ...

    def clear(self) -> None:
        """Forget everything but static transforms."""
        ...


class OwnBuffer:
    """The core's transform tree."""

    name = "own"

    def __init__(self, history_ns: int, extrapolation_ns: int) -> None:
        self._tree = TransformTree(history_ns, extrapolation_ns, _RESTART_NS)

    @property
    def restarts(self) -> int:
        """How often stamps jumped back."""
        return self._tree.restarts

    def insert(self, message: TransformStamped, *, static: bool) -> None:
        """Enter a transform; see `TransformBuffer.insert`."""
        t = transform_from(message)
        if static:
            self._tree.insert_static(t.parent, t.child, t.translation, t.quaternion_wxyz)
        else:
            self._tree.insert(t.parent, t.child, t.stamp_ns, t.translation, t.quaternion_wxyz)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """Look up a transform; see `TransformBuffer.lookup`."""
        return self._tree.lookup(target, source, stamp_ns)

    def clear(self) -> None:
        """Forget everything but static transforms."""
        self._tree.clear()


class Tf2Buffer:
    """The buffer of tf2_ros.

    What enters passes our own tree first: tf2 ignores unusable transforms and, for ever after a
    bag loop, old stamps, both without telling. It gets no node: with one it offers a service that
    it never takes back, and in some releases its answer to a clock that jumps back raises; whoever
    hears of the jump calls `clear`.

    Args:
        history_ns: time that transforms are kept.
    """

    name = "tf2"

    def __init__(self, history_ns: int) -> None:
        import tf2_ros  # noqa: PLC0415
        from rclpy.duration import Duration  # noqa: PLC0415

        self._tf2: Any = tf2_ros
        self._buffer = tf2_ros.Buffer(cache_time=Duration(nanoseconds=history_ns))
        self._gate = OwnBuffer(history_ns, 0)

    @property
    def restarts(self) -> int:
        """How often stamps jumped back."""
        return self._gate.restarts

    def insert(self, message: TransformStamped, *, static: bool) -> None:
        """Enter a transform; see `TransformBuffer.insert`."""
        before = self._gate.restarts
        self._gate.insert(message, static=static)
        if self._gate.restarts != before:
            self._buffer.clear()
        enter = self._buffer.set_transform_static if static else self._buffer.set_transform
        enter(message, "streampetr")

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """Look up a transform; see `TransformBuffer.lookup`."""
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except self._tf2.TransformException as error:
            sentence = f"no transform from {source} to {target}: {error}"
            raise TransformUnavailable(sentence, self._reason(error)) from error
        values = transform_from(found)
        return geometry.transform_from_quaternion(values.translation, values.quaternion_wxyz)

    def clear(self) -> None:
        """Forget everything but static transforms."""
        self._gate.clear()
        self._buffer.clear()

    def _reason(self, error: Exception) -> Reason:
        if isinstance(error, self._tf2.LookupException):
            return Reason.UNKNOWN_FRAME
        if isinstance(error, self._tf2.ExtrapolationException):
            return Reason.TOO_EARLY if "past" in str(error) else Reason.TOO_LATE
        return Reason.DISCONNECTED


def make_buffer(parameters: PoseParameters) -> TransformBuffer:
    """Choose the buffer.

    Raises:
        ParameterError: if tf2 is asked for but not installed.
    """
    installed = importlib.util.find_spec("tf2_ros") is not None
    if parameters.buffer == "tf2" and not installed:
        raise ParameterError(
            "parameter 'pose.buffer' is 'tf2' but tf2_ros is not installed; install "
            "ros-$ROS_DISTRO-tf2-ros-py or choose 'own'"
        )
    if parameters.buffer == "own" or not installed:
        return OwnBuffer(nanoseconds(parameters.history_s), nanoseconds(parameters.extrapolation_s))
    return Tf2Buffer(nanoseconds(parameters.history_s))


class TransformInput:
    """Fills a buffer from topics and lets one other thread wait for what it needs.

    Args:
        node: that subscribes.
        parameters: sources and limits.
        problems: hears of unusable transforms.
    """

    def __init__(self, node: Node, parameters: PoseParameters, problems: ProblemLog) -> None:
        self.buffer = make_buffer(parameters)
        self.received = 0
        self._problems = problems
        self._news = Condition()
        self._subscriptions: list[Subscription] = [
            node.create_subscription(TFMessage, "/tf", self._on_moving, qos.transforms()),
            node.create_subscription(
                TFMessage, "/tf_static", self._on_static, qos.static_transforms()
            ),
        ]
        if parameters.source == "odometry":
            self._subscriptions.append(
                node.create_subscription(
                    Odometry, parameters.odometry_topic, self._on_odometry, qos.transforms()
                )
            )
        self._node = node

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def clear(self) -> None:
        """Forget everything but static transforms."""
        self.buffer.clear()

    def wait_for(self, find: Callable[[], T], timeout_s: float) -> T:
        """Call `find` until it succeeds, again whenever transforms arrived.

        Args:
            find: looks up transforms.
            timeout_s: longest wait.

        Raises:
            TransformUnavailable: the last one of `find`, at once if waiting cannot help.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self._news:
                seen = self.received
            try:
                return find()
            except TransformUnavailable as error:
                if not error.may_come or not self._wait_for_news(seen, deadline):
                    raise

    def _wait_for_news(self, seen: int, deadline: float) -> bool:
        with self._news:
            return self._news.wait_for(
                lambda: self.received != seen, max(0.0, deadline - time.monotonic())
            )

    def _on_moving(self, message: TFMessage) -> None:
        self._enter(message.transforms, static=False)

    def _on_static(self, message: TFMessage) -> None:
        self._enter(message.transforms, static=True)

    def _on_odometry(self, message: Odometry) -> None:
        pose = message.pose.pose
        place = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
        moved = TransformStamped(
            header=message.header,
            child_frame_id=message.child_frame_id,
            transform=Transform(translation=place, rotation=pose.orientation),
        )
        self._enter([moved], static=False)

    def _enter(self, transforms: list[TransformStamped], *, static: bool) -> None:
        for transform in transforms:
            try:
                self.buffer.insert(transform, static=static)
            except (TransformError, ValueError, RuntimeError) as error:
                name = transform.child_frame_id
                self._problems.report(Problem.BAD_TRANSFORM, name, f"transform ignored: {error}")
        with self._news:
            self.received += len(transforms)
            self._news.notify_all()
