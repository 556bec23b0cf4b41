"""List the files and functions of ours that one frame passes, from its images to its boxes.

A live node with default parameters takes six JPEG cameras over DDS while every thread is profiled;
nobody listens to markers. What runs between the first image of a set and the arrival of its boxes
counts, in the order of first use; the median over some sets is printed.

    python studies/frame_path.py --list

With ``--write`` the files go into docs/architecture.md, each with what it says about itself.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage
from streampetr_ros.msg import Object3DArray
from tf2_msgs.msg import TFMessage

import streampetr_ros.core.types
from streampetr_ros.messages.vehicle import FrameNames, SetMessages, set_messages
from streampetr_ros.ros import qos
from streampetr_ros.ros.executor import StreamExecutor
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.node.node import StreamPetrNode
from streampetr_ros.sources import open_source
from studies.generate import ROOT, with_tables
from studies.rooms import files as table_of

PACKAGE = str(Path(streampetr_ros.core.types.__file__).parents[1])
_PATIENCE_S = 60.0


class Recorder:
    """Notes every function of ours that a thread started after `install` enters."""

    def __init__(self) -> None:
        self.codes: dict[CodeType, None] = {}
        self._on = False

    def install(self) -> None:
        """Profile all threads that start from now on."""
        threading.setprofile(self._note)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note what runs in here, and nothing before it."""
        self.codes = {}
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        # Comprehensions and lambdas belong to the function around them.
        is_named = not code.co_name.startswith("<")
        if self._on and event == "call" and is_named and code.co_filename.startswith(PACKAGE):
            self.codes[code] = None


class Vehicle:
    """Publishes frame sets and notices their boxes."""

    def __init__(self, node: Node, cameras: list[str]) -> None:
        self._seen = 0
        self._images = {
            name: node.create_publisher(
                CompressedImage, f"{name}/image_raw/compressed", qos.images("reliable", 5)
            )
            for name in cameras
        }
        self._infos = {
            name: node.create_publisher(CameraInfo, f"{name}/camera_info", 5) for name in cameras
        }
        self._tf = node.create_publisher(TFMessage, "/tf", qos.transforms())
        self._tf_static = node.create_publisher(TFMessage, "/tf_static", qos.static_transforms())
        node.create_subscription(Object3DArray, "/streampetr/detections", self._on_boxes, 5)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)

    def is_heard(self) -> bool:
        """Tell whether the node listens to all that is published."""
        self._executor.spin_once(timeout_sec=0.1)
        return all(p.get_subscription_count() for p in (*self._images.values(), self._tf))

    def send(self, messages: SetMessages, within_s: float) -> bool:
        """Publish a set; tell whether its boxes came."""
        before = self._seen
        self._tf_static.publish(messages.mountings)
        self._tf.publish(messages.poses)
        for camera in messages.cameras:
            self._infos[camera.camera].publish(camera.info)
            self._images[camera.camera].publish(camera.image)
        deadline = time.monotonic() + within_s
        while self._seen == before and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)
        return self._seen > before

    def _on_boxes(self, _: Object3DArray) -> None:
        self._seen += 1


def measured(sets: int) -> list[dict[CodeType, None]]:
    """Return what each of some frame sets passes."""
    drive = [
        set_messages(types, each, "jpeg", FrameNames())
        for each in islice(open_source("synthetic:0"), sets + 3)
    ]
    recorder = Recorder()
    rclpy.init(args=["--ros-args", "-p", "model.weights:=random:0", "-p", "model.name:=tiny"])
    helper = rclpy.create_node("vehicle")
    vehicle = Vehicle(helper, [camera.camera for camera in drive[0].cameras])
    recorder.install()
    node = StreamPetrNode()
    executor = StreamExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=_spin, args=(executor,), daemon=True)
    spinning.start()
    deadline = time.monotonic() + _PATIENCE_S
    while not vehicle.is_heard() and time.monotonic() < deadline:
        continue
    found = []
    for messages in drive:
        with recorder.recording():
            came = vehicle.send(messages, within_s=5.0)
        if came:
            found.append(recorder.codes)
    rclpy.shutdown()
    spinning.join()
    node.close()
    return found[-sets:]


def _spin(executor: StreamExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sets", type=int, default=9, help="frame sets looked at")
    parser.add_argument("--list", action="store_true", help="name the files in order of first use")
    parser.add_argument("--write", action="store_true", help="write them into docs/architecture.md")
    options = parser.parse_args()
    found = measured(options.sets)
    if not found:
        raise SystemExit("the node answered no frame set")
    files = [list(dict.fromkeys(code.co_filename for code in codes)) for codes in found]
    print(f"{len(found)} sets: {statistics.median(map(len, files)):g} files, ", end="")
    print(f"{statistics.median(map(len, found)):g} functions")
    middle = sorted(zip(map(len, files), range(len(files)), strict=True))[len(files) // 2][1]
    if options.list:
        for name in files[middle]:
            count = sum(code.co_filename == name for code in found[middle])
            print(f"{count:4d}  {Path(name).relative_to(PACKAGE)}")
    if options.write:
        write([str(Path(name).relative_to(PACKAGE)) for name in files[middle]])


def write(names: list[str]) -> None:
    """Put the files of one set into the page about the architecture, in order of first use."""
    page = ROOT / "docs" / "architecture.md"
    text = with_tables(page.read_text(encoding="utf-8"), {"frame": table_of(names)})
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
