"""Output topics of the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from streampetr_ros.messages.results import SetResult
from streampetr_ros.parameters.node import NodeParameters

Message = TypeVar("Message")


class Topic(Generic[Message]):
    """Publishes while the node is active; messages for listeners are made only if there are any.

    Args:
        node: owner.
        kind: message type.
        name: ROS name.
        profile: quality of service.
    """

    def __init__(
        self, node: LifecycleNode, kind: type[Message], name: str, profile: QoSProfile
    ) -> None:
        self._node = node
        self._publisher = node.create_lifecycle_publisher(kind, name, profile)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody subscribes."""
        return self._publisher.get_subscription_count() > 0

    def publish(self, message: Message) -> None:
        """Publish, unless a signal has ended ROS meanwhile."""
        if self._node.context.ok():
            self._publisher.publish(message)

    def serve(self, make: Callable[[], Message]) -> None:
        """Make and publish a message if anybody subscribes."""
        if self._node.context.ok() and self.has_listeners:
            self.publish(make())

    def close(self) -> None:
        """Remove the publisher."""
        self._node.destroy_lifecycle_publisher(self._publisher)


class Output:
    """Topics of one kind, which subclasses add to `topics` and publish results on."""

    def __init__(self) -> None:
        self.topics: list[Topic[Any]] = []

    @property
    def has_listeners(self) -> bool:
        """Whether anybody subscribes to one of the topics."""
        return any(topic.has_listeners for topic in self.topics)

    def start(self) -> None:
        """Begin; the node is active from now on."""

    def stop(self) -> None:
        """Finish what is in progress; the node is inactive from now on."""

    def apply(self, parameters: NodeParameters) -> None:
        """Take over what may change at run time."""

    def publish(self, result: SetResult) -> None:
        """Publish a result on the topics that somebody subscribes to."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop, and remove the publishers."""
        self.stop()
        for topic in self.topics:
            topic.close()
