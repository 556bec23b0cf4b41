"""Takes results of a topic, named as argument, until its input ends, and writes how many came."""

from __future__ import annotations

import select
import sys
import time

import rclpy
from rclpy.node import Node

from streampetr_ros.msg import Object3DArray
from streampetr_ros.ros import qos
from streampetr_ros.ros.signals import ros_until_signal

#: What was published last may still be on its way.
_AFTERWARDS_S = 0.5


def main() -> None:
    """Run the process."""
    received: list[bytes] = []
    with ros_until_signal([]):
        node = Node("streampetr_benchmark_listener", start_parameter_services=False)
        # Raw, so that as little as possible of the machine is taken from what is measured.
        node.create_subscription(
            Object3DArray, sys.argv[1], received.append, qos.outputs(), raw=True
        )
        while not select.select([sys.stdin], [], [], 0.0)[0]:
            rclpy.spin_once(node, timeout_sec=0.1)
        end = time.monotonic() + _AFTERWARDS_S
        while time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.1)
    sys.stdout.write(f"{len(received)}\n")


if __name__ == "__main__":
    main()
