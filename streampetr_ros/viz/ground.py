"""Distances on the ground, drawn on camera images to check a calibration by eye."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.viz.drawing import Canvas, Label, draw_segments, write_labels
from streampetr_ros.viz.layer import Color
from streampetr_ros.viz.overlay import clip_segments, image_from_base

#: Radii of the rings around the vehicle's origin, metres.
RINGS = (5.0, 10.0, 20.0, 30.0, 50.0)
#: Radius of the ring that looks like the horizon, metres.
_HORIZON = 5000.0
_RING_COLOR: Color = (255, 214, 92)
_HORIZON_COLOR: Color = (120, 200, 255)
#: Axes in the colors of REP 103 viewers: x red, y green.
_FORWARD_COLOR: Color = (255, 92, 84)
_LEFT_COLOR: Color = (96, 220, 120)
_STEP = np.deg2rad(1.0)
_STROKES_PER_WIDTH = 1 / 640
_TEXT_PER_WIDTH = 1 / 55


def draw_ground(frame: CameraFrame, frame_set: FrameSet, ground_height: float = 0.0) -> CameraFrame:
    """Draw rings of known distance, the vehicle's axes and the horizon on one image.

    Args:
        frame: one camera of the set, without lens distortion.
        frame_set: the set.
        ground_height: of the ground in the base frame, metres.

    Returns:
        The frame with painted pixels.
    """
    image_from_points = image_from_base(frame, frame_set)
    canvas = frame.pixels.copy()
    width = max(1, round(canvas.shape[1] * _STROKES_PER_WIDTH))
    strokes = [(_ring(radius, ground_height), _RING_COLOR) for radius in RINGS]
    strokes += [
        (_ring(_HORIZON, ground_height), _HORIZON_COLOR),
        (_axis(0.0, ground_height), _FORWARD_COLOR),
        (_axis(np.pi / 2, ground_height), _LEFT_COLOR),
    ]
    for segments_base, color in strokes:
        _draw(canvas, image_from_points, segments_base, (color, width))
    labels = _labels(frame, image_from_points, ground_height, canvas.shape[1] * _TEXT_PER_WIDTH)
    return replace(frame, pixels=write_labels(canvas, labels))


def _ring(radius: float, height: float) -> Array:
    """Return (n, 2, 3) strokes of a circle, base frame."""
    angles = np.arange(0.0, 2 * np.pi + _STEP, _STEP)
    points = np.stack(
        [radius * np.cos(angles), radius * np.sin(angles), np.full_like(angles, height)], axis=1
    )
    return np.stack([points[:-1], points[1:]], axis=1)


def _axis(yaw: float, height: float) -> Array:
    """Return (n, 2, 3) strokes from the vehicle to the last ring, base frame."""
    radii = np.linspace(0.0, RINGS[-1], 51)
    points = radii[:, None] * [np.cos(yaw), np.sin(yaw), 0.0] + [0.0, 0.0, height]
    return np.stack([points[:-1], points[1:]], axis=1)


def _draw(
    canvas: Canvas, image_from_points: Array, segments: Array, style: tuple[Color, int]
) -> None:
    scaled = geometry.transform_points(image_from_points, segments)
    pixels = clip_segments(scaled, canvas.shape[1], canvas.shape[0])
    if len(pixels):
        draw_segments(canvas, pixels, *style)


def _labels(
    frame: CameraFrame, image_from_points: Array, height: float, size: float
) -> list[Label]:
    """Write every distance where its ring crosses the viewing direction."""
    ahead_base = frame.calibration.base_from_camera[:2, 2]
    norm = float(np.linalg.norm(ahead_base))
    if norm == 0.0:
        return []
    labels = []
    for radius in RINGS:
        point = np.array([*(ahead_base / norm * radius), height])
        u, v, depth = geometry.transform_points(image_from_points, point[None])[0]
        inside = depth > 0 and 0 <= u / depth < frame.pixels.shape[1]
        if inside and 0 <= v / depth < frame.pixels.shape[0]:
            text = f"{radius:.0f} m"
            labels.append(
                Label(text, u / depth, v / depth, _RING_COLOR, round(size), centered=True)
            )
    return labels
