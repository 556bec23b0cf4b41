"""The RViz configuration for the cameras and frames of a vehicle."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.messages.picture_topics import overlay_topics
from streampetr_ros.ros.viewers.dock_places import camera_places, renamed_state

#: Name of the node in the shipped configuration.
_NODE = "/streampetr"
_OVERLAYS = f"{_NODE}/overlays/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What differs from vehicle to vehicle.

    Attributes:
        node: full name of the node.
        cameras: names.
        fixed_frame: TF name of the fixed frame.
        base_frame: TF name of the vehicle frame.
    """

    node: str
    cameras: tuple[str, ...]
    fixed_frame: str
    base_frame: str


def rviz_configuration(shipped: Path, rig: Rig) -> str:
    """Fit the shipped RViz configuration to a vehicle.

    Args:
        shipped: file made for the default node, cameras and frames.
        rig: of the vehicle.

    Returns:
        Content of an RViz configuration file.
    """
    content = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    manager, window = content["Visualization Manager"], content["Window Geometry"]
    places = camera_places(_shown_cameras(manager["Displays"]), rig.cameras)
    window["QMainWindow State"] = renamed_state(window["QMainWindow State"], places)
    manager["Displays"] = _displays(manager["Displays"], rig)
    manager["Global Options"]["Fixed Frame"] = rig.fixed_frame
    manager["Views"]["Current"]["Target Frame"] = rig.base_frame
    return yaml.safe_dump(content, sort_keys=False)


def _shown_cameras(displays: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each["Name"] for each in displays if _topic(each).startswith(_OVERLAYS)]


def _displays(shipped: Sequence[Mapping[str, Any]], rig: Rig) -> list[dict[str, Any]]:
    """Point displays to the node; camera pictures become those of the vehicle's cameras."""
    displays: list[dict[str, Any]] = []
    pictures = [each for each in shipped if _topic(each).startswith(_OVERLAYS)]
    for each in shipped:
        if each is pictures[0]:
            displays += _picture_displays(each, rig)
        elif each not in pictures:
            moved = copy.deepcopy(dict(each))
            if "Topic" in moved:
                moved["Topic"]["Value"] = _topic(each).replace(_NODE, rig.node, 1)
            if "Reference Frame" in moved:
                moved["Reference Frame"] = rig.base_frame
            displays.append(moved)
    return displays


def _picture_displays(like: Mapping[str, Any], rig: Rig) -> list[dict[str, Any]]:
    displays = []
    for camera, topic in overlay_topics(rig.cameras).items():
        display = copy.deepcopy(dict(like))
        display["Name"] = camera
        display["Topic"]["Value"] = topic.replace("~", rig.node, 1)
        displays.append(display)
    return displays


def _topic(display: Mapping[str, Any]) -> str:
    return str(display.get("Topic", {}).get("Value", ""))
