"""Boxes and tracks as markers for viewers: few markers of many segments where that is possible."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.messages.marker_shapes import (
    ARROW,
    EDGE_WIDTH,
    TEXT_HEIGHT,
    MarkerShapes,
    label_text,
    marker_shapes,
)
from streampetr_ros.viz.layer import class_color, track_color

_TRAIL_WIDTH = 0.1
#: Objects that are only believed to be there.
_PALE = 0.35
_WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=0.9)
#: Marker ids are 32 bit.
_LARGEST_ID = 2**31


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """Objects to draw.

    Attributes:
        boxes: (n) in the frame of the markers.
        names: n classes.
        numbers: n marker ids, different within a class and the same for the same object.
        texts: n labels.
        colors: n colors.
    """

    boxes: Boxes
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    texts: tuple[str, ...]
    colors: tuple[ColorRGBA, ...]


def detection_figures(detections: Detections) -> Figures:
    """Show detections in the colors of their classes, numbered by rank within the class."""
    labels = detections.labels.tolist()
    names = tuple(detections.class_names[label] for label in labels)
    scores = detections.scores.tolist()
    return Figures(
        boxes=detections.boxes,
        names=names,
        numbers=tuple(names[:row].count(name) for row, name in enumerate(names)),
        texts=tuple(map(label_text, names, scores)),
        colors=tuple(map(_color, map(class_color, names, labels))),
    )


def track_figures(tracks: Tracks, color_by: str = "class") -> Figures:
    """Show tracks, numbered by identity; pale while they are not seen.

    Args:
        tracks: in any frame.
        color_by: "class" or "track".
    """
    columns = (tracks.ids.tolist(), tracks.labels.tolist(), tracks.scores.tolist())
    rows = list(zip(*columns, strict=True))
    return Figures(
        boxes=tracks.boxes,
        names=tuple(tracks.class_names[label] for _, label, _ in rows),
        numbers=tuple(identity % _LARGEST_ID for identity, _, _ in rows),
        texts=tuple(
            label_text(tracks.class_names[label], score, identity)
            for identity, label, score in rows
        ),
        colors=track_colors(tracks, color_by),
    )


def track_colors(tracks: Tracks, color_by: str) -> tuple[ColorRGBA, ...]:
    """Return a color per track, by its class or its identity."""
    colors = []
    for row, label in enumerate(tracks.labels.tolist()):
        rgb = class_color(tracks.class_names[label], label)
        if color_by == "track":
            rgb = track_color(int(tracks.ids[row]))
        colors.append(_color(rgb, _PALE if tracks.unseen[row] > 0 else 1.0))
    return tuple(colors)


def draw(figures: Figures) -> list[Marker]:
    """Draw outlines, headings, velocities and labels, each in a namespace of its class."""
    markers: list[Marker] = []
    shapes = marker_shapes(figures.boxes)
    for name in sorted(set(figures.names)):
        rows = [row for row, other in enumerate(figures.names) if other == name]
        markers.append(_outlines(name, figures, shapes, rows))
        markers += _arrows_and_texts(name, figures, shapes, rows)
    return markers


def draw_trails(trails: Sequence[Array], colors: Sequence[ColorRGBA]) -> list[Marker]:
    """Draw where objects came from; trails fade towards their beginning.

    Args:
        trails: (m, 3) places of each object, oldest first.
        colors: of each object.
    """
    marker = _marker("trails", 0, Marker.LINE_LIST, _WHITE)
    marker.scale.x = _TRAIL_WIDTH
    for trail, color in zip(trails, colors, strict=True):
        for step, (start, end) in enumerate(itertools.pairwise(trail)):
            marker.points += [_point(start), _point(end)]
            alpha = color.a * (step + 1) / len(trail)
            marker.colors += [ColorRGBA(r=color.r, g=color.g, b=color.b, a=alpha)] * 2
    return [marker] if marker.points else []


def finish(markers: Sequence[Marker], header: Header, life_s: float) -> None:
    """Give markers their frame and the time after which viewers drop them unless renewed."""
    life = duration(life_s)
    for marker in markers:
        marker.header, marker.lifetime = header, life


def duration(seconds: float) -> Duration:
    """Return seconds as a message."""
    whole, rest = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=rest)


def _outlines(name: str, figures: Figures, shapes: MarkerShapes, rows: Sequence[int]) -> Marker:
    """Draw the edges of all boxes of a class as one marker."""
    outlines = _marker(f"{name}/boxes", 0, Marker.LINE_LIST, _WHITE)
    outlines.scale.x = EDGE_WIDTH
    outlines.points = [_point(end) for row in rows for end in shapes.edges[row]]
    outlines.colors = [figures.colors[row] for row in rows for _ in shapes.edges[row]]
    return outlines


def _arrows_and_texts(
    name: str, figures: Figures, shapes: MarkerShapes, rows: Sequence[int]
) -> Iterator[Marker]:
    for row in rows:
        number, nose = figures.numbers[row], shapes.noses[row]
        ends = (figures.boxes.centers[row], nose)
        yield _arrow(f"{name}/heading", number, ends, figures.colors[row])
        yield _text(f"{name}/label", number, shapes.texts[row], figures.texts[row])
        if shapes.moving[row]:
            yield _arrow(f"{name}/velocity", number, (nose, shapes.tips[row]), _WHITE)


def _marker(namespace: str, number: int, kind: int, color: ColorRGBA) -> Marker:
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD, color=color)
    marker.pose.orientation.w = 1.0
    return marker


def _arrow(namespace: str, number: int, ends: tuple[Array, Array], color: ColorRGBA) -> Marker:
    arrow = _marker(namespace, number, Marker.ARROW, color)
    shaft, head, length = ARROW
    arrow.scale = Vector3(x=shaft, y=head, z=length)
    arrow.points = [_point(end) for end in ends]
    return arrow


def _text(namespace: str, number: int, place: Array, words: str) -> Marker:
    text = _marker(namespace, number, Marker.TEXT_VIEW_FACING, _WHITE)
    text.pose.position = _point(place)
    text.scale.z = TEXT_HEIGHT
    text.text = words
    return text


def _point(place: Array) -> Point:
    x, y, z = place.tolist()
    return Point(x=x, y=y, z=z)


def _color(rgb: tuple[int, int, int], alpha: float = 1.0) -> ColorRGBA:
    red, green, blue = (value / 255.0 for value in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
