"""Boxes and tracks as markers for viewers: few markers of many segments where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streampetr_ros.core.geometry import BOX_EDGES, Array
from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.messages.standard import Types, header, points
from streampetr_ros.viz.layer import class_color, track_color

#: Red, green, blue and opacity, 0 to 1.
Rgba = tuple[float, float, float, float]

#: Values of the constants of visualization_msgs/Marker.
ARROW, LINE_LIST, TEXT_VIEW_FACING = 0, 5, 9
ADD, DELETE, DELETE_ALL = 0, 2, 3

#: Widths of the edges of boxes and of trails, height of texts, metres.
_EDGE_WIDTH, _TRAIL_WIDTH, _TEXT_HEIGHT = 0.06, 0.1, 0.6
#: Shaft diameter, head diameter and head length of arrows, metres.
_ARROW = (0.08, 0.25, 0.3)
_TEXT_GAP = 0.4
#: Slower objects get no velocity arrow; the estimate's direction is noise.
_SLOWEST = 0.5
#: Objects that are only believed to be there.
_PALE = 0.35
_WHITE: Rgba = (1.0, 1.0, 1.0, 0.9)
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
    colors: tuple[Rgba, ...]


def detection_figures(detections: Detections) -> Figures:
    """Show detections in the colors of their classes, numbered by rank within the class."""
    names = tuple(detections.class_names[label] for label in detections.labels.tolist())
    scores = detections.scores.tolist()
    return Figures(
        boxes=detections.boxes,
        names=names,
        numbers=tuple(names[:row].count(name) for row, name in enumerate(names)),
        texts=tuple(f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)),
        colors=tuple(_color(class_color(name)) for name in names),
    )


def track_figures(tracks: Tracks, color_by: str = "class") -> Figures:
    """Show tracks, numbered by identity; pale while they are not seen.

    Args:
        tracks: in any frame.
        color_by: "class" or "track".
    """
    identities = tracks.ids.tolist()
    names = tuple(tracks.class_names[label] for label in tracks.labels.tolist())
    rows = zip(names, identities, tracks.scores.tolist(), strict=True)
    rgbs = map(track_color, identities) if color_by == "track" else map(class_color, names)
    shades = [_PALE if unseen > 0 else 1.0 for unseen in tracks.unseen.tolist()]
    return Figures(
        boxes=tracks.boxes,
        names=names,
        numbers=tuple(identity % _LARGEST_ID for identity in identities),
        texts=tuple(f"{name} {identity} {score:.2f}" for name, identity, score in rows),
        colors=tuple(map(_color, rgbs, shades)),
    )


class MarkerPen:
    """Draws markers of one time and frame.

    Args:
        types: see `Types`.
        stamp_ns: time.
        frame_id: TF name of the frame.
        life_s: time after which viewers drop them unless renewed, s.
    """

    def __init__(self, types: Types, stamp_ns: int, frame_id: str, life_s: float = 0.0) -> None:
        seconds, nanoseconds = divmod(round(life_s * 1e9), 1_000_000_000)
        self._types = types
        self._header = header(types, stamp_ns, frame_id)
        self._life = types("builtin_interfaces/msg/Duration")(sec=seconds, nanosec=nanoseconds)

    def removal(self, namespace: str = "", number: int = 0, action: int = DELETE_ALL) -> Any:
        """Remove one marker from viewers, or all of them."""
        kind = "visualization_msgs/msg/Marker"
        return self._types(kind)(header=self._header, ns=namespace, id=number, action=action)

    def objects(self, figures: Figures) -> list[Any]:
        """Draw outlines, headings, velocities and labels, each in a namespace of its class."""
        boxes, markers = figures.boxes, []
        edges = boxes.corners()[:, np.array(BOX_EDGES).ravel()]
        level = np.zeros(len(boxes))
        forward = np.column_stack([np.cos(boxes.yaws), np.sin(boxes.yaws), level])
        noses = boxes.centers + 0.5 * boxes.sizes[:, :1] * forward
        headings = np.stack([boxes.centers, noses], axis=1)
        # To where the nose is a second later; velocities that are not known are none.
        tips = noses + np.column_stack([boxes.velocities, level])
        velocities = np.stack([noses, tips], axis=1)
        moving = np.linalg.norm(boxes.velocities, axis=1) >= _SLOWEST
        above = np.outer(0.5 * boxes.sizes[:, 2] + _TEXT_GAP, [0.0, 0.0, 1.0])
        places = points(self._types, boxes.centers + above)
        for name in sorted(set(figures.names)):
            rows = [row for row, other in enumerate(figures.names) if other == name]
            colors = [figures.colors[row] for row in rows]
            markers.append(self._lines((f"{name}/boxes", _EDGE_WIDTH), edges[rows], colors))
            for row in rows:
                number, color = figures.numbers[row], figures.colors[row]
                markers.append(self._arrow(f"{name}/heading", number, headings[row], color))
                label = (f"{name}/label", number, TEXT_VIEW_FACING)
                pose = self._types("geometry_msgs/msg/Pose")(position=places[row])
                height = (0.0, 0.0, _TEXT_HEIGHT)
                markers.append(self._marker(label, height, pose=pose, text=figures.texts[row]))
                if moving[row]:
                    markers.append(self._arrow(f"{name}/velocity", number, velocities[row], _WHITE))
        return markers

    def trails(self, trails: Sequence[Array], colors: Sequence[Rgba]) -> list[Any]:
        """Draw where objects came from; trails fade towards their beginning.

        Args:
            trails: (m, 3) places of each object, oldest first.
            colors: of each object.
        """
        steps = np.concatenate(
            [np.empty((0, 2, 3)), *(np.stack([t[:-1], t[1:]], axis=1) for t in trails)]
        )
        faded = [
            (red, green, blue, alpha * step / len(trail))
            for trail, (red, green, blue, alpha) in zip(trails, colors, strict=True)
            for step in range(1, len(trail))
        ]
        return [self._lines(("trails", _TRAIL_WIDTH), steps, faded)] if faded else []

    def _lines(self, look: tuple[str, float], lines: Array, colors: Sequence[Rgba]) -> Any:
        """Draw (n, m, 3) ends of segments, each row in a color; `look` is namespace and width."""
        (namespace, width), (_, repeats, _) = look, lines.shape
        inks = [self._ink(color) for color in colors]
        return self._marker(
            (namespace, 0, LINE_LIST),
            (width, 0.0, 0.0),
            points=points(self._types, lines.reshape(-1, 3)),
            colors=[ink for ink in inks for _ in range(repeats)],
        )

    def _arrow(self, namespace: str, number: int, ends: Array, color: Rgba) -> Any:
        identity = (namespace, number, ARROW)
        return self._marker(identity, _ARROW, color, points=points(self._types, ends))

    def _marker(
        self,
        identity: tuple[str, int, int],
        scale: tuple[float, float, float],
        color: Rgba = _WHITE,
        **fields: Any,
    ) -> Any:
        """Types a marker; `identity` is namespace, number and type."""
        types, (namespace, number, kind), (x, y, z) = self._types, identity, scale
        return types("visualization_msgs/msg/Marker")(
            header=self._header,
            ns=namespace,
            id=number,
            type=kind,
            action=ADD,
            scale=types("geometry_msgs/msg/Vector3")(x=x, y=y, z=z),
            color=self._ink(color),
            lifetime=self._life,
            **fields,
        )

    def _ink(self, color: Rgba) -> Any:
        red, green, blue, alpha = color
        return self._types("std_msgs/msg/ColorRGBA")(r=red, g=green, b=blue, a=alpha)


def _color(rgb: tuple[int, int, int], alpha: float = 1.0) -> Rgba:
    red, green, blue = (value / 255.0 for value in rgb)
    return red, green, blue, alpha
