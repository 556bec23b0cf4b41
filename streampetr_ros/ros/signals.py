"""SIGINT and SIGTERM end a process of ROS quietly, wherever it is."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import rclpy
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation


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
def ros_until_signal(arguments: Sequence[str] | None = None) -> Iterator[None]:
    """Initialise rclpy for a block that SIGINT and SIGTERM end; its own clean-up is not disturbed.

    Args:
        arguments: of the command line; None takes those of the process.
    """
    handler = _InterruptOnce()
    # rclpy ends its context at a signal and passes it on to these.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    try:
        rclpy.init(args=arguments)
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


def _shut_down() -> None:
    try:
        rclpy.try_shutdown()
    except rclpy_implementation.RCLError:
        # A thread of rclpy ends the context at a signal too, perhaps in this very moment.
        if rclpy.ok():
            raise
