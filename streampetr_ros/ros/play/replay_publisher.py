"""Plays a source of frame sets as camera topics, CameraInfo, TF and clock, as a vehicle would."""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.threads import keep_linear_algebra_in_one_thread
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.vehicle import (
    IMAGE_ENCODINGS,
    CameraMessages,
    FrameNames,
    SetMessages,
    image_topic,
    set_messages,
)
from streampetr_ros.msg import Object3DArray
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.play.pace import TICK_S, Pace
from streampetr_ros.ros.play.read_ahead import ReadAhead
from streampetr_ros.ros.signals import ros_until_signal
from streampetr_ros.sources import Source, SourceError, open_source

#: The clock goes on after the last image, so that deadlines of the receivers pass: seconds of wall
#: time, and least nanoseconds of the recording.
_TAIL_S = 2.0
_LEAST_TAIL_NS = 500_000_000
#: The clock starts so long before the first image.
_LEAD_NS = 20_000_000
#: Calibrations and mountings get this long to arrive before the first image.
_SETTLE_S = 0.5
#: Waits for the source are told beyond this, seconds.
_TOLD_S = 0.1
#: How long a result is waited for in paced playback.
_RESULT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """How a source is played.

    Attributes:
        encoding: of images: "jpeg", "png" or "raw".
        speed: playback speed; 2 is twice as fast as recorded.
        loops: times the source is played; stamps start over each time.
        limit: most frame sets of each loop; 0 for all.
        wait_s: longest wait for subscribers before the first image, seconds.
        results: topic of detections to be waited for after each set; empty plays by time.
        clock: whether to publish ``/clock``; only when playing by time, as it would stand still.
    """

    encoding: str = "jpeg"
    speed: float = 1.0
    loops: int = 1
    limit: int = 0
    wait_s: float = 60.0
    results: str = ""
    clock: bool = True

    def __post_init__(self) -> None:
        if self.encoding not in IMAGE_ENCODINGS:
            raise ValueError(f"encoding '{self.encoding}' is none of {', '.join(IMAGE_ENCODINGS)}")
        if self.speed <= 0:
            raise ValueError(f"speed must be above 0, got {self.speed}")
        if self.loops < 1:
            raise ValueError(f"loops must be at least 1, got {self.loops}")
        if self.results and self.clock:
            raise ValueError("playback that waits for results has no clock")


