"""Libraries compiled from `native/`, where they were built with the package."""

from __future__ import annotations

import ctypes
import logging
from functools import lru_cache
from pathlib import Path

import streampetr_ros

_LOGGER = logging.getLogger(__name__)


@lru_cache
def library(name: str, instead: str) -> ctypes.CDLL | None:
    """Return a library; None, with a warning, where this machine has none.

    Args:
        name: of its source file, without suffix.
        instead: what its absence means to the user.
    """
    paths = [Path(folder) / f"{name}.so" for folder in streampetr_ros.__path__]
    path = next((each for each in paths if each.is_file()), None)
    if path is None:
        _LOGGER.warning(
            "there is no compiled %s: %s; install a C compiler (gcc) and then the package again",
            name,
            instead,
        )
        return None
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        _LOGGER.warning("%s cannot be used: %s (%s)", path, instead, error)
        return None
