"""The scene from above: vehicle in the middle, its front up."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.viz.drawing import (
    Canvas,
    Label,
    draw_dashed,
    draw_segments,
    fill_polygon,
    write_labels,
)
from streampetr_ros.viz.layer import Color, Layer, class_color

_GROUND: Color = (22, 25, 31)
_RING: Color = (52, 58, 68)
_SCALE_TEXT: Color = (120, 128, 140)
_TEXT: Color = (225, 229, 235)
_EGO: Color = (235, 238, 242)
_VIEW: Color = (150, 175, 205)
_RING_STEP = 10.0
_EGO_LENGTH, _EGO_WIDTH, _EGO_CENTER_X = 4.4, 1.9, 1.3
#: Seconds of travel a velocity arrow shows, and the speed below which there is none.
_ARROW_SECONDS = 1.0
_STANDING = 0.5
_FLOOR_CORNERS = slice(0, 4)


def render_top_view(
    frame_set: FrameSet,
    layers: Sequence[Layer],
    size: int = 800,
    reach: float = 56.0,
    caption: str = "",
) -> Canvas:
    """Draw boxes from above.

    Args:
        frame_set: cameras, for their fields of view.
        layers: boxes, painted in order.
        size: width and height of the picture, pixels.
        reach: distance from the middle to each side, metres.
        caption: written at the bottom left.

    Returns:
        (size, size, 3) uint8, RGB.
    """
    canvas = np.full((size, size, 3), _GROUND, dtype=np.uint8)
    picture_from_base = _picture_from_base(size, reach)
    for frame in frame_set.cameras:
        _draw_view(canvas, frame, picture_from_base, reach)
    labels = _draw_rings(canvas, size, reach)
    _draw_ego(canvas, picture_from_base)
    for layer in layers:
        _draw_layer(canvas, layer, picture_from_base)
    labels += _draw_legend(canvas, layers)
    if caption:
        labels.append(Label(caption, 10, size - 10, _SCALE_TEXT, plate=False))
    return write_labels(canvas, labels)


def _picture_from_base(size: int, reach: float) -> Array:
    """(2, 3) affine map of (x, y, 1): x ahead is up, y left is left."""
    scale = size / (2.0 * reach)
    return np.array([[0.0, -scale, size / 2], [-scale, 0.0, size / 2]])


def _to_picture(picture_from_base: Array, points_base: Array) -> Array:
    """(..., 2 or 3) points in the base frame to (..., 2) pixels."""
    pixels: Array = points_base[..., :2] @ picture_from_base[:, :2].T + picture_from_base[:, 2]
    return pixels


def _draw_layer(canvas: Canvas, layer: Layer, picture_from_base: Array) -> None:
    colors = layer.colors()
    for trail, color in zip(layer.trails, colors[: len(layer.trails)], strict=True):
        _draw_trail(canvas, _to_picture(picture_from_base, trail), color)
    boxes = layer.boxes.transformed(layer.base_from_boxes)
    floors = _to_picture(picture_from_base, boxes.corners()[:, _FLOOR_CORNERS])
    centers = _to_picture(picture_from_base, boxes.centers)
    tips_base = boxes.centers[:, :2] + boxes.velocities * _ARROW_SECONDS
    tips = _to_picture(picture_from_base, tips_base)
    speeds = np.linalg.norm(boxes.velocities, axis=1)
    for index, color in enumerate(colors):
        front = 0.5 * (floors[index, 0] + floors[index, 3])
        sides = np.stack([floors[index], np.roll(floors[index], -1, axis=0)], axis=1)
        strokes = np.concatenate([sides, [[centers[index], front]]])
        if layer.is_truth:
            draw_dashed(canvas, strokes, color, dash=4.0)
            continue
        fill_polygon(canvas, floors[index], color, 0.30)
        draw_segments(canvas, strokes, color, 1, halo=False)
        if speeds[index] > _STANDING:
            draw_segments(canvas, _arrow(centers[index], tips[index]), color, 2, halo=False)


def _draw_trail(canvas: Canvas, places: Array, color: Color) -> None:
    """Stroke a path that fades towards its beginning."""
    steps = np.stack([places[:-1], places[1:]], axis=1)
    for index, step in enumerate(steps):
        share = (index + 1) / len(steps)
        faded = share * np.array(color) + (1 - share) * np.array(_GROUND)
        red, green, blue = (round(float(part)) for part in faded)
        draw_segments(canvas, step[None], (red, green, blue), 2, halo=False)


def _arrow(start: Array, tip: Array) -> Array:
    """(3, 2, 2) strokes: shaft and two barbs."""
    along = (tip - start) / max(float(np.linalg.norm(tip - start)), 1e-9)
    across = np.array([-along[1], along[0]])
    barb = min(7.0, 0.5 * float(np.linalg.norm(tip - start)))
    barbs = [tip - barb * along + side * 0.6 * barb * across for side in (1.0, -1.0)]
    return np.array([[start, tip], [tip, barbs[0]], [tip, barbs[1]]])


def _draw_rings(canvas: Canvas, size: int, reach: float) -> list[Label]:
    """Draw a ring every ten metres, out to the corners; label those that fit."""
    labels = []
    middle, scale = size / 2, size / (2.0 * reach)
    for radius in np.arange(_RING_STEP, reach * 1.42, _RING_STEP):
        angles = np.linspace(0.0, 2.0 * np.pi, 181)
        ring = middle + radius * scale * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        draw_segments(canvas, np.stack([ring[:-1], ring[1:]], axis=1), _RING, 1, halo=False)
        if radius <= reach - 2.0:
            text = f"{radius:.0f} m"
            place = middle + radius * scale
            labels.append(Label(text, place, middle - 4, _SCALE_TEXT, 11, False, True))
    axes = np.array([[[middle, 0], [middle, size]], [[0, middle], [size, middle]]])
    draw_segments(canvas, axes, _RING, 1, halo=False)
    return labels


def _draw_view(canvas: Canvas, frame: CameraFrame, picture_from_base: Array, reach: float) -> None:
    """Tint the wedge that a camera sees."""
    calibration = frame.calibration
    base_from_camera = calibration.base_from_camera
    columns = np.linspace(0.0, calibration.width, 9)
    focal, middle = calibration.intrinsic[0, 0], calibration.intrinsic[0, 2]
    rays = np.stack([(columns - middle) / focal, np.zeros(9), np.ones(9)], axis=1)
    rays_base = rays @ base_from_camera[:3, :3].T
    rays_base /= np.linalg.norm(rays_base[:, :2], axis=1, keepdims=True)
    origin = base_from_camera[:3, 3]
    wedge = np.concatenate([origin[None], origin + 0.45 * reach * rays_base])
    wedge_pixels = _to_picture(picture_from_base, wedge)
    fill_polygon(canvas, wedge_pixels, _VIEW, 0.07)


def _draw_ego(canvas: Canvas, picture_from_base: Array) -> None:
    """Draw the own vehicle, its origin at the rear axle, with a pointed bonnet."""
    corners = geometry.box_corners(
        [[_EGO_CENTER_X, 0.0, 0.0]], [[_EGO_LENGTH, _EGO_WIDTH, 1.5]], [0.0]
    )[0, _FLOOR_CORNERS]
    floor = _to_picture(picture_from_base, corners)
    tip = _to_picture(picture_from_base, np.array([_EGO_CENTER_X + 0.5 * _EGO_LENGTH, 0.0]))
    fill_polygon(canvas, floor, _EGO, 0.85)
    rear = 0.5 * (floor[1] + floor[2])
    bonnet = np.array([tip, 0.6 * floor[0] + 0.4 * floor[1], 0.6 * floor[3] + 0.4 * floor[2]])
    fill_polygon(canvas, bonnet, _GROUND, 0.8)
    draw_segments(canvas, np.array([[rear, rear]]), _EGO, 1, halo=False)


def _draw_legend(canvas: Canvas, layers: Sequence[Layer]) -> list[Label]:
    """Name the colors in use, top left; annotations are named too."""
    by_class = [layer for layer in layers if not (layer.is_truth or layer.by_id)]
    used = {name for layer in by_class for name in layer.class_names}
    entries = [(name.replace("_", " "), class_color(name)) for name in sorted(used)]
    line = max(15, len(canvas) // 46)
    labels = []
    for row, (text, color) in enumerate(entries):
        top = 10.0 + line * row
        square = np.array([[10, top], [20, top], [20, top + 10], [10, top + 10]])
        fill_polygon(canvas, square, color, 1.0)
        labels.append(Label(text, 27, top + 10, _TEXT, line - 4, False))
    if any(layer.is_truth for layer in layers):
        top = 10.0 + line * len(entries)
        draw_dashed(canvas, np.array([[[8, top + 5], [22, top + 5]]]), _TEXT, dash=4.0)
        labels.append(Label("annotation", 27, top + 10, _TEXT, line - 4, False))
    return labels


def beside(left: Canvas, right: Canvas, gap: int = 4) -> Canvas:
    """Put two pictures side by side; the right one takes the height of the left one.

    Args:
        left: (h, w, 3) RGB.
        right: (h2, w2, 3) RGB.
        gap: pixels between.
    """
    height = left.shape[0]
    width = round(right.shape[1] * height / right.shape[0])
    method = cv2.INTER_AREA if height < right.shape[0] else cv2.INTER_CUBIC
    resized = cv2.resize(right, (width, height), interpolation=method)
    stripe = np.full((height, gap, 3), _GROUND, dtype=np.uint8)
    return np.concatenate([left, stripe, resized], axis=1)
