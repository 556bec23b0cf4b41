"""What is drawn: boxes with classes and scores, and the colors they get."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, Detections, Tracks, Truth

Color = tuple[int, int, int]

#: RGB per class, told apart on dark ground and on daylight images.
CLASS_COLORS: dict[str, Color] = {
    "car": (76, 201, 240),
    "truck": (122, 140, 255),
    "construction_vehicle": (214, 154, 72),
    "bus": (249, 80, 80),
    "trailer": (0, 190, 160),
    "barrier": (178, 186, 194),
    "motorcycle": (250, 70, 150),
    "bicycle": (196, 130, 255),
    "pedestrian": (170, 240, 90),
    "traffic_cone": (255, 150, 20),
}
TRUTH_COLOR: Color = (255, 255, 255)
_GOLDEN_RATIO = 0.618033988749895


def class_color(class_name: str) -> Color:
    """Return the RGB color of a class; classes not known here are told apart by their names."""
    return CLASS_COLORS.get(class_name) or track_color(zlib.crc32(class_name.encode()))


def track_color(identity: int) -> Color:
    """Return an RGB color for an identity; neighbouring numbers get far hues."""
    red, green, blue = colorsys.hsv_to_rgb(identity * _GOLDEN_RATIO % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Boxes to draw.

    Attributes:
        boxes: (n) upright boxes in their own frame.
        base_from_boxes: (4, 4) from that frame to the base frame at the reference time.
        class_names: n names.
        scores: (n,) float64; None for annotations.
        is_truth: drawn thin, dashed and white.
        ids: (n,) int64 identities written beside the boxes; None for boxes without.
        by_id: whether colors tell identities apart instead of classes.
        trails: n (m, 3) places in the base frame, oldest first, drawn from above; empty for none.
    """

    boxes: Boxes
    base_from_boxes: Array
    class_names: tuple[str, ...]
    scores: Array | None = None
    is_truth: bool = False
    ids: NDArray[np.int64] | None = None
    by_id: bool = False
    trails: Sequence[Array] = ()

    def labels(self) -> list[str]:
        """Return what is written beside each box."""
        if self.scores is None:
            return ["" for _ in self.class_names]
        names = [name.replace("_", " ") for name in self.class_names]
        if self.ids is not None:
            names = [f"{name} {each}" for name, each in zip(names, self.ids.tolist(), strict=True)]
        return [f"{name} {score:.2f}" for name, score in zip(names, self.scores, strict=True)]

    def colors(self) -> list[Color]:
        """Return the color of each box."""
        if self.is_truth:
            return [TRUTH_COLOR for _ in self.class_names]
        if self.ids is not None and self.by_id:
            return [track_color(each) for each in self.ids.tolist()]
        return [class_color(name) for name in self.class_names]


def detection_layer(
    detections: Detections, base_from_boxes: Array, min_score: float = 0.0
) -> Layer:
    """Draw detections at or above a score.

    Args:
        detections: in any frame; boxes are upright in the frame they were predicted in, so
            detections in the model frame fit the images best.
        base_from_boxes: (4, 4) from that frame to the base frame.
        min_score: lowest score drawn.
    """
    shown = detections.selected(detections.scores >= min_score)
    return Layer(
        boxes=shown.boxes,
        base_from_boxes=base_from_boxes,
        class_names=tuple(shown.class_names[label] for label in shown.labels),
        scores=shown.scores,
    )


def track_layer(
    tracks: Tracks, base_from_boxes: Array, by_id: bool = False, trails: Sequence[Array] = ()
) -> Layer:
    """Draw tracks with their identities.

    Args:
        tracks: in any frame.
        base_from_boxes: (4, 4) from that frame to the base frame at the reference time.
        by_id: whether colors tell identities apart instead of classes.
        trails: see `Layer`.
    """
    return Layer(
        boxes=tracks.boxes,
        base_from_boxes=base_from_boxes,
        class_names=tuple(tracks.class_names[label] for label in tracks.labels),
        scores=tracks.scores,
        ids=tracks.ids,
        by_id=by_id,
        trails=trails,
    )


def truth_layer(truth: Truth, base_from_model: Array, min_visibility: float = 0.1) -> Layer:
    """Draw annotations, upright in the model frame as the network learns them.

    Args:
        truth: annotations in the base frame.
        base_from_model: (4, 4) mounting of the model frame.
        min_visibility: objects that are known to be hidden more than this are left out.
    """
    seen = np.flatnonzero(~(truth.visibilities < min_visibility))
    return Layer(
        boxes=truth.boxes.selected(seen).transformed(geometry.inverse(base_from_model)),
        base_from_boxes=base_from_model,
        class_names=tuple(truth.class_names[index] for index in seen),
        is_truth=True,
    )


def painting_order(layer: Layer, viewpoint_boxes: ArrayLike) -> list[int]:
    """Return the boxes from far to near, so that near ones are painted over far ones.

    Args:
        layer: boxes.
        viewpoint_boxes: (3,) position of the viewer in the frame of the boxes.
    """
    distance = np.linalg.norm(layer.boxes.centers - np.asarray(viewpoint_boxes), axis=1)
    order: list[int] = np.argsort(-distance).tolist()
    return order
