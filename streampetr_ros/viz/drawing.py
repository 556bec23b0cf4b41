"""Anti-aliased strokes, fills and text on RGB images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from streampetr_ros.core.geometry import Array
from streampetr_ros.viz.layer import Color

Canvas = NDArray[np.uint8]

#: OpenCV takes fixed-point coordinates; four bits place a stroke to a sixteenth of a pixel.
_FRACTION_BITS = 4
_HALO: Color = (12, 14, 18)


class Label(NamedTuple):
    """Text to write.

    Attributes:
        text: one line.
        x: left edge, pixels; the middle when `centered`.
        y: lower edge of the text, pixels.
        color: RGB.
        size: font size, pixels.
        plate: whether a dark plate lies behind it.
        centered: whether x is the middle.
    """

    text: str
    x: float
    y: float
    color: Color
    size: int = 13
    plate: bool = True
    centered: bool = False


def draw_segments(
    canvas: Canvas, segments: Array, color: Color, width: int = 2, *, halo: bool = True
) -> None:
    """Draw straight strokes.

    Args:
        canvas: (h, w, 3) RGB, changed in place.
        segments: (n, 2, 2) start and end pixels.
        color: RGB.
        width: pixels.
        halo: whether a dark rim keeps the stroke visible on bright ground.
    """
    points = list(_fixed_point(segments))
    if halo:
        cv2.polylines(canvas, points, False, _HALO, width + 2, cv2.LINE_AA, _FRACTION_BITS)
    cv2.polylines(canvas, points, False, color, width, cv2.LINE_AA, _FRACTION_BITS)


def draw_dashed(canvas: Canvas, segments: Array, color: Color, dash: float = 5.0) -> None:
    """Draw thin strokes in turns of a color and of a dark tone, visible on any ground.

    Args:
        canvas: (h, w, 3) RGB, changed in place.
        segments: (n, 2, 2) start and end pixels.
        color: RGB.
        dash: length of a dash and of a gap, pixels.
    """
    draw_segments(canvas, segments, _HALO, 1, halo=False)
    draw_segments(canvas, _dashes(segments, dash), color, 1, halo=False)


def _dashes(segments: Array, dash: float) -> Array:
    """Cut (n, 2, 2) strokes into (m, 2, 2) dashes with gaps of the same length."""
    pieces = [np.empty((0, 2, 2))]
    for start, end in segments:
        length = max(float(np.linalg.norm(end - start)), 1e-9)
        begins = np.arange(0.0, length, 2 * dash)
        distances = np.stack([begins, np.minimum(begins + dash, length)], axis=1)
        pieces.append(start + distances[..., None] * (end - start) / length)
    return np.concatenate(pieces)


def fill_polygon(canvas: Canvas, corners: Array, color: Color, opacity: float) -> None:
    """Tint the inside of a convex polygon.

    Args:
        canvas: (h, w, 3) RGB, changed in place.
        corners: (n, 2) pixels.
        color: RGB.
        opacity: 0 to 1.
    """
    limit = np.array(canvas.shape[1::-1])
    low = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limit).astype(int)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if not region.size:
        return
    tinted = region.copy()
    cv2.fillConvexPoly(tinted, _fixed_point(corners - low), color, cv2.LINE_AA, _FRACTION_BITS)
    cv2.addWeighted(tinted, opacity, region, 1.0 - opacity, 0.0, dst=region)


def write_labels(canvas: Canvas, labels: Sequence[Label]) -> Canvas:
    """Write text on an image; text that would cover text written before is left out.

    Args:
        canvas: (h, w, 3) RGB.
        labels: most important first.

    Returns:
        A new (h, w, 3) RGB image.
    """
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture, "RGBA")
    taken: list[tuple[float, float, float, float]] = []
    for label in labels:
        x, y, plate = _placed(draw, label, canvas.shape[1], canvas.shape[0])
        if any(_overlap(plate, other) for other in taken):
            continue
        taken.append(plate)
        if label.plate:
            draw.rounded_rectangle(plate, radius=3, fill=(*_HALO, 170))
        draw.text((x, y), label.text, font=_font(label.size), fill=label.color, anchor="ls")
    return np.array(picture)


def _placed(
    draw: ImageDraw.ImageDraw, label: Label, width: int, height: int
) -> tuple[float, float, tuple[float, float, float, float]]:
    """Find where text goes so that it stays on the image: start, base line and plate."""
    left, top, right, bottom = draw.textbbox(
        (0, 0), label.text, font=_font(label.size), anchor="ls"
    )
    x = label.x - (right - left) / 2 if label.centered else label.x
    x = min(max(x, 3.0), max(width - (right - left) - 4.0, 3.0))
    y = min(max(label.y, 4.0 - top), height - bottom - 3.0)
    return x, y, (x + left - 3, y + top - 2, x + right + 3, y + bottom + 2)


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    apart_x = one[2] <= other[0] or other[2] <= one[0]
    return not (apart_x or one[3] <= other[1] or other[3] <= one[1])


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface: the same picture on every machine."""
    return ImageFont.load_default(size)


def _fixed_point(points: Array) -> NDArray[np.int32]:
    # Pixel centers lie half a pixel after the edge our coordinates count from.
    shifted: NDArray[np.int32] = np.round((points - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
    return shifted
