"""Written results as visualization_msgs markers, for bags that viewers open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.messages import standard as messages
from streampetr_ros.messages.marker_shapes import (
    ARROW,
    EDGE_WIDTH,
    TEXT_HEIGHT,
    MarkerShapes,
    label_text,
    marker_shapes,
)
from streampetr_ros.tools.replay.output import recorded_boxes
from streampetr_ros.viz.layer import class_color, track_color

_ARROW, _LINES, _TEXT = 0, 5, 9
_ADD, _DELETE_ALL = 0, 3

Record = Mapping[str, Any]


def marker_array(objects: Sequence[Record], stamp_ns: int, frame_id: str) -> Any:
    """Draw the detections or tracks of a frame set.

    Args:
        objects: of a line of detections.jsonl.
        stamp_ns: of the frame set.
        frame_id: TF name of the base frame.
    """
    top = messages.header(stamp_ns, frame_id)
    shapes = marker_shapes(recorded_boxes(objects))
    # One message replaces all of the one before, whatever a viewer has missed.
    markers = [_marker(top, ("", 0, _ARROW), action=_DELETE_ALL)]
    if objects:
        markers.append(_outlines(top, objects, shapes))
    for row, each in enumerate(objects):
        markers.append(_label(top, row, each, shapes))
        if shapes.moving[row]:
            markers.append(_velocity(top, row, shapes))
    return messages.make(messages.MARKERS, markers=markers)


def _outlines(top: Any, objects: Sequence[Record], shapes: MarkerShapes) -> Any:
    """Draw all boxes as one marker of many segments, with a stroke from centre to nose."""
    points, colors = [], []
    for row, each in enumerate(objects):
        ends = [*shapes.edges[row], np.array(each["center"]), shapes.noses[row]]
        points += [messages.vector("Point", end) for end in ends]
        colors += [_color(each)] * len(ends)
    scale = np.array([EDGE_WIDTH, 0.0, 0.0])
    return _marker(top, ("boxes", 0, _LINES), scale=scale, points=points, colors=colors)


def _label(top: Any, row: int, each: Record, shapes: MarkerShapes) -> Any:
    return _marker(
        top,
        ("labels", row, _TEXT),
        scale=np.array([0.0, 0.0, TEXT_HEIGHT]),
        place=shapes.texts[row],
        text=label_text(each["class"], each["score"], each.get("track_id", 0)),
    )


def _velocity(top: Any, row: int, shapes: MarkerShapes) -> Any:
    ends = (shapes.noses[row], shapes.tips[row])
    return _marker(
        top,
        ("velocities", row, _ARROW),
        scale=np.array(ARROW),
        points=[messages.vector("Point", end) for end in ends],
    )


def _color(each: Record) -> Any:
    rgb = track_color(each["track_id"]) if each.get("track_id") else class_color(each["class"], 0)
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
