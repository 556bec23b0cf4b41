"""Plays a source of frame sets as six camera topics, CameraInfo and TF, as a vehicle would."""

from __future__ import annotations

import argparse
import array
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from streampetr_ros.geometry import quaternion_from_rotation
from streampetr_ros.sources import Source, SourceError, open_source
from streampetr_ros.types import CameraCalibration, CameraFrame, FrameSet

_SECOND_NS = 1_000_000_000
_JPEG_QUALITY = 95
#: Clock ticks after the last image, so that deadlines of the receivers pass.
_TAIL_NS = 2 * _SECOND_NS
_TICK_NS = 20_000_000
_LATCHED = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
_RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """How a source is played.

    Attributes:
        raw: raw images instead of JPEG.
        speed: playback speed; 2 is twice as fast as recorded.
        loops: times the source is played; stamps start over each time.
        limit: most frame sets of each loop; 0 for all.
        wait_s: longest wait for subscribers before the first image, seconds.
        fixed: name of the fixed frame.
        base: name of the vehicle frame.
        model: name of the model frame.
    """

    raw: bool = False
    speed: float = 1.0
    loops: int = 1
    limit: int = 0
    wait_s: float = 60.0
    fixed: str = "odom"
    base: str = "base_link"
    model: str = "lidar_top"

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(f"speed must be above 0, got {self.speed}")
        if self.loops < 1:
            raise ValueError(f"loops must be at least 1, got {self.loops}")


class NoSubscriberError(RuntimeError):
    """Nobody listened to a camera topic in time."""


class ReplayPublisher(Node):
    """Publishes frame sets with their own stamps and drives ``/clock``.

    Args:
        cameras: calibrations of the rig; names are used in topics and frames.
        playback: how to play.
    """

    def __init__(self, cameras: Sequence[CameraCalibration], playback: Playback) -> None:
        super().__init__("replay_publisher")
        self._playback = playback
        kind, suffix = (Image, "") if playback.raw else (CompressedImage, "/compressed")
        self._images: dict[str, Publisher] = {}
        self._infos: dict[str, Publisher] = {}
        for camera in cameras:
            self._images[camera.name] = self.create_publisher(
                kind, f"{camera.name}/image_raw{suffix}", qos_profile_sensor_data
            )
            self._infos[camera.name] = self.create_publisher(
                CameraInfo, f"{camera.name}/camera_info", qos_profile_sensor_data
            )
        self._clock_publisher = self.create_publisher(Clock, "/clock", _RELIABLE)
        self._tf = self.create_publisher(TFMessage, "/tf", _RELIABLE)
        self._tf_static = self.create_publisher(TFMessage, "/tf_static", _LATCHED)

    def wait_for_subscribers(self) -> None:
        """Wait until every camera's image and CameraInfo have a subscriber.

        Raises:
            NoSubscriberError: naming the topics nobody listens to.
        """
        deadline = time.monotonic() + self._playback.wait_s
        publishers = [*self._images.values(), *self._infos.values(), self._tf, self._tf_static]
        while rclpy.ok():
            missing = [p.topic_name for p in publishers if p.get_subscription_count() == 0]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise NoSubscriberError(
                    f"nobody subscribed to {', '.join(missing)} within "
                    f"{self._playback.wait_s:g} s; start the node, on the same "
                    "ROS_DOMAIN_ID, with these camera names"
                )
            time.sleep(0.05)

    def publish_mountings(self, frame_set: FrameSet) -> None:
        """Publish where the cameras and the model frame sit on the vehicle."""
        base, stamp_ns = self._playback.base, frame_set.cameras[0].stamp_ns
        transforms = [
            _transform(base, _optical(camera), stamp_ns, camera.calibration.base_from_camera)
            for camera in frame_set.cameras
        ]
        transforms.append(
            _transform(base, self._playback.model, stamp_ns, frame_set.base_from_model)
        )
        self._tf_static.publish(TFMessage(transforms=transforms))

    def play(self, frame_sets: Iterator[FrameSet]) -> int:
        """Publish frame sets at their pace.

        Args:
            frame_sets: stamps increasing.

        Returns:
            Number of sets played.
        """
        start: tuple[float, int] | None = None
        played, newest_ns = 0, 0
        for frame_set in frame_sets:
            images = [(camera, self._message(camera)) for camera in _by_stamp(frame_set)]
            if start is None:
                start = (time.monotonic(), images[0][0].stamp_ns)
                self.tick(images[0][0].stamp_ns - _TICK_NS)
                self.publish_mountings(frame_set)
            self._publish_poses(frame_set)
            for camera, message in images:
                self._wait_until(camera.stamp_ns, start, newest_ns)
                newest_ns = max(newest_ns, camera.stamp_ns)
                self.tick(camera.stamp_ns)
                self._infos[camera.calibration.name].publish(_camera_info(camera))
                self._images[camera.calibration.name].publish(message)
            played += 1
            if not rclpy.ok():
                break
        if start is not None:
            self._wait_until(newest_ns + _TAIL_NS, start, newest_ns)
        return played

    def tick(self, stamp_ns: int) -> None:
        """Publish the simulated time."""
        self._clock_publisher.publish(Clock(clock=_time(stamp_ns)))

    def _wait_until(self, stamp_ns: int, start: tuple[float, int], shown_ns: int) -> None:
        """Sleep to the wall time of a stamp; the clock ticks on the way but never runs ahead."""
        while rclpy.ok():
            elapsed_ns = int((time.monotonic() - start[0]) * self._playback.speed * _SECOND_NS)
            now_ns = start[1] + elapsed_ns
            if now_ns >= stamp_ns:
                return
            if now_ns > shown_ns:
                self.tick(now_ns)
            wait_ns = min(stamp_ns - now_ns, _TICK_NS)
            time.sleep(wait_ns / _SECOND_NS / self._playback.speed)

    def _publish_poses(self, frame_set: FrameSet) -> None:
        """Publish the vehicle pose at every stamp of the set, before its images."""
        poses = {camera.stamp_ns: camera.fixed_from_base for camera in frame_set.cameras}
        poses[frame_set.stamp_ns] = frame_set.fixed_from_base
        fixed, base = self._playback.fixed, self._playback.base
        self._tf.publish(
            TFMessage(
                transforms=[
                    _transform(fixed, base, stamp_ns, pose)
                    for stamp_ns, pose in sorted(poses.items())
                ]
            )
        )

    def _message(self, camera: CameraFrame) -> Image | CompressedImage:
        return _raw_image(camera) if self._playback.raw else _jpeg(camera)


