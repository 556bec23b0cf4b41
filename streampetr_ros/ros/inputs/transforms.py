"""Transforms from TF or odometry: stored by the executor, waited for by the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Condition
from typing import TypeVar

from nav_msgs.msg import Odometry
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from streampetr_ros.core.problems import Problem, ProblemLog, SkippedSet
from streampetr_ros.ingest.messages import transform_from, transform_from_odometry
from streampetr_ros.ingest.transforms.tree import (
    StampedTransform,
    TransformError,
)
from streampetr_ros.parameters.inputs import PoseParameters
from streampetr_ros.ros import qos

T = TypeVar("T")


class TransformInput:
    """Fills a tree from topics and lets one other thread wait for what it needs.

    Args:
        node: that subscribes.
        parameters: sources and limits.
        problems: hears of unusable transforms.

    Attributes:
        tree: what came.
        received: transforms so far.
    """

    def __init__(self, node: Node, parameters: PoseParameters, problems: ProblemLog) -> None:
        self.tree = parameters.transform_tree()
        self.received = 0
        self._problems = problems
        self._news = Condition()
        self._node = node
        moving, static = (partial(self._on_transforms, static=kind) for kind in (False, True))
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", moving, qos.transforms()),
            node.create_subscription(TFMessage, "/tf_static", static, qos.static_transforms()),
        ]
        if topic := parameters.odometry:
            self._subscriptions.append(
                node.create_subscription(Odometry, topic, self._on_odometry, qos.transforms())
            )

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def wait_for(self, find: Callable[[], T], timeout_s: float) -> T:
        """Call `find` until it succeeds, again whenever transforms arrived.

        Args:
            find: makes something of transforms.
            timeout_s: longest wait.

        Raises:
            SkippedSet: the last one of `find`, at once if waiting cannot help.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self.received
            try:
                return find()
            except SkippedSet as error:
                if not error.may_come or not self._wait_for_news(seen, deadline):
                    raise

    def _wait_for_news(self, seen: int, deadline: float) -> bool:
        with self._news:
            return self._news.wait_for(
                lambda: self.received != seen, max(0.0, deadline - time.monotonic())
            )

    def _on_transforms(self, message: TFMessage, *, static: bool) -> None:
        self._enter([transform_from(each, static=static) for each in message.transforms])

    def _on_odometry(self, message: Odometry) -> None:
        self._enter([transform_from_odometry(message)])

    def _enter(self, transforms: list[StampedTransform]) -> None:
        for transform in transforms:
            try:
                self.tree.insert(*transform)
            except TransformError as error:
                self._problems.report(
                    Problem.BAD_TRANSFORM, transform.child, f"transform ignored: {error}"
                )
        with self._news:
            self.received += len(transforms)
            self._news.notify_all()