class ReplayPublisher(Node):
    """Publishes frame sets with their own stamps.

    Args:
        cameras: names, used in topics and frames.
        playback: how to play.
    """

    def __init__(self, cameras: Sequence[str], playback: Playback) -> None:
        super().__init__("replay_publisher")
        self._playback = playback
        self._images: dict[str, Publisher] = {}
        self._infos: dict[str, Publisher] = {}
        for name in cameras:
            self._add_camera(name)
        self._clock_publisher = self.create_publisher(Clock, "/clock", qos.transforms())
        self._tf = self.create_publisher(TFMessage, "/tf", qos.transforms())
        self._tf_static = self.create_publisher(TFMessage, "/tf_static", qos.static_transforms())
        self._mountings: dict[str, TransformStamped] = {}
        self._pace = Pace(playback.speed, self.tick, rclpy.ok)
        self._newest_result_ns = 0
        if playback.results:
            self.create_subscription(Object3DArray, playback.results, self._on_result, 10)

    def wait_for_subscribers(self) -> None:
        """Wait until images, CameraInfo and transforms have subscribers.

        Raises:
            UserError: naming the topics nobody listens to.
        """
        deadline = time.monotonic() + self._playback.wait_s
        publishers: list[Publisher] = [*self._images.values(), *self._infos.values()]
        publishers += [self._tf, self._tf_static]
        while rclpy.ok():
            missing = [p.topic_name for p in publishers if p.get_subscription_count() == 0]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"nobody subscribed to {', '.join(missing)} within "
                    f"{self._playback.wait_s:g} s; start the node, on the same "
                    "ROS_DOMAIN_ID, with these camera names"
                )
            time.sleep(0.05)

    def play(self, sets: ReadAhead) -> int:
        """Publish frame sets at their pace.

        Args:
            sets: made ahead of time.

        Returns:
            Number of sets played.

        Raises:
            SourceError: if the source cannot be read to its end.
        """
        played = newest_ns = limit_ns = 0
        self._prepare(sets)
        while (messages := self._next(sets, limit_ns)) is not None:
            if not played:
                self._begin(messages)
            # Until the next set is ready time goes on, but not as far as its first image.
            spacing_ns = messages.stamp_ns - newest_ns if played else 0
            newest_ns = messages.stamp_ns
            limit_ns = newest_ns + spacing_ns // 2
            self._publish_mountings(messages.mountings)
            self._tf.publish(messages.poses)
            for camera in messages.cameras:
                self._pace.reach(camera.stamp_ns)
                self._publish_camera(camera)
            played += 1
            self._wait_for_result(messages.stamp_ns)
        if played and not self._playback.results:
            tail_ns = max(int(_TAIL_S * self._playback.speed * 1e9), _LEAST_TAIL_NS)
            self._pace.reach(newest_ns + tail_ns)
            self._warn_of_waits()
        return played

    def tick(self, stamp_ns: int) -> None:
        """Publish the simulated time."""
        if self._playback.clock:
            self._clock_publisher.publish(Clock(clock=Time(nanoseconds=stamp_ns).to_msg()))

    def _add_camera(self, name: str) -> None:
        encoding = self._playback.encoding
        kind = Image if encoding == "raw" else CompressedImage
        create, best_effort = self.create_publisher, qos_profile_sensor_data
        self._images[name] = create(kind, image_topic(name, encoding), best_effort)
        self._infos[name] = create(CameraInfo, f"{name}/camera_info", best_effort)

    def _publish_camera(self, camera: CameraMessages) -> None:
        # Sets may lack cameras, the first one too.
        if camera.camera not in self._images:
            self._add_camera(camera.camera)
        self._infos[camera.camera].publish(camera.info)
        self._images[camera.camera].publish(camera.image)

    def _prepare(self, sets: ReadAhead) -> None:
        """Wait until playback will not have to wait for the source."""
        told_s = time.monotonic() + 1.0
        while rclpy.ok() and not (sets.is_ready and (self._playback.results or sets.is_prepared)):
            if time.monotonic() > told_s:
                self.get_logger().info("preparing frame sets, as the source is slow")
                told_s = math.inf
            time.sleep(TICK_S)

    def _begin(self, messages: SetMessages) -> None:
        """Publish what drivers that run for a while have said before; start the clock."""
        self.tick(messages.cameras[0].stamp_ns - _LEAD_NS)
        self._mountings.clear()
        self._publish_mountings(messages.mountings)
        for camera in messages.cameras:
            self._infos[camera.camera].publish(camera.info)
        time.sleep(_SETTLE_S)
        self._pace.start(messages.cameras[0].stamp_ns - _LEAD_NS)

    def _publish_mountings(self, mountings: TFMessage) -> None:
        """Publish static transforms when one is new or has changed; listeners take the latest."""
        changed = False
        for mounting in mountings.transforms:
            frame = mounting.child_frame_id
            known = self._mountings.get(frame)
            if known is not None and known.transform == mounting.transform:
                continue
            changed = True
            self._mountings[frame] = mounting
            if known is not None:
                self.get_logger().warning(
                    f"the mounting of '{frame}' changes within the source, as between drives of "
                    "different vehicles; play each drive by itself if that is not wanted",
                    once=True,
                )
        if changed:
            self._tf_static.publish(TFMessage(transforms=list(self._mountings.values())))

    def _next(self, sets: ReadAhead, limit_ns: int) -> SetMessages | None:
        """Return the next set, None at the end; meanwhile the clock goes on to a limit."""
        while rclpy.ok():
            if sets.is_ready:
                return sets.take()
            self._pace.idle(limit_ns)
        return None

    def _wait_for_result(self, stamp_ns: int) -> None:
        """Wait for the set's result if that is wanted; time goes on from its stamp."""
        if not self._playback.results:
            return
        deadline = time.monotonic() + _RESULT_S
        self._newest_result_ns = 0
        while self._newest_result_ns != stamp_ns and rclpy.ok():
            if time.monotonic() > deadline:
                self.get_logger().warning(f"no result for the frame set at {stamp_ns} ns")
                break
            rclpy.spin_once(self, timeout_sec=0.1)
        self._pace.start(stamp_ns)

    def _warn_of_waits(self) -> None:
        stood_still_s = self._pace.stood_still_s
        if stood_still_s > _TOLD_S:
            self.get_logger().warning(
                f"the clock stood still for {stood_still_s:.1f} s because frame sets were not "
                "ready in time; play with a lower --speed, or fewer frames, which are prepared"
            )

    def _on_result(self, message: Object3DArray) -> None:
        self._newest_result_ns = stamp_ns_from(message.header.stamp)


