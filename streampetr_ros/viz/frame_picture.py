"""One frame set with its boxes: all cameras in one picture, and the scene from above."""

from __future__ import annotations

from dataclasses import dataclass

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Detections, FrameSet
from streampetr_ros.viz.bev import render_top_view
from streampetr_ros.viz.drawing import Canvas
from streampetr_ros.viz.layer import detection_layer, truth_layer
from streampetr_ros.viz.overlay import render_cameras


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """What pictures show.

    Attributes:
        draw_above: lowest score drawn.
        truth: whether annotations are drawn where the source has them.
        caption: written in a corner of the top view.
        width: of the camera pictures, pixels.
    """

    draw_above: float = 0.3
    truth: bool = True
    caption: str = ""
    width: int = 1600


def draw_frame_set(
    frame_set: FrameSet, detections: Detections, base_from_boxes: Array, options: PictureOptions
) -> tuple[Canvas, Canvas]:
    """Draw detections, and annotations, dashed.

    Args:
        frame_set: images without lens distortion.
        detections: in the frame they were predicted in, where they are upright, or another.
        base_from_boxes: (4, 4) from that frame to the base frame.
        options: what is shown.

    Returns:
        Cameras, and top view.
    """
    layers = [detection_layer(detections, base_from_boxes, options.draw_above)]
    if options.truth and frame_set.truth is not None:
        layers.append(truth_layer(frame_set.truth, frame_set.base_from_model))
    cameras = render_cameras(frame_set, layers, options.width)
    return cameras, render_top_view(frame_set, layers, caption=options.caption)
