"""Where programs begin: a signal that comes while they are imported ends them in one sentence."""

from __future__ import annotations

import importlib
import os
import signal
from types import FrameType


def run_program(module: str) -> None:
    """Import a module of this package and run its `main`.

    Args:
        module: name below the package, such as "ros.node.node".
    """
    before = {number: signal.signal(number, _leave) for number in (signal.SIGINT, signal.SIGTERM)}
    main = importlib.import_module(f"streampetr_ros.{module}").main
    for number, handler in before.items():
        signal.signal(number, handler)
    main()


def _leave(number: int, _: FrameType | None) -> None:
    """End the process, whatever a library that is being imported makes of exceptions."""
    os.write(2, b"ended before the program had begun\n")
    os._exit(2 if number == signal.SIGINT else 1)
