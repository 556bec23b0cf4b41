"""Where the lines, arrows and texts of markers are, for the node and for written results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import BOX_EDGES, Array
from streampetr_ros.core.types import Boxes

#: Width of the edges of boxes, metres.
EDGE_WIDTH = 0.06
#: Shaft diameter, head diameter and head length of arrows, metres.
ARROW = (0.08, 0.25, 0.3)
#: Height of texts, metres.
TEXT_HEIGHT = 0.6
_TEXT_GAP = 0.4
#: Slower objects get no velocity arrow; the estimate's direction is noise.
_SLOWEST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkerShapes:
    """Points of n boxes in their frame, metres.

    Attributes:
        edges: (n, 24, 3) ends of the twelve edges, two points each.
        noses: (n, 3) middle of the front.
        tips: (n, 3) where the nose is a second later.
        moving: (n,) whether the velocity is known and worth an arrow.
        texts: (n, 3) places of labels above the boxes.
    """

    edges: Array
    noses: Array
    tips: Array
    moving: NDArray[np.bool_]
    texts: Array


def marker_shapes(boxes: Boxes) -> MarkerShapes:
    """Return where the markers of boxes are."""
    forward = np.column_stack([np.cos(boxes.yaws), np.sin(boxes.yaws), np.zeros(len(boxes))])
    noses = boxes.centers + 0.5 * boxes.sizes[:, :1] * forward
    above = np.column_stack([np.zeros((len(boxes), 2)), 0.5 * boxes.sizes[:, 2] + _TEXT_GAP])
    return MarkerShapes(
        edges=boxes.corners()[:, np.array(BOX_EDGES).ravel()],
        noses=noses,
        tips=noses + np.column_stack([boxes.velocities, np.zeros(len(boxes))]),
        moving=np.linalg.norm(boxes.velocities, axis=1) >= _SLOWEST,
        texts=boxes.centers + above,
    )


def label_text(name: str, score: float, track_id: int = 0) -> str:
    """Return class, identity if there is one, and score of an object."""
    return f"{name} {track_id} {score:.2f}" if track_id else f"{name} {score:.2f}"
