"""RViz and Foxglove files: valid, and fitted to other vehicles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.messages.picture_topics import overlay_topics
from streampetr_ros.parameters.files import read_parameter_file
from streampetr_ros.ros.viewers.viewers import Rig, rviz_configuration

#: Properties that RViz 2 gives the classes of the file; others it ignores silently.
DISPLAY = {"Class", "Name", "Enabled", "Value"}
PROPERTIES = {
    "Grid": {
        *("Alpha", "Cell Size", "Color", "Line Style", "Normal Cell Count", "Offset", "Plane"),
        *("Plane Cell Count", "Reference Frame"),
    },
    "TF": {
        *("Frame Timeout", "Frames", "Marker Scale", "Show Arrows", "Show Axes", "Show Names"),
        *("Tree", "Update Interval"),
    },
    "MarkerArray": {"Namespaces", "Topic"},
    "Image": {"Max Value", "Median window", "Min Value", "Normalize Range", "Topic"},
    "ThirdPersonFollower": {
        *("Distance", "Focal Point", "Focal Shape Fixed Size", "Focal Shape Size", "Pitch", "Yaw"),
        *("Near Clip Distance", "Target Frame"),
    },
}
#: Values of the properties of a topic; the node's publishers match them.
TOPIC = {
    "Depth": {1, 5},
    "Durability Policy": {"Volatile"},
    "History Policy": {"Keep Last"},
    "Reliability Policy": {"Reliable", "Best Effort"},
}
#: Panels of Foxglove and the keys of their settings.
SCENE = {
    *("cameraState", "followMode", "followTf", "scene", "transforms", "topics", "layers"),
    *("publish", "imageMode"),
}
PANELS = {
    "3D": SCENE,
    "Image": SCENE,
    "DiagnosticSummary": {
        *("minLevel", "pinnedIds", "hardwareIdFilter", "topicToRender", "sortByLevel"),
    },
    "RawMessages": {
        *("topicPath", "diffEnabled", "diffMethod", "diffTopicPath", "showFullMessageForDiff"),
    },
}

CONFIG = Path(__file__).resolve().parents[3] / "config"
RVIZ = CONFIG / "streampetr.rviz"
FOXGLOVE = CONFIG / "streampetr_foxglove.json"


def texts(value: Any) -> Iterator[str]:
    """Every text in nested lists and mappings, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(key)
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def rviz_topics(text: str) -> list[str]:
    displays = yaml.safe_load(text)["Visualization Manager"]["Displays"]
    return [display["Topic"]["Value"] for display in displays if "Topic" in display]


def foxglove_topics() -> list[str]:
    content = json.loads(FOXGLOVE.read_text(encoding="utf-8"))
    return [text for text in texts(content["configById"]) if text.startswith("/")]


def rig(**changes: Any) -> Rig:
    values = {
        "node": "/roof/detector",
        "cameras": ("front", "rear-left", "3", "3d"),
        "fixed_frame": "map",
        "base_frame": "vehicle",
    }
    return Rig(**{**values, **changes})


def test_shipped_configuration_is_what_the_default_node_gets() -> None:
    values = read_parameter_file(CONFIG / "streampetr.yaml")
    default = rig(
        node="/streampetr",
        cameras=tuple(values["cameras.names"]),
        fixed_frame=values["frames.fixed"],
        base_frame=values["frames.base"],
    )
    fitted = rviz_configuration(RVIZ, default)
    shipped = yaml.safe_load(RVIZ.read_text(encoding="utf-8"))
    fitted_content = yaml.safe_load(fitted)
    assert sorted(rviz_topics(fitted)) == sorted(rviz_topics(RVIZ.read_text(encoding="utf-8")))
    for content in (shipped, fitted_content):
        content["Visualization Manager"].pop("Displays")
    assert fitted_content == shipped


def test_rviz_shows_six_cameras_boxes_tracks_and_tf() -> None:
    displays = yaml.safe_load(RVIZ.read_text(encoding="utf-8"))["Visualization Manager"]["Displays"]
    kinds = [display["Class"].removeprefix("rviz_default_plugins/") for display in displays]
    assert kinds.count("Image") == 7
    assert kinds.count("MarkerArray") == 2
    assert kinds.count("TF") == 1


