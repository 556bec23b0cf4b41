"""Everything that the node takes in: messages of cameras and TF become assembled frame sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException
from rclpy.lifecycle import LifecycleNode

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.problems import Problem, ProblemLog
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.assembly import Assembler
from streampetr_ros.ingest.messages import fingerprint, stamp_ns_from, stamp_text
from streampetr_ros.ingest.sync.report import DROP_REMEDIES
from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import (
    DropReason,
    StampedImage,
    SyncedSet,
    SyncStatistics,
)
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.pipeline.data import WholeSet
from streampetr_ros.ros.inputs.camera_input import CameraInput, ReceivedImage
from streampetr_ros.ros.inputs.message_filters_sync import MessageFiltersSynchroniser
from streampetr_ros.ros.inputs.other_encodings import convert_by_cv_bridge
from streampetr_ros.ros.inputs.picture_work import PictureWork, PrepareAhead
from streampetr_ros.ros.inputs.transforms import TransformInput

Synchroniser = FrameSetSynchroniser[ReceivedImage] | MessageFiltersSynchroniser[ReceivedImage]
#: Receives frame sets; must return quickly.
Offer = Callable[[SyncedSet[ReceivedImage]], None]

#: How often overdue cameras are looked for; wall time, because simulated time may stand still.
_POLL_S = 0.02


class Inputs:
    """Cameras, synchroniser and transforms of a node.

    Executor callbacks enter images and transforms; one other thread asks what they make.

    Args:
        node: that subscribes.
        parameters: all of them.
        problems: hears of what goes wrong.

    Attributes:
        cameras: topics by camera, while images are taken in.
        transforms: what TF says.
        assembler: makes frame sets.

    Raises:
        ConfigError: if topics or the policy of the synchroniser cannot be used.
    """

    def __init__(
        self, node: LifecycleNode, parameters: NodeParameters, problems: ProblemLog
    ) -> None:
        self.cameras: dict[str, CameraInput] = {}
        self._node = node
        self._parameters = parameters
        self._problems = problems
        self._settings = {camera.name: camera for camera in parameters.cameras.settings()}
        self._check_topics()
        self._sync_config = parameters.sync_config()
        self._synchroniser = self._new_synchroniser()
        self._drops = DropReport(problems)
        self._running = ExitStack()
        self.transforms = TransformInput(node, parameters.pose, problems)
        self.assembler = Assembler(
            parameters.frames,
            self._settings,
            lambda camera: self.cameras[camera].info,
            self.transforms.tree.lookup,
            "publish it in time or raise pose.timeout_s",
            convert_by_cv_bridge,
        )

    def start(self, offer: Offer, is_wanted: Callable[[int], bool], prepare: PrepareAhead) -> None:
        """Subscribe to the cameras.

        Args:
            offer: receives frame sets.
            is_wanted: whether a set of such a stamp would probably be processed.
            prepare: prepares decoded pictures whose set is not complete yet.
        """
        self._offer, self._is_wanted = offer, is_wanted
        parameters, running = self._parameters.cameras, self._running
        self._pictures = PictureWork(self.assembler, parameters.decode_threads, prepare)
        running.callback(self._pictures.close)
        for name, settings in self._settings.items():
            self.cameras[name] = CameraInput(
                self._node, settings, parameters, self._on_image, self._problems
            )
            running.callback(self.cameras[name].close)
        self._poll_timer = self._node.create_timer(
            _POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        running.callback(self._node.destroy_timer, self._poll_timer)
        self._poll_timer.cancel()

    def stop(self) -> None:
        """Unsubscribe from the cameras and forget their images."""
        self._running.close()
        self.cameras.clear()
        self._synchroniser = self._new_synchroniser()
        self._drops = DropReport(self._problems)

    def close(self) -> None:
        """Unsubscribe from everything."""
        self.stop()
        self.transforms.close()

    def restart(self, reason: str) -> None:
        """Forget everything that is tied to the time before a jump of the clock."""
        self._synchroniser.restart(reason)
        self.transforms.tree.clear()

    def now_ns(self) -> int:
        """Return the time of the node; 0 while simulated time has not begun."""
        return self._node.get_clock().now().nanoseconds

    def statistics(self) -> SyncStatistics:
        """Take a snapshot of the synchroniser and log what it dropped since the last one."""
        statistics = self._synchroniser.statistics(self.now_ns())
        self._drops.update(statistics, {n: c.image_topics for n, c in self.cameras.items()})
        return statistics

    def outline(self, found: SyncedSet[ReceivedImage]) -> FrameSet:
        """Make a frame set whose pictures may still be decoded, waiting for transforms.

        Raises:
            SkippedSet: naming topic, stamp and remedy.
        """
        outline = self.transforms.wait_for(
            partial(self.assembler.outline, found), self.assembler.patience_s
        )
        for image in found.images:
            self._pictures.begun(image.camera, image.payload)
        return outline

    def complete(self, found: SyncedSet[ReceivedImage], outline: FrameSet) -> WholeSet:
        """Wait for the pictures of a set.

        Raises:
            SkippedSet: for one that cannot be decoded or is of another size.
        """
        begun = [self._pictures.begun(image.camera, image.payload) for image in found.images]
        pictures = [each.result() for each in begun]
        whole = self.assembler.whole(found, outline, pictures)
        ahead = {image.camera: image.payload.prepared for image in found.images}
        return WholeSet(whole, {name: made for name, made in ahead.items() if made is not None})

    def _on_image(self, camera: str, received: ReceivedImage) -> None:
        stamp_ns = stamp_ns_from(received.message.header.stamp)
        # First of all: whatever follows passes while the image is decoded.
        if self._is_wanted(stamp_ns):
            self._pictures.begin_early(camera, received)
        image = StampedImage(
            camera=camera,
            stamp_ns=stamp_ns,
            payload=received,
            fingerprint=fingerprint(received.message) if self._sync_config.frozen_after else None,
        )
        self._hand_over(self._synchroniser.add(image, self.now_ns()))

    def _poll(self) -> None:
        now_ns, deadline_ns = self.now_ns(), self._synchroniser.next_deadline_ns
        is_due = deadline_ns is not None and now_ns >= deadline_ns
        self._hand_over(self._synchroniser.poll(now_ns) if is_due else ())

    def _hand_over(self, found: Sequence[SyncedSet[ReceivedImage]]) -> None:
        """Offer sets; let the timer run while a camera may become overdue: waking up costs CPU."""
        for each in found:
            self._offer(each)
        timer, needed = self._poll_timer, self._synchroniser.next_deadline_ns is not None
        if needed and timer.is_canceled():
            timer.reset()
        elif not needed:
            timer.cancel()

    def _new_synchroniser(self) -> Synchroniser:
        if self._parameters.sync.policy == "own":
            return FrameSetSynchroniser(self._sync_config)
        return MessageFiltersSynchroniser(self._sync_config, self._parameters.sync)

    def _check_topics(self) -> None:
        """Refuse impossible topic names now instead of when they are subscribed to."""
        owners = {
            topic: f"of camera '{camera.name}'"
            for camera in self._settings.values()
            for topic in (camera.image_topic, camera.info_topic)
        }
        if self._parameters.pose.source == "odometry":
            owners[self._parameters.pose.odometry_topic] = "of parameter 'pose.odometry_topic'"
        for topic, owner in owners.items():
            try:
                self._node.resolve_topic_name(topic)
            except (NameValidationException, RuntimeError, ValueError) as error:
                reason = str(error).partition(", at ")[0]
                raise ConfigError(f"topic '{topic}' {owner} is no ROS name: {reason}") from error


class DropReport:
    """Says in the log which images the synchroniser dropped, and what to do about it.

    Args:
        problems: counts and logs.
    """

    def __init__(self, problems: ProblemLog) -> None:
        self._problems = problems
        self._seen: dict[tuple[str, DropReason], int] = {}

    def update(self, statistics: SyncStatistics, topics: Mapping[str, str]) -> None:
        """Report drops since the last snapshot.

        Args:
            statistics: snapshot.
            topics: image topic by camera.
        """
        for camera in statistics.cameras:
            newest = camera.last_stamp_ns
            stamp = "" if newest is None else f", newest stamp {stamp_text(newest)}"
            for reason, total in camera.dropped.items():
                count = total - self._seen.get((camera.name, reason), 0)
                self._seen[camera.name, reason] = total
                if count > 0:
                    self._problems.report(
                        Problem.DROPPED_IMAGE,
                        f"{camera.name} {reason.value}",
                        f"{count} image(s) of camera '{camera.name}' on "
                        f"'{topics.get(camera.name, '')}' dropped: {reason.value}{stamp}; "
                        f"{DROP_REMEDIES[reason]}",
                        count,
                    )
