"""The publisher of recordings ends quietly at a signal, whatever it is doing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from graph import NAMES, Graph
from sensor_msgs.msg import CameraInfo, CompressedImage
from tf2_msgs.msg import TFMessage

from streampetr_ros.ros import qos

#: A signal comes while rclpy shuts down, whose own thread has been there first.
SIGNAL_IN_SHUTDOWN = """
import os, rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from streampetr_ros.ros.signals import ros_until_signal
shut_down = rclpy.try_shutdown
def too_late():
    os.kill(os.getpid(), {number})
    shut_down()
    raise rclpy_implementation.RCLError("rcl_shutdown already called on the given context")
rclpy.try_shutdown = too_late
with ros_until_signal([]):
    pass
"""

#: A signal comes while rclpy converts a message, which forgets what interrupted it.
SIGNAL_IN_CONVERSION = """
import os, time
from streampetr_ros.ros.signals import ros_until_signal
with ros_until_signal([]):
    try:
        os.kill(os.getpid(), {number})
        time.sleep(10.0)
    except KeyboardInterrupt:
        raise RuntimeError("Unable to convert call argument '0' to Python object") from None
"""
#: An error of another origin is shown.
NO_SIGNAL = """
from streampetr_ros.ros.signals import ros_until_signal
with ros_until_signal([]):
    raise RuntimeError("no signal {number}")
"""


def listen(graph: Graph) -> list[CompressedImage]:
    """Subscribe to all that the publisher waits for; returns what will hold the images."""
    received: list[CompressedImage] = []
    best_effort, subscribe = qos.images("best_effort", 5), graph.node.create_subscription
    for name in NAMES:
        subscribe(CompressedImage, f"{name}/image_raw/compressed", received.append, best_effort)
        subscribe(CameraInfo, f"{name}/camera_info", lambda _: None, best_effort)
    subscribe(TFMessage, "/tf", lambda _: None, qos.transforms())
    subscribe(TFMessage, "/tf_static", lambda _: None, qos.static_transforms())
    return received


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("doing", ["waiting", "preparing", "playing"])
def test_signal_ends_the_publisher(
    graph: Graph, tmp_path: Path, doing: str, number: signal.Signals
) -> None:
    log = tmp_path / "publisher.log"
    command = [sys.executable, "-m", "streampetr_ros.ros.play.replay_publisher", "synthetic:3"]
    # So fast that the frame sets of many seconds are made before the first is played.
    few = ["--frames", "3", "--loops", "99", "--speed", "0.5"]
    command += ["--speed", "10"] if doing == "preparing" else few
    received = [] if doing == "waiting" else listen(graph)
    with log.open("wb") as output:
        publisher = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        graph.wait_for(lambda: graph.node.count_publishers("/clock"), "the publisher")
        if doing == "playing":
            graph.wait_for(lambda: received, "the first image", 60.0)
        else:
            assert not graph.is_true(lambda: received, within=0.7)
        assert publisher.poll() is None
        publisher.send_signal(number)
        assert publisher.wait(20.0) == 0
    finally:
        publisher.kill()
        publisher.wait()
    for trouble in ("Traceback", "Error", "terminate"):
        assert trouble not in log.read_text()


def run(program: str, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program.format(number=int(number))]
    return subprocess.run(command, capture_output=True, text=True, timeout=20.0, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "program", [SIGNAL_IN_SHUTDOWN, SIGNAL_IN_CONVERSION], ids=["shutdown", "conversion"]
)
def test_signal_within_rclpy(program: str, number: signal.Signals) -> None:
    ended = run(program, number)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_error_without_a_signal_is_raised() -> None:
    ended = run(NO_SIGNAL, signal.SIGTERM)
    assert ended.returncode != 0
    assert "RuntimeError: no signal" in ended.stderr