def play_source(source: Source, playback: Playback) -> int:
    """Play a source from start to end; rclpy must be initialised.

    Returns:
        Frame sets played, all loops together.

    Raises:
        SourceError: if the source cannot be read or is empty.
        UserError: if nobody listens.
    """
    first = next(iter(source), None)
    if first is None:
        raise SourceError(f"source '{source.name}' has no frame sets")
    node = ReplayPublisher([camera.calibration.name for camera in first.cameras], playback)
    try:
        node.wait_for_subscribers()
        # A pause of the garbage collector would delay images.
        gc.freeze()
        return sum(_play_once(node, source, playback) for _ in range(playback.loops))
    finally:
        node.destroy_node()


def _play_once(node: ReplayPublisher, source: Source, playback: Playback) -> int:
    sets = ReadAhead(_messages(source, playback), playback.speed)
    try:
        return node.play(sets)
    finally:
        sets.close()


def _messages(source: Source, playback: Playback) -> Iterator[SetMessages]:
    """Decode and encode the images of one loop."""
    for frame_set in islice(iter(source), playback.limit or None):
        yield set_messages(types, frame_set, playback.encoding, FrameNames())


def _parsed(arguments: Sequence[str]) -> tuple[str, Playback]:
    """Return the source and how to play it; the options are the fields of a `Playback`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("source", help="folder of frame.json recordings, or synthetic[:seed]")
    add("--encoding", choices=IMAGE_ENCODINGS, default="jpeg", help="of the images")
    add("--speed", type=float, default=1.0, help="playback speed")
    add("--loops", type=int, default=1, help="times to play the source")
    add("--frames", type=int, default=0, dest="limit", help="most frame sets per loop; 0: all")
    add("--wait", type=float, default=60.0, dest="wait_s", help="seconds to wait for subscribers")
    add("--no-clock", action="store_false", dest="clock", help="do not publish /clock")
    paced = (
        "wait for detections on this topic after each frame set, without /clock, so that no set is "
        "skipped"
    )
    add("--results", default="", metavar="TOPIC", help=paced)
    options = vars(parser.parse_args(arguments))
    source = options.pop("source")
    return source, Playback(**{**options, "clock": options["clock"] and not options["results"]})


def main() -> None:
    """Command line entry."""
    keep_linear_algebra_in_one_thread()
    try:
        source, playback = _parsed(remove_ros_args(sys.argv)[1:])
        with ros_until_signal():
            play_source(open_source(source), playback)
    except (UserError, ValueError) as error:
        raise SystemExit(f"replay_publisher: {error}") from None


if __name__ == "__main__":
    main()
