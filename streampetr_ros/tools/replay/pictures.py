"""Written results drawn on the camera images and from above, as the node publishes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.pictures.undistort import Rectifier
from streampetr_ros.messages import standard as messages
from streampetr_ros.messages.picture_topics import TOP_VIEW_TOPIC, overlay_topics
from streampetr_ros.tools.replay.output import recorded_boxes
from streampetr_ros.viz.bev import render_top_view
from streampetr_ros.viz.layer import Layer
from streampetr_ros.viz.overlay import render_camera

#: Width of pictures, pixels, as the node draws them by default.
_WIDTH = 800

Record = Mapping[str, Any]


class ResultPictures:
    """Draws the pictures of one replay.

    Args:
        node: name under which the topics lie.
        base_frame: TF name of the vehicle frame.
        caption: written in a corner of the top view.
    """

    def __init__(self, node: str, base_frame: str, caption: str) -> None:
        self._node, self._base_frame, self._caption = node, base_frame, caption
        self._rectify = Rectifier()

    def messages(
        self, frame_set: FrameSet, objects: Sequence[Record], camera_frames: Mapping[str, str]
    ) -> Iterator[tuple[str, Any]]:
        """Yield topic and message of each picture of a frame set.

        Args:
            frame_set: images with calibration and poses.
            objects: detections or tracks of its line of detections.jsonl, base frame.
            camera_frames: TF name of the optical frame of each camera there is.
        """
        topics = overlay_topics(list(camera_frames))
        # Boxes are projected by pinhole cameras.
        frame_set = self._rectify.frame_set(frame_set)
        layers = [_layer(objects)]
        for frame in frame_set.cameras:
            name = frame.calibration.name
            height, width = frame.pixels.shape[:2]
            size = (_WIDTH, max(1, round(height * _WIDTH / width)))
            picture = render_camera(frame, frame_set, layers, size)
            yield self._message(topics[name], picture, frame.stamp_ns, camera_frames[name])
        top_view = render_top_view(frame_set, layers, _WIDTH, caption=self._caption)
        yield self._message(TOP_VIEW_TOPIC, top_view, frame_set.stamp_ns, self._base_frame)

    def _message(
        self, topic: str, picture: NDArray[np.uint8], stamp_ns: int, frame_id: str
    ) -> tuple[str, Any]:
        packed = messages.compressed_message(picture, "jpeg", messages.header(stamp_ns, frame_id))
        return topic.replace("~", self._node, 1), packed


def _layer(objects: Sequence[Record]) -> Layer:
    ids = [each.get("track_id", 0) for each in objects]
    return Layer(
        boxes=recorded_boxes(objects),
        base_from_boxes=np.eye(4),
        class_names=tuple(each["class"] for each in objects),
        scores=np.array([each["score"] for each in objects], dtype=np.float64),
        ids=np.array(ids, dtype=np.int64) if all(ids) else None,
    )
