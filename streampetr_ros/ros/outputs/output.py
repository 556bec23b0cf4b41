"""What an output of the node is: topics, and what makes their messages from a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from streampetr_ros.core.types import Detections, Tracks
from streampetr_ros.messages.results import SetResult
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.worker import NewestWorker

#: Makes a message of a result, or None where the result has nothing for it.
MakeMessage = Callable[[SetResult], Any]


class _Topic(NamedTuple):
    publisher: Any
    make: MakeMessage | None
    keeps_awake: bool


class Output:
    """Topics of one kind, which subclasses offer in `open`; a message is made only for listeners.

    Args:
        node: lifecycle node that publishes; nothing leaves it while it is inactive.
        parameters: of the node.
        class_names: label space of the model.
        report: hears of results that cannot be published.

    Attributes:
        node: as given.
        parameters: the present ones.
        class_names: as given.
        report: as given.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        class_names: Sequence[str],
        report: Callable[[str], None],
    ) -> None:
        self.node, self.parameters = node, parameters
        self.class_names, self.report = class_names, report
        self._topics: dict[str, _Topic] = {}

    def open(self) -> None:
        """Offer the topics; what fails leaves them to `close`."""
        raise NotImplementedError

    def offer(
        self,
        name: str,
        kind: type,
        make: MakeMessage | None = None,
        profile: QoSProfile | None = None,
        *,
        keeps_awake: bool = True,
    ) -> None:
        """Add a topic.

        Args:
            name: ROS name.
            kind: message type.
            make: makes the messages; None where the output itself serves them.
            profile: quality of service; that of results if None.
            keeps_awake: whether listeners are a reason to process images.
        """
        publisher = self.node.create_lifecycle_publisher(kind, name, profile or qos.outputs())
        self._topics[name] = _Topic(publisher, make, keeps_awake)

    def offer_detections(
        self, name: str, kind: type, write: Callable[[Detections, str], Any]
    ) -> None:
        """Add a topic of detections; `write` takes them and the TF name of the base frame."""
        self.offer(name, kind, lambda r: write(r.detections, r.report.base_frame))

    def offer_tracks(self, name: str, kind: type, write: Callable[[Tracks, str], Any]) -> None:
        """Add a topic of tracks, where objects are followed; see `offer_detections`."""
        if self.parameters.tracking.enabled:
            self.offer(name, kind, lambda r: write(r.tracks, r.report.base_frame))

    @property
    def has_listeners(self) -> bool:
        """Whether anybody subscribes to what images are processed for."""
        topics = self._topics.values()
        return any(t.keeps_awake and t.publisher.get_subscription_count() > 0 for t in topics)

    def start(self) -> None:
        """Begin; the node is active from now on."""

    def stop(self) -> None:
        """Finish what is in progress; the node is inactive from now on."""

    def apply(self, parameters: NodeParameters) -> None:
        """Take over what may change at run time."""
        self.parameters = parameters

    def publish(self, result: SetResult) -> None:
        """Publish a result on the topics that somebody subscribes to."""
        for name, topic in self._topics.items():
            if topic.make is not None:
                self.serve(name, partial(topic.make, result))

    def serve(self, name: str, make: Callable[[], Any]) -> None:
        """Make and publish a message if anybody subscribes."""
        publisher = self._topics[name].publisher
        if self.node.context.ok() and publisher.get_subscription_count() > 0:
            self.say(name, make())

    def say(self, name: str, message: Any) -> None:
        """Publish a message, unless there is none or a signal has ended ROS meanwhile."""
        if message is not None and self.node.context.ok():
            self._topics[name].publisher.publish(message)

    def close(self) -> None:
        """Stop, and remove the publishers."""
        self.stop()
        for topic in self._topics.values():
            self.node.destroy_lifecycle_publisher(topic.publisher)


class BackgroundOutput(Output):
    """An output for people: it takes time that the next frame set should not wait for.

    It publishes in a thread of its own, and only while somebody subscribes. Results that come while
    one is in the making are skipped, all but the newest.

    Attributes:
        name: of the thread, and of the output in reports.
    """

    name = "background"
    _restarts = 0
    _worker: NewestWorker[tuple[SetResult, int]] | None = None

    def start(self) -> None:
        """Start the thread."""
        self._worker = NewestWorker(self._serve_or_report, name=self.name)
        self._worker.start()

    def stop(self) -> None:
        """Finish what is in the making."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def publish(self, result: SetResult) -> None:
        """Hand a result to the thread if somebody looks."""
        self._restarts += bool(result.report.reset_reason)
        if self._worker is not None and self.has_listeners:
            self._worker.offer((result, self._restarts))

    def serve_all(self, result: SetResult, restarts: int) -> None:
        """Serve every topic; runs in the thread.

        Args:
            result: the newest.
            restarts: resets so far, those of skipped results too.
        """
        raise NotImplementedError

    def _serve_or_report(self, item: tuple[SetResult, int]) -> None:
        try:
            self.serve_all(*item)
        except Exception as error:  # noqa: BLE001 - a dead thread would freeze the output
            self.report(f"{self.name} not published: {type(error).__name__}: {error}")
