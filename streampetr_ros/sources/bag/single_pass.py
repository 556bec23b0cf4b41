"""One pass through a bag: messages in the order of recording become frame sets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from streampetr_ros.core.problems import Problem, SkippedSet
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.assembly import Assembler, Image, ImageMessage
from streampetr_ros.ingest.messages import (
    fingerprint,
    stamp_ns_from,
    transform_from,
    transform_from_odometry,
)
from streampetr_ros.ingest.pictures.pixels import Pixels
from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import StampedImage, SyncedSet, SyncStatistics
from streampetr_ros.ingest.transforms.tree import StampedTransform, TransformError, TransformTree
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.log import BagMessage, Place, Recording
from streampetr_ros.sources.bag.topics import BagTopics, CameraTopics

#: Images decoded side by side.
_DECODERS = 2
#: A frame set waits so long, in the time of the recording, for its transforms.
_PATIENCE_S = 1.0
#: After the last message, nothing is waited for any more.
_AFTER_END_NS = 10_000_000_000

#: Takes the reason of a problem and a sentence about this instance of it.
Report = Callable[[str, str], object]


class _Pending(NamedTuple):
    found: SyncedSet[ImageMessage]
    deadline_ns: int


class BagPass:
    """Plays a bag into the stages of ingest; record times stand in for the clock.

    Args:
        file: the recording.
        topics: what to read.
        options: frames and synchroniser.
        sequence: name of the recording.
        report: hears of problems.

    Attributes:
        position: sets tried so far, good or not.
    """

    def __init__(
        self,
        file: Recording,
        topics: BagTopics,
        options: BagOptions,
        sequence: str,
        report: Report,
    ) -> None:
        self.position = 0
        self._file = file
        self._topics = topics
        self._sequence = sequence
        self._report = report
        names = tuple(camera.name for camera in topics.cameras)
        config = options.parameters.sync_config(names)
        self._fingerprints = config.frozen_after > 0
        self._sync: FrameSetSynchroniser[ImageMessage] = FrameSetSynchroniser(config)
        self._tree = options.parameters.pose.transform_tree()
        self._infos: dict[str, Any] = {}
        self._assembler = bag_assembler(options, topics, file.place, self._infos, self._tree)
        self._pool = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")
        self._pending: deque[_Pending] = deque()
        self._now_ns = 0
        self._last: SyncStatistics | None = None
        self._handlers = self._all_handlers()

    def frame_sets(self, start: int) -> Iterator[FrameSet]:
        """Yield the frame sets that can be used.

        Args:
            start: sets, good or not, to pass over without looking at their images.
        """
        try:
            for message in self._file.messages(self._topics.static):
                self._on_transforms(message, static=True)
            for message in self._file.messages(self._handlers):
                self._now_ns = message.recorded_ns
                self._handlers[message.topic](message)
                yield from self._ready(start)
            self._last = self._sync.statistics(self._now_ns)
            self._now_ns += _AFTER_END_NS
            self._wait_for(self._sync.poll(self._now_ns), patience_ns=0)
            self._now_ns += _AFTER_END_NS
            yield from self._ready(start)
        finally:
            self._pool.shutdown()

    def statistics(self) -> SyncStatistics:
        """Tell how the synchroniser is doing, or did at the last message."""
        return self._last or self._sync.statistics(self._now_ns)

    def _all_handlers(self) -> dict[str, Callable[[BagMessage], None]]:
        handlers: dict[str, Callable[[BagMessage], None]] = {}
        for camera in self._topics.cameras:
            handlers[camera.image_topic] = partial(self._on_image, camera)
            handlers[camera.info_topic] = partial(self._on_info, camera)
        for topic in self._topics.moving:
            handlers[topic] = partial(self._on_transforms, static=False)
        if self._topics.odometry:
            handlers[self._topics.odometry] = self._on_odometry
        return handlers

    def _on_info(self, camera: CameraTopics, message: BagMessage) -> None:
        self._infos[camera.name] = message.content

    def _on_image(self, camera: CameraTopics, message: BagMessage) -> None:
        content = message.content
        image = StampedImage(
            camera=camera.name,
            stamp_ns=stamp_ns_from(content.header.stamp),
            payload=ImageMessage(content, camera.image_topic),
            fingerprint=fingerprint(content) if self._fingerprints else None,
        )
        self._wait_for(self._sync.add(image, message.recorded_ns), round(_PATIENCE_S * 1e9))

    def _on_odometry(self, message: BagMessage) -> None:
        self._insert(transform_from_odometry(message.content), message.topic)

    def _on_transforms(self, message: BagMessage, *, static: bool) -> None:
        for transform in message.content.transforms:
            self._insert(transform_from(transform, static=static), message.topic)

    def _insert(self, transform: StampedTransform, topic: str) -> None:
        try:
            self._tree.insert(*transform)
        except TransformError as error:
            kind = f"{Problem.BAD_TRANSFORM.value} of '{transform.child}' on '{topic}'"
            self._report(kind, f"transform ignored: {error}")

    def _wait_for(self, found: list[SyncedSet[ImageMessage]], patience_ns: int) -> None:
        deadline_ns = self._now_ns + patience_ns
        self._pending.extend(_Pending(each, deadline_ns) for each in found)

    def _ready(self, start: int) -> Iterator[FrameSet]:
        """Yield what no longer lacks anything, and give up on what has waited long enough."""
        while self._pending:
            found, deadline_ns = self._pending[0]
            made = None
            try:
                if self.position >= start:
                    made = self._assembled(found)
            except SkippedSet as error:
                if error.may_come and self._now_ns < deadline_ns:
                    return
                self._report(error.kind, str(error))
            self._pending.popleft()
            self.position += 1
            if made is not None:
                yield made

    def _assembled(self, found: SyncedSet[ImageMessage]) -> FrameSet:
        outline = self._assembler.outline(found)
        pictures = list(self._pool.map(self._decoded, found.images))
        whole = self._assembler.whole(found, outline, pictures)
        token = self._file.tokens.get(found.stamp_ns, "")
        return replace(whole, sequence=self._sequence, token=token)

    def _decoded(self, image: Image) -> Pixels:
        return self._assembler.decode(image.camera, image.payload)


def bag_assembler(
    options: BagOptions,
    topics: BagTopics,
    place: Place,
    infos: Mapping[str, Any],
    tree: TransformTree,
) -> Assembler:
    """Return what makes frame sets of recorded messages.

    Args:
        options: frames.
        topics: of the cameras.
        place: of the messages, for remedies.
        infos: newest CameraInfo message by camera.
        tree: transforms.
    """
    assembler = Assembler(
        options.parameters.frames,
        {camera.name: camera.settings for camera in topics.cameras},
        infos.get,
        tree.lookup,
        f"{place.verb} this transform, or name the frames with --fixed-frame and --base-frame",
    )
    assembler.patience_s = _PATIENCE_S
    return assembler
