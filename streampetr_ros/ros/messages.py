"""Makes the standard messages that rclpy publishes."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


def make(kind: str, **fields: Any) -> Any:
    """Build a message; see `messages.standard.Make`."""
    return _type(kind)(**fields)


@cache
def _type(kind: str) -> Any:
    package, _, name = kind.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), name)
