"""Detections as RViz markers: few markers of many segments, gone again when output stops."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from streampetr_ros.geometry import BOX_EDGES, Array
from streampetr_ros.ros.convert import header
from streampetr_ros.types import Detections

_EDGE_WIDTH = 0.06
_ARROW = Vector3(x=0.08, y=0.25, z=0.3)
_TEXT_HEIGHT = 0.6
#: Slower objects get no velocity arrow; the estimate's direction is noise.
_SLOWEST = 0.5
_VELOCITY_COLOR = ColorRGBA(r=1.0, g=1.0, b=1.0, a=0.9)


def marker_array(
    detections_base: Detections, base_frame: str, lifetime_s: float, frame_locked: bool = False
) -> MarkerArray:
    """Draw boxes, headings, velocities and labels.

    Args:
        detections_base: boxes in the base frame.
        base_frame: TF name of that frame.
        lifetime_s: time after which RViz removes markers that are not renewed.
        frame_locked: whether markers follow the frame between messages.

    Returns:
        A DELETEALL followed by one LINE_LIST per class, arrows and texts.
    """
    head = header(detections_base.stamp_ns, base_frame)
    markers = [Marker(header=head, action=Marker.DELETEALL)]
    for label in np.unique(detections_base.labels).tolist():
        of_class = detections_base.selected(detections_base.labels == label)
        color = class_color(label, len(detections_base.class_names))
        markers += [*_class_markers(of_class, detections_base.class_names[label], color)]
    life = _duration(lifetime_s)
    for marker in markers[1:]:
        marker.header = head
        marker.lifetime = life
        marker.frame_locked = frame_locked
    return MarkerArray(markers=markers)


def class_color(label: int, classes: int) -> ColorRGBA:
    """Spread the classes over the colour circle."""
    red, green, blue = colorsys.hsv_to_rgb(label / max(classes, 1), 0.85, 1.0)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)


def _class_markers(detections: Detections, name: str, color: ColorRGBA) -> Iterator[Marker]:
    boxes = detections.boxes
    outlines = _marker(f"{name}/boxes", 0, Marker.LINE_LIST, color)
    outlines.scale.x = _EDGE_WIDTH
    outlines.points = _edges(boxes.corners())
    yield outlines
    tops = boxes.centers + np.array([0.0, 0.0, 0.4])
    tops[:, 2] += 0.5 * boxes.sizes[:, 2]
    noses = boxes.centers.copy()
    noses[:, 0] += 0.5 * boxes.sizes[:, 0] * np.cos(boxes.yaws)
    noses[:, 1] += 0.5 * boxes.sizes[:, 0] * np.sin(boxes.yaws)
    for i, (center, nose) in enumerate(zip(boxes.centers, noses, strict=True)):
        yield _arrow(f"{name}/heading", i, (center, nose), color)
        yield _text(name, i, tops[i], detections)
    for i in np.flatnonzero(np.linalg.norm(boxes.velocities, axis=1) >= _SLOWEST).tolist():
        tip = noses[i] + [*boxes.velocities[i], 0.0]
        yield _arrow(f"{name}/velocity", i, (noses[i], tip), _VELOCITY_COLOR)


def _marker(namespace: str, number: int, kind: int, color: ColorRGBA) -> Marker:
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD, color=color)
    marker.pose.orientation.w = 1.0
    return marker


def _arrow(namespace: str, number: int, ends: tuple[Array, Array], color: ColorRGBA) -> Marker:
    arrow = _marker(namespace, number, Marker.ARROW, color)
    arrow.scale = _ARROW
    arrow.points = [_point(end) for end in ends]
    return arrow


def _text(name: str, number: int, place: Array, detections: Detections) -> Marker:
    text = _marker(
        f"{name}/label", number, Marker.TEXT_VIEW_FACING, ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    )
    text.pose.position = _point(place)
    text.scale.z = _TEXT_HEIGHT
    text.text = f"{name} {detections.scores[number]:.2f}"
    return text


def _edges(corners: NDArray[np.float64]) -> list[Point]:
    """Return the ends of the twelve edges of (n, 8, 3) corners, two points per edge."""
    ends = corners[:, np.array(BOX_EDGES).ravel()].reshape(-1, 3)
    return [_point(end) for end in ends]


def _point(place: Array) -> Point:
    x, y, z = place.tolist()
    return Point(x=x, y=y, z=z)


def _duration(seconds: float) -> Duration:
    whole, rest = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=rest)
