"""Boxes on camera images, projected through the calibration chain the network is given."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.preprocess.inputs import model_from_camera
from streampetr_ros.viz.drawing import (
    Canvas,
    Label,
    draw_dashed,
    draw_segments,
    fill_polygon,
    write_labels,
)
from streampetr_ros.viz.layer import Color, Layer, painting_order

_NEAR_PLANE = 0.3
_BACKGROUND = (16, 18, 22)
_GAP = 4
_NAME_COLOR: Color = (235, 238, 242)
#: Boxes lower than this on the image get no text, which would hide them.
_LABELLED_FROM_PX = 14.0
#: Lower boxes are drawn with thin strokes, which would otherwise fill them.
_BOLD_FROM_PX = 45.0
_EDGES = np.array(geometry.BOX_EDGES)
#: Corners of the face in the direction of travel, and of the roof, see `geometry.CORNER_SIGNS`.
_FRONT_FACE = [0, 3, 7, 4]


def render_cameras(frame_set: FrameSet, layers: Sequence[Layer], width: int = 1600) -> Canvas:
    """Draw boxes on all cameras, arranged as they look: ahead above, behind below.

    Args:
        frame_set: images with poses and calibration.
        layers: boxes, painted in order.
        width: of the picture, pixels.

    Returns:
        (h, width, 3) uint8, RGB.
    """
    rows = [row for row in arrange(frame_set.cameras) if row]
    columns = max(len(row) for row in rows)
    tile_width = (width - (columns - 1) * _GAP) // columns
    aspect = np.median([frame.pixels.shape[0] / frame.pixels.shape[1] for frame in rows[0]])
    tile = (tile_width, round(tile_width * float(aspect)))
    height = len(rows) * tile[1] + (len(rows) - 1) * _GAP
    picture = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    for row_index, row in enumerate(rows):
        top = row_index * (tile[1] + _GAP)
        left = (width - len(row) * tile[0] - (len(row) - 1) * _GAP) // 2
        for frame in row:
            view = render_camera(frame, frame_set, layers, tile)
            picture[top : top + tile[1], left : left + tile[0]] = view
            left += tile[0] + _GAP
    return picture


def arrange(cameras: Sequence[CameraFrame]) -> tuple[list[CameraFrame], list[CameraFrame]]:
    """Split cameras into those that look ahead and behind, each from left to right.

    Going round the vehicle, the row behind reads left side, rear, right side.
    """
    yaws = {frame.calibration.name: _viewing_yaw(frame) for frame in cameras}
    ahead = [frame for frame in cameras if abs(yaws[frame.calibration.name]) <= np.pi / 2]
    behind = [frame for frame in cameras if abs(yaws[frame.calibration.name]) > np.pi / 2]
    ahead.sort(key=lambda frame: -yaws[frame.calibration.name])
    behind.sort(key=lambda frame: yaws[frame.calibration.name] % (2 * np.pi))
    return ahead, behind


def render_camera(
    frame: CameraFrame, frame_set: FrameSet, layers: Sequence[Layer], size: tuple[int, int]
) -> Canvas:
    """Draw boxes on one camera image.

    Args:
        frame: one camera of the set.
        frame_set: the set.
        layers: boxes, painted in order.
        size: width and height of the result; the image is fitted in.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    canvas, tile_from_image = fitted(frame.pixels, size)
    labels = [Label(_readable(frame.calibration.name), 8, 21, _NAME_COLOR)]
    for layer in layers:
        tile_from_boxes = tile_from_image @ image_from_base(frame, frame_set)
        tile_from_boxes = tile_from_boxes @ layer.base_from_boxes
        camera_boxes = geometry.inverse(
            _camera_from_base(frame, frame_set) @ layer.base_from_boxes
        )[:3, 3]
        order = painting_order(layer, camera_boxes)
        labels += draw_boxes(canvas, layer, tile_from_boxes, order)
    return write_labels(canvas, labels)


def image_from_base(frame: CameraFrame, frame_set: FrameSet) -> Array:
    """Return the (4, 4) projection of points in the base frame at the reference time.

    It ends in the camera at its own exposure time, by the chain that prepares network inputs.
    """
    intrinsic = geometry.homogeneous_intrinsic(frame.calibration.intrinsic)
    return intrinsic @ _camera_from_base(frame, frame_set)


