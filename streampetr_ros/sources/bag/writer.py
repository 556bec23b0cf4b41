"""Frame sets to rosbag2, MCAP or sqlite3: what ``ros2 bag record`` would have written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.rig import mounting_change
from streampetr_ros.messages import cdr
from streampetr_ros.messages.standard import Edge, camera_info_message, header, tf_message
from streampetr_ros.messages.vehicle import (
    FrameNames,
    image_topic,
    mounting_edges,
    optical_frame_name,
    pose_edges,
    set_messages,
)
from streampetr_ros.sources.bag.file import TOKENS_KEY, RawMessage

#: Kinds of storage, as ``ros2 bag record --storage`` names them.
STORAGES = ("mcap", "sqlite3")

#: Calibration and mountings come this long before the first image, as with drivers that run.
_LEAD_NS = 100_000_000
_PLAIN, _LATCHED = (
    cdr.recorded_qos(10, QosReliability.RELIABLE, durability)
    for durability in (QosDurability.VOLATILE, QosDurability.TRANSIENT_LOCAL)
)


class BagWriter:
    """A bag that appears when it is complete; after an error nothing is left. Context manager.

    Args:
        path: folder of the bag; must not exist.
        storage: one of `STORAGES`.

    Raises:
        SourceError: if the folder exists already.
    """

    def __init__(self, path: Path, storage: str = "mcap") -> None:
        if path.exists():
            raise SourceError(f"'{path}' exists already; name a folder that does not")
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        # A run that was killed leaves its unfinished bag.
        shutil.rmtree(self._partial, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = Writer(
            self._partial, version=8, storage_plugin=StoragePlugin[storage.upper()]
        )
        self._connections: dict[str, Any] = {}
        self._tokens: dict[int, str] = {}
        self._mountings: dict[str, Array] = {}

    def __enter__(self) -> BagWriter:
        self._writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tokens:
            self._writer.set_custom_data(TOKENS_KEY, json.dumps(self._tokens))
        try:
            self._writer.close()
            if error is None:
                _rename_parts(self._partial, self._path.name)
                self._partial.rename(self._path)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def note_token(self, stamp_ns: int, token: str) -> None:
        """Remember the sample token of a frame set in the metadata of the bag."""
        if token:
            self._tokens[stamp_ns] = token

    def write_mountings(self, edges: list[Edge], recorded_ns: int) -> None:
        """Write the mountings that are not in the bag yet; static transforms hold for all of it.

        Raises:
            SourceError: if the bag cannot be written, or holds another mounting of a frame.
        """
        for _, child, stamp_ns, matrix in edges:
            known = self._mountings.get(child, matrix)
            if mounting_change(known, matrix) is not None:
                raise SourceError(
                    f"cannot write bag '{self._path}': the mounting of '{child}' at {stamp_ns} ns "
                    "is not the one before, and a bag holds one of each frame; record each drive "
                    "by itself"
                )
        new = [edge for edge in edges if edge[1] not in self._mountings]
        if new:
            self._mountings.update({child: matrix for _, child, _, matrix in new})
            self.write("/tf_static", tf_message(cdr.types, new), recorded_ns)

    def write(self, topic: str, message: Any, recorded_ns: int) -> None:
        """Write a message; its topic is announced with the first.

        Raises:
            SourceError: if the bag cannot be written.
        """
        data = cdr.serialise(message)
        self.copy(RawMessage(topic, recorded_ns, data, message.__msgtype__))

    def copy(self, message: RawMessage) -> None:
        """Write a message of another bag as it is.

        Raises:
            SourceError: if the bag cannot be written.
        """
        topic = message.topic
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(
                    topic,
                    message.kind,
                    typestore=cdr.typestore(),
                    offered_qos_profiles=[_LATCHED if topic.endswith("/tf_static") else _PLAIN],
                )
            self._writer.write(self._connections[topic], message.recorded_ns, message.data)
        except WriterError as error:
            raise SourceError(f"cannot write bag '{self._path}': {error}") from error


def write_bag(
    frame_sets: Iterable[FrameSet], path: Path, *, storage: str = "mcap", encoding: str = "jpeg"
) -> int:
    """Write frame sets as the topics the node listens to by default.

    Args:
        frame_sets: in the order of time.
        path: folder of the bag; must not exist.
        storage: one of `STORAGES`.
        encoding: of images, one of `vehicle.IMAGE_ENCODINGS`.

    Returns:
        Frame sets written.

    Raises:
        SourceError: if the bag cannot be written, or a mounting changes.
    """
    count = 0
    with BagWriter(path, storage) as bag:
        for frame_set in frame_sets:
            write_frame_set(bag, frame_set, encoding, first=count == 0)
            count += 1
        if count == 0:
            raise SourceError(f"nothing to write to '{path}': the source has no frame sets")
    return count


def write_frame_set(bag: BagWriter, frame_set: FrameSet, encoding: str, *, first: bool) -> None:
    """Write images, calibration and transforms of one frame set.

    Args:
        bag: to write to.
        frame_set: images with calibration and poses.
        encoding: of images, one of `vehicle.IMAGE_ENCODINGS`.
        first: whether calibrations are written ahead as well, as mountings that are new always are.

    Raises:
        SourceError: if the bag cannot be written, or a mounting changes.
    """
    names = FrameNames()
    messages = set_messages(cdr.types, frame_set, encoding, names)
    ahead_ns = messages.cameras[0].stamp_ns - _LEAD_NS
    bag.write_mountings(mounting_edges(frame_set, names), ahead_ns)
    for each in frame_set.cameras if first else ():
        name = each.calibration.name
        top = header(cdr.types, ahead_ns, optical_frame_name(name))
        info = camera_info_message(cdr.types, each.calibration, top)
        bag.write(f"/{name}/camera_info", info, ahead_ns)
    for edge in pose_edges(frame_set, names):
        bag.write("/tf", tf_message(cdr.types, [edge]), edge[2])
    bag.note_token(frame_set.stamp_ns, frame_set.token)
    for camera in messages.cameras:
        bag.write(f"/{camera.camera}/camera_info", camera.info, camera.stamp_ns)
        bag.write(f"/{image_topic(camera.camera, encoding)}", camera.image, camera.stamp_ns)


def _rename_parts(folder: Path, name: str) -> None:
    """Name the files of a finished bag after its folder, as ``ros2 bag record`` does."""
    metadata = folder / "metadata.yaml"
    text = metadata.read_text(encoding="utf-8")
    for part in sorted(folder.iterdir()):
        if part != metadata:
            new = f"{name}_0{part.suffix}"
            text = text.replace(part.name, new)
            part.rename(folder / new)
    metadata.write_text(text, encoding="utf-8")
