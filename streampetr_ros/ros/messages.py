"""The types of the standard messages that rclpy publishes."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def types(kind: str) -> Any:
    """Return a message type; see `messages.standard.Types`."""
    package, _, name = kind.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), name)