def draw_boxes(
    canvas: Canvas, layer: Layer, image_from_boxes: Array, order: Sequence[int]
) -> list[Label]:
    """Draw the boxes of a layer.

    Args:
        canvas: (h, w, 3) RGB, changed in place.
        layer: boxes.
        image_from_boxes: (4, 4) projection into the canvas.
        order: in which they are drawn.

    Returns:
        Text to be written on top at the end, for the box drawn last first.
    """
    labels = []
    corners = geometry.transform_points(image_from_boxes, layer.boxes.corners())
    texts, colors = layer.labels(), layer.colors()
    for scaled, text, color in ((corners[row], texts[row], colors[row]) for row in order):
        edges = clip_segments(scaled[_EDGES], canvas.shape[1], canvas.shape[0])
        if not len(edges):
            continue
        low, high = edges.min(axis=(0, 1)), edges.max(axis=(0, 1))
        bold = high[1] - low[1] > _BOLD_FROM_PX
        if layer.is_truth:
            _draw_annotation(canvas, edges, color, bold)
            continue
        _draw_detection(canvas, scaled, edges, color, 2 if bold else 1)
        if text and high[1] - low[1] >= _LABELLED_FROM_PX:
            labels.append(Label(text, (low[0] + high[0]) / 2, low[1] - 6, color, centered=True))
    return labels[::-1]


def _draw_detection(canvas: Canvas, scaled: Array, edges: Array, color: Color, width: int) -> None:
    """Stroke the edges and tint the front face, which shows the heading."""
    front = scaled[_FRONT_FACE]
    if (front[:, 2] > _NEAR_PLANE).all():
        fill_polygon(canvas, front[:, :2] / front[:, 2:], color, 0.35)
    draw_segments(canvas, edges, color, width)


def _draw_annotation(canvas: Canvas, edges: Array, color: Color, bold: bool) -> None:
    """Stroke the edges thinly; dashes would make a blur of small boxes."""
    if bold:
        draw_dashed(canvas, edges, color)
    else:
        draw_segments(canvas, edges, color, 1, halo=False)


def clip_segments(scaled: Array, width: int, height: int, margin: float = 20.0) -> Array:
    """Keep what of each line lies in front of the camera and on the image.

    Clipping happens before the division by depth, where lines are still straight and points
    behind the camera are still behind it.

    Args:
        scaled: (n, 2, 3) start and end as (u * depth, v * depth, depth).
        width: of the image, pixels.
        height: of the image, pixels.
        margin: pixels kept around the image.

    Returns:
        (m, 2, 2) pixels.
    """
    planes = np.array(
        [
            [0.0, 0.0, 1.0, -_NEAR_PLANE],
            [1.0, 0.0, margin, 0.0],
            [-1.0, 0.0, width + margin, 0.0],
            [0.0, 1.0, margin, 0.0],
            [0.0, -1.0, height + margin, 0.0],
        ]
    )
    start, end = scaled[:, 0], scaled[:, 1]
    inside_start = start @ planes[:, :3].T + planes[:, 3]
    inside_end = end @ planes[:, :3].T + planes[:, 3]
    change = inside_end - inside_start
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -inside_start / change
    enters = np.where(change > 0, crossing, 0.0).max(axis=1, initial=0.0)
    leaves = np.where(change < 0, crossing, 1.0).min(axis=1, initial=1.0)
    never = ((change == 0) & (inside_start < 0)).any(axis=1)
    keep = (enters < leaves) & ~never
    fractions = np.stack([enters, leaves], axis=1)[keep, :, None]
    points = start[keep, None] + fractions * (end - start)[keep, None]
    pixels: Array = points[..., :2] / points[..., 2:]
    return pixels


def _camera_from_base(frame: CameraFrame, frame_set: FrameSet) -> Array:
    model_from_base = geometry.inverse(frame_set.base_from_model)
    return geometry.inverse(model_from_camera(frame, frame_set)) @ model_from_base


def _viewing_yaw(frame: CameraFrame) -> float:
    ahead_base = frame.calibration.base_from_camera[:3, 2]
    return float(np.arctan2(ahead_base[1], ahead_base[0]))


def fitted(pixels: NDArray[np.uint8], size: tuple[int, int]) -> tuple[Canvas, Array]:
    """Scale an image into the middle of a tile without distorting it.

    Args:
        pixels: (h, w, 3) RGB.
        size: width and height of the tile.

    Returns:
        The (height, width, 3) tile, and the (4, 4) tile_from_image of its pixels.
    """
    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = (min(size[0], round(width * scale)), min(size[1], round(height * scale)))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.full((size[1], size[0], 3), _BACKGROUND, dtype=np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(pixels, inner, interpolation=method)
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    tile_from_image = np.eye(4)
    tile_from_image[0, [0, 2]] = inner[0] / width, left
    tile_from_image[1, [1, 2]] = inner[1] / height, top
    return canvas, tile_from_image


def _readable(camera: str) -> str:
    """Shorten names such as CAM_FRONT_LEFT."""
    return camera.removeprefix("CAM_").replace("_", " ").lower()