def _by_stamp(frame_set: FrameSet) -> list[CameraFrame]:
    return sorted(frame_set.cameras, key=lambda camera: camera.stamp_ns)


def _optical(camera: CameraFrame) -> str:
    return f"{camera.calibration.name}_optical_frame"


def _time(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // _SECOND_NS, nanosec=stamp_ns % _SECOND_NS)


def _transform(
    parent: str, child: str, stamp_ns: int, parent_from_child: NDArray[np.float64]
) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = _time(stamp_ns)
    x, y, z = (float(value) for value in parent_from_child[:3, 3])
    message.transform.translation.x = x
    message.transform.translation.y = y
    message.transform.translation.z = z
    w, qx, qy, qz = (float(v) for v in quaternion_from_rotation(parent_from_child[:3, :3]))
    rotation = message.transform.rotation
    rotation.w, rotation.x, rotation.y, rotation.z = w, qx, qy, qz
    return message


def _raw_image(camera: CameraFrame) -> Image:
    height, width = camera.pixels.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.frame_id = _optical(camera)
    message.header.stamp = _time(camera.stamp_ns)
    # rclpy copies an array.array at once, but bytes element by element.
    message.data = array.array("B", camera.pixels.tobytes())
    return message


def _jpeg(camera: CameraFrame) -> CompressedImage:
    bgr = cv2.cvtColor(camera.pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    message = CompressedImage(format="rgb8; jpeg compressed bgr8")
    message.header.frame_id = _optical(camera)
    message.header.stamp = _time(camera.stamp_ns)
    message.data = array.array("B", encoded.tobytes())
    return message


def _camera_info(camera: CameraFrame) -> CameraInfo:
    calibration = camera.calibration
    message = CameraInfo(height=calibration.height, width=calibration.width)
    message.header.frame_id = _optical(camera)
    message.header.stamp = _time(camera.stamp_ns)
    model = calibration.distortion_model
    message.distortion_model = "plumb_bob" if model == "none" else model
    message.d = [float(value) for value in calibration.distortion] or [0.0] * 5
    message.k = calibration.intrinsic.flatten()
    message.r = np.eye(3).flatten()
    message.p = np.hstack([calibration.intrinsic, np.zeros((3, 1))]).flatten()
    return message


def _prefetched(frame_sets: Iterator[FrameSet], depth: int = 3) -> Iterator[FrameSet]:
    """Read ahead in a thread, so that decoding does not disturb the pace."""
    waiting: queue.Queue[FrameSet | BaseException | None] = queue.Queue(depth)

    def read() -> None:
        try:
            for frame_set in frame_sets:
                waiting.put(frame_set)
            waiting.put(None)
        except SourceError as error:
            waiting.put(error)

    threading.Thread(target=read, daemon=True, name="read_ahead").start()
    while (item := waiting.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def play_source(source: Source, playback: Playback) -> int:
    """Play a source from start to end; rclpy must be initialised.

    Returns:
        Frame sets played, all loops together.

    Raises:
        SourceError: if the source cannot be read or is empty.
        NoSubscriberError: if nobody listens.
    """
    limit = playback.limit or None
    first = next(iter(source), None)
    if first is None:
        raise SourceError(f"source '{source.name}' has no frame sets")
    node = ReplayPublisher([camera.calibration for camera in first.cameras], playback)
    try:
        node.wait_for_subscribers()
        played = 0
        for _ in range(playback.loops):
            played += node.play(_prefetched(islice(iter(source), limit)))
        return played
    finally:
        node.destroy_node()


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="folder of frame.json recordings, or synthetic[:seed]")
    parser.add_argument("--raw", action="store_true", help="raw images instead of JPEG")
    parser.add_argument("--speed", type=float, default=1.0, help="playback speed")
    parser.add_argument("--loops", type=int, default=1, help="times to play the source")
    parser.add_argument("--frames", type=int, default=0, help="most frame sets per loop")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for subscribers")
    return parser.parse_args(arguments)


def main() -> None:
    """Command line entry."""
    options = _parsed(remove_ros_args(sys.argv)[1:])
    rclpy.init()
    try:
        playback = Playback(
            raw=options.raw,
            speed=options.speed,
            loops=options.loops,
            limit=options.frames,
            wait_s=options.wait,
        )
        play_source(open_source(options.source), playback)
    except (SourceError, NoSubscriberError, ValueError) as error:
        raise SystemExit(f"replay_publisher: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
