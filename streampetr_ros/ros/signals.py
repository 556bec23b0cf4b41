"""SIGINT and SIGTERM end a process of ROS quietly, wherever it is."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import rclpy
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation

from streampetr_ros.core.errors import one_line

#: Where in its own sources rcl found a mistake.
_PLACES = re.compile(r",? at /\S+:\d+")


class _InterruptOnce:
    """Handler that interrupts the main thread at the first signal; later ones find it leaving.

    Attributes:
        leaving: whether the main thread is on its way out, for a signal or by itself.
    """

    def __init__(self) -> None:
        self.leaving = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.leaving:
            self.leaving = True
            raise KeyboardInterrupt


@contextmanager
def ros_until_signal(arguments: list[str] | None = None) -> Iterator[None]:
    """Initialise rclpy for a block that SIGINT and SIGTERM end; its own clean-up is not disturbed.

    Args:
        arguments: of the command line; None takes those of the process.

    Raises:
        SystemExit: if rclpy does not understand them, in one sentence.
    """
    handler = _InterruptOnce()
    # rclpy ends its context at a signal and passes it on to these.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    try:
        _initialise(arguments)
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (RuntimeError, NotInitializedException):
        # A signal ends the context at any moment, also between two steps of whoever uses it, and
        # rclpy makes a RuntimeError of an interrupt while it converts a message.
        if rclpy.ok() and not handler.leaving:
            raise
    finally:
        handler.leaving = True
        _shut_down()
        # What Python does on its way out must not be interrupted either.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _initialise(arguments: list[str] | None) -> None:
    """Let rclpy read the command line.

    Raises:
        SystemExit: with what rclpy did not understand, in one sentence; the exit code is 1.
    """
    try:
        rclpy.init(args=arguments)
    except rclpy_implementation.UnknownROSArgsError as error:
        raise SystemExit(
            f"cannot start: unknown ROS arguments {error}; see ros2 run --help"
        ) from None
    except rclpy_implementation.RCLError as error:
        # "failed to initialize rcl: <reason>. Error: <detail>, at <file of rcl>:<line>, at ..."
        reason = _PLACES.sub("", str(error)).partition("failed to initialize ")[2]
        reason = reason.partition(": ")[2] or str(error)
        remedy = "correct it and start again"
        if "log directory" in reason:
            remedy = "set ROS_LOG_DIR to a folder that can be written"
        raise SystemExit(f"cannot start: {one_line(reason).rstrip('.')}; {remedy}") from None


def _shut_down() -> None:
    try:
        rclpy.try_shutdown()
    except rclpy_implementation.RCLError:
        # A thread of rclpy ends the context at a signal too, perhaps in this very moment.
        if rclpy.ok():
            raise
