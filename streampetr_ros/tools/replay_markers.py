"""Written results as visualization_msgs markers, for bags that viewers open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streampetr_ros.geometry import BOX_EDGES, Array, box_corners
from streampetr_ros.sources import bag_messages as messages
from streampetr_ros.viz.layer import class_colour, track_colour

_ARROW, _LINES, _TEXT = 0, 5, 9
_ADD, _DELETE_ALL = 0, 3
_LINE_WIDTH = 0.06
#: Slower objects get no velocity arrow; the estimate's direction is noise.
_SLOWEST = 0.5

Record = Mapping[str, Any]


def marker_array(record: Record, frame_id: str, min_score: float) -> Any:
    """Draw the tracks of a frame set, or its detections where nothing is followed.

    Args:
        record: line of detections.jsonl.
        frame_id: TF name of the base frame.
        min_score: lowest score of detections drawn.
    """
    top = messages.header(record["stamp_ns"], frame_id)
    objects = record["tracks"] or [
        each for each in record["detections"] if each["score"] >= min_score
    ]
    # One message replaces all of the one before, whatever a viewer has missed.
    markers = [_marker(top, ("", 0, _ARROW), action=_DELETE_ALL)]
    if objects:
        markers.append(_outlines(top, objects))
    for index, each in enumerate(objects):
        markers.append(_label(top, index, each))
        if each["velocity"] and np.hypot(*each["velocity"]) >= _SLOWEST:
            markers.append(_velocity(top, index, each))
    return messages.make(messages.MARKERS, markers=markers)


def _outlines(top: Any, objects: Sequence[Record]) -> Any:
    """Draw all boxes as one marker of many segments, with a stroke from centre to nose."""
    points, colors = [], []
    for each in objects:
        corners = box_corners(
            np.array([each["center"]]), np.array([each["size_lwh"]]), np.array([each["yaw"]])
        )[0]
        ends = [corners[index] for edge in BOX_EDGES for index in edge]
        ends += [np.array(each["center"]), _nose(each)]
        points += [messages.vector("Point", end) for end in ends]
        colors += [_color(each)] * len(ends)
    scale = np.array([_LINE_WIDTH, 0.0, 0.0])
    return _marker(top, ("boxes", 0, _LINES), scale=scale, points=points, colors=colors)


def _label(top: Any, index: int, each: Record) -> Any:
    x, y, z = each["center"]
    place = np.array([x, y, z + 0.5 * each["size_lwh"][2] + 0.4])
    identity = f" {each['track_id']}" if each.get("track_id") else ""
    return _marker(
        top,
        ("labels", index, _TEXT),
        scale=np.array([0.0, 0.0, 0.6]),
        place=place,
        text=f"{each['class']}{identity} {each['score']:.2f}",
    )


def _velocity(top: Any, index: int, each: Record) -> Any:
    start = _nose(each)
    ends = [start, start + np.array([*each["velocity"], 0.0])]
    return _marker(
        top,
        ("velocities", index, _ARROW),
        scale=np.array([0.08, 0.25, 0.3]),
        points=[messages.vector("Point", end) for end in ends],
    )


def _nose(each: Record) -> Array:
    forward = np.array([np.cos(each["yaw"]), np.sin(each["yaw"]), 0.0])
    return np.array(each["center"]) + 0.5 * each["size_lwh"][0] * forward


def _color(each: Record) -> Any:
    rgb = track_colour(each["track_id"]) if each.get("track_id") else class_colour(each["class"], 0)
    return _rgba(*(value / 255.0 for value in rgb))


def _rgba(red: float, green: float, blue: float) -> Any:
    return messages.make("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=1.0)


def _marker(
    top: Any,
    identity: tuple[str, int, int],
    *,
    action: int = _ADD,
    scale: Array | None = None,
    place: Array | None = None,
    **fields: Any,
) -> Any:
    """Make a marker; `identity` is namespace, number and type."""
    make = messages.make
    namespace, number, kind = identity
    pose = make(
        "geometry_msgs/msg/Pose",
        position=messages.vector("Point", np.zeros(3) if place is None else place),
        orientation=messages.quaternion(np.eye(3)),
    )
    empty = make(messages.COMPRESSED, header=top, format="", data=np.zeros(0, dtype=np.uint8))
    return make(
        "visualization_msgs/msg/Marker",
        **{
            "header": top,
            "ns": namespace,
            "id": number,
            "type": kind,
            "action": action,
            "pose": pose,
            "scale": messages.vector("Vector3", np.zeros(3) if scale is None else scale),
            "color": _rgba(1.0, 1.0, 1.0),
            "lifetime": make("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
            "frame_locked": False,
            "points": [],
            "colors": [],
            "texture_resource": "",
            "texture": empty,
            "uv_coordinates": [],
            "text": "",
            "mesh_resource": "",
            "mesh_file": make(
                "visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, dtype=np.uint8)
            ),
            "mesh_use_embedded_materials": False,
            **fields,
        },
    )
