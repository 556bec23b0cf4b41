"""The door to nuscenes-devkit, which is not installed everywhere."""

from __future__ import annotations

import importlib
import unittest
from typing import Any

from streampetr_ros.core.errors import UserError


def import_devkit(part: str = "nuscenes") -> Any:
    """Import a module of nuscenes-devkit.

    Raises:
        UserError: if it or something that it needs is not installed.
    """
    try:
        return importlib.import_module(part)
    # The devkit turns a missing motmetrics or pandas into unittest.SkipTest.
    except (ImportError, unittest.SkipTest) as error:
        raise UserError(
            "nuScenes tables and metrics need nuscenes-devkit, which needs numpy < 2, motmetrics "
            f"and pandas ({error}); install it with: pip install 'streampetr_ros[evaluation]'"
        ) from error
