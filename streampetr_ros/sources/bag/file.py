"""Messages of a rosbag2 recording, MCAP or sqlite3, in the order they were recorded."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.rosbag2 import Reader

from streampetr_ros.core.source import SourceError
from streampetr_ros.messages.cdr import typestore
from streampetr_ros.sources.bag.chunks import check_chunks
from streampetr_ros.sources.bag.log import BAG, BagMessage, TopicFacts

SUFFIXES = (".mcap", ".db3")
#: Entry of the bag's own metadata that holds sample tokens by stamp, JSON.
TOKENS_KEY = "streampetr_sample_tokens"


class RawMessage(NamedTuple):
    """A message in its serialised form (CDR).

    Attributes:
        topic: where it was published.
        recorded_ns: when it was recorded.
        data: its bytes.
        kind: message type such as "sensor_msgs/msg/Image".
    """

    topic: str
    recorded_ns: int
    data: bytes
    kind: str


class BagFile:
    """A bag on disk; opened anew for every pass.

    Args:
        path: folder with metadata.yaml, or a single .mcap or .db3 file.

    Attributes:
        path: as given.
        topics: what was recorded.
        start_ns: when the first message was recorded.
        end_ns: when the last message was recorded.
        tokens: sample tokens of a data set by stamp, if the bag was made from one.

    Raises:
        SourceError: if it is no bag, or is damaged.
    """

    place = BAG

    def __init__(self, path: Path) -> None:
        self.path = path
        self._storage = _storage(path)
        for part in _parts(self._storage) or [self._storage]:
            check_chunks(part)
        with self._opened() as reader:
            self.topics = _facts(reader)
            self.start_ns, self.end_ns = reader.start_time, reader.end_time
            self.tokens: Mapping[int, str] = _tokens(reader)
        if not any(topic.count for topic in self.topics):
            raise SourceError(f"bag '{path}' is empty; record it again, with the cameras running")

    @property
    def name(self) -> str:
        """Name of the folder or file."""
        return self.path.resolve().stem

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"bag '{self.path}'"

    @property
    def seconds(self) -> float:
        """Duration."""
        return max(0, self.end_ns - self.start_ns) * 1e-9

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics in the order they were recorded.

        Args:
            topics: names; all must be of standard types.

        Raises:
            SourceError: if the bag is damaged, or a message is not of the type of its topic.
        """
        for raw in self.raw_messages(topics):
            yield BagMessage(
                raw.topic, raw.recorded_ns, self._decoded(raw.data, raw.topic, raw.kind)
            )

    def raw_messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Yield the messages of some topics as they are on disk.

        Raises:
            SourceError: if the bag is damaged.
        """
        with self._opened() as reader:
            wanted = [each for each in reader.connections if each.topic in topics]
            # Without connections the reader would give all of them.
            for connection, recorded_ns, data in reader.messages(wanted) if wanted else ():
                yield RawMessage(connection.topic, recorded_ns, data, connection.msgtype)

    def _decoded(self, data: bytes, topic: str, kind: str) -> Any:
        try:
            return typestore().deserialize_cdr(data, kind)
        except Exception as error:  # what the decoder stumbled over, whatever it was
            raise SourceError(
                f"bag '{self.path}': a message on '{topic}' is no {kind} of ROS 2 "
                f"({_words(error)}); record the topic again with the standard definition"
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        try:
            with Reader(self._storage) as reader:
                yield reader
        except SourceError:
            raise
        except PermissionError as error:
            raise SourceError(f"bag '{self.path}' cannot be read: {_words(error)}") from error
        except Exception as error:  # lengths, indices, memory: damage has many faces
            raise SourceError(
                f"bag '{self.path}' is damaged or was not closed ({_words(error)}); repair it with "
                "'ros2 bag reindex' or, for MCAP, 'mcap recover', or record it again"
            ) from error


def _storage(path: Path) -> Path:
    """Return what to open: of a folder without metadata its only file."""
    if not path.exists():
        raise SourceError(f"bag '{path}' does not exist; give a rosbag2 folder, .mcap or .db3 file")
    if path.is_file() or (path / "metadata.yaml").is_file():
        return path
    parts = _parts(path)
    if len(parts) != 1:
        raise SourceError(
            f"'{path}' has no metadata.yaml, so it is no complete bag; repair it with "
            "'ros2 bag reindex' or give one of its files"
        )
    return parts[0]


def _parts(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)


def _facts(reader: Reader) -> tuple[TopicFacts, ...]:
    """Join what several publishers of a topic left."""
    joined: dict[tuple[str, str], TopicFacts] = {}
    for connection in reader.connections:
        key = (connection.topic, connection.msgtype)
        known = joined.get(key)
        offered = tuple(getattr(connection.ext, "offered_qos_profiles", ()))
        joined[key] = TopicFacts(
            name=connection.topic,
            kind=connection.msgtype,
            count=connection.msgcount + (known.count if known else 0),
            qos=offered + (known.qos if known else ()),
        )
    return tuple(joined.values())


def _tokens(reader: Reader) -> dict[int, str]:
    """Read the sample tokens from where `bag_writer` notes them."""
    noted = (reader.storage.metadata.custom or {}).get(TOKENS_KEY, "{}")
    return {int(stamp_ns): str(token) for stamp_ns, token in json.loads(noted).items()}


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
