"""Messages of a vehicle in the order they came: on disk, or heard on the ROS graph just now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rosbags.interfaces import Qos


class BagMessage(NamedTuple):
    """A message as recorded.

    Attributes:
        topic: where it was published.
        recorded_ns: when it was recorded.
        content: the message; fields as in ROS.
    """

    topic: str
    recorded_ns: int
    content: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """What is known about a topic.

    Attributes:
        name: of the topic.
        kind: message type such as "sensor_msgs/msg/Image".
        count: messages.
        qos: profiles that its publishers offered; empty if not recorded.
        publishers: names of the nodes that publish it; empty if not recorded.
    """

    name: str
    kind: str
    count: int
    qos: tuple[Qos, ...]
    publishers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Words for where messages come from, so that remedies fit.

    Attributes:
        noun: such as "the bag".
        verb: what makes a missing topic appear in it, such as "record".
    """

    noun: str
    verb: str


BAG = Place(noun="the bag", verb="record")
GRAPH = Place(noun="the ROS graph", verb="publish")


class Recording(Protocol):
    """What frame sets are made of."""

    @property
    def topics(self) -> tuple[TopicFacts, ...]:
        """What is in it."""
        ...

    @property
    def tokens(self) -> Mapping[int, str]:
        """Sample tokens of frame sets, by stamp."""
        ...

    @property
    def place(self) -> Place:
        """Where messages come from, for sentences."""
        ...

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        ...

    @property
    def seconds(self) -> float:
        """Duration."""
        ...

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics in the order they came.

        Raises:
            SourceError: if they cannot be read.
        """
        ...


class HeardRecording:
    """Messages that were heard on the ROS graph, kept in memory.

    Args:
        topics: of the graph; those that were not listened to count no messages.
        heard: messages in the order they came; some may have been counted only.
        seconds: for how long images were listened to.
        clock_offset_ns: newest time on ``/clock`` minus that of this machine; None without it.
    """

    place = GRAPH
    name = "live"
    title = "the ROS graph"

    def __init__(
        self,
        topics: Sequence[TopicFacts],
        heard: Sequence[BagMessage],
        seconds: float,
        clock_offset_ns: int | None,
    ) -> None:
        self.topics = tuple(topics)
        self.tokens: Mapping[int, str] = {}
        self.seconds = seconds
        self.clock_offset_ns = clock_offset_ns
        self._heard = tuple(heard)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics in the order they came."""
        return (message for message in self._heard if message.topic in topics)