def test_rviz_fits_another_vehicle() -> None:
    text = rviz_configuration(RVIZ, rig())
    assert rviz_topics(text) == [
        "/roof/detector/track_markers",
        "/roof/detector/markers",
        "/roof/detector/overlays/front/compressed",
        "/roof/detector/overlays/rear_left/compressed",
        "/roof/detector/overlays/camera_3/compressed",
        "/roof/detector/overlays/camera_3d/compressed",
        "/roof/detector/top_view/compressed",
    ]
    manager = yaml.safe_load(text)["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "map"
    assert not {"odom", "base_link"} & set(texts(manager))


def docks(state: str) -> list[str]:
    """Names in the state of a window, in the order of their places: b"\\xfb", length, UTF-16."""
    data, names = bytes.fromhex(state), []
    for mark in re.finditer(rb"\xfb", data):
        start = mark.end() + 4
        size = int.from_bytes(data[mark.end() : start], "big")
        if 0 < size < 100 and start + size < len(data):
            names.append(data[start : start + size].decode("utf-16-be"))
    return names


def shown_docks(cameras: tuple[str, ...]) -> list[str]:
    content = yaml.safe_load(rviz_configuration(RVIZ, rig(cameras=cameras)))
    return docks(content["Window Geometry"]["QMainWindow State"])


def test_pictures_of_the_shipped_window_are_displays_of_the_file() -> None:
    content = yaml.safe_load(RVIZ.read_text(encoding="utf-8"))
    found = docks(content["Window Geometry"]["QMainWindow State"])
    displays = content["Visualization Manager"]["Displays"]
    images = [each["Name"] for each in displays if each["Class"].endswith("/Image")]
    panels = [panel["Name"] for panel in content["Panels"]]
    assert sorted(found) == sorted([*images, *panels])


def test_pictures_lie_where_their_cameras_look() -> None:
    others = ["Displays", "Views", "Top view"]
    ahead_behind = ["front_left", "rear_left", "front", "rear", "front_right", "rear_right"]
    assert shown_docks(tuple(sorted(ahead_behind))) == [*others, *ahead_behind, "Time"]
    few = shown_docks(("mast", "rear"))
    assert few[6] == "rear"
    assert "mast" in few
    assert "CAM_FRONT" in shown_docks(())


def test_every_camera_gets_its_own_topic_whatever_its_name() -> None:
    topics = overlay_topics(["a b", "a_b", "a-b", "", "ä"])
    assert len(set(topics.values())) == 5


def test_foxglove_layout_places_every_panel() -> None:
    content = json.loads(FOXGLOVE.read_text(encoding="utf-8"))
    placed = [text for text in texts(content["layout"]) if "!" in text]
    assert sorted(placed) == sorted(content["configById"])
    assert len([topic for topic in foxglove_topics() if "/overlays/" in topic]) == 6


def test_parameter_files_are_read_flat(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    cameras:\n      names: [a]\n    autostart: true\n"
    )
    assert read_parameter_file(file) == {"cameras.names": ["a"], "autostart": True}
    file.write_text("")
    assert read_parameter_file(file) == {}


def test_rviz_knows_every_property() -> None:
    manager = yaml.safe_load(RVIZ.read_text(encoding="utf-8"))["Visualization Manager"]
    for each in [*manager["Displays"], manager["Views"]["Current"]]:
        kind = each["Class"].removeprefix("rviz_default_plugins/")
        assert set(each) <= DISPLAY | PROPERTIES[kind], kind
        topic = each.get("Topic", {"Value": "/"})
        assert topic.pop("Value").startswith("/")
        assert all(value in TOPIC[name] for name, value in topic.items())


def test_foxglove_knows_every_panel_and_key() -> None:
    content = json.loads(FOXGLOVE.read_text(encoding="utf-8"))
    for name, settings in content["configById"].items():
        assert set(settings) <= PANELS[name.partition("!")[0]], name
