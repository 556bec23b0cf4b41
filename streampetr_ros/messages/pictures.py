"""Results drawn on the camera images and from above, as compressed pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.types import CameraFrame
from streampetr_ros.messages.picture_topics import TOP_VIEW_TOPIC, overlay_topics
from streampetr_ros.messages.results import SetResult
from streampetr_ros.messages.standard import Types, compressed_message, header
from streampetr_ros.parameters.outputs import MarkerParameters, OverlayParameters
from streampetr_ros.preprocess.undistort import Rectifier
from streampetr_ros.viz.bev import render_top_view
from streampetr_ros.viz.layer import Layer, detection_layer, track_layer
from streampetr_ros.viz.overlay import render_camera
from streampetr_ros.viz.trails import Trails


class PictureWriter:
    """Draws the pictures of the results of one run, in order.

    Args:
        types: see `Types`.
        cameras: names, as far as they are known.
        follows: whether there are tracks to draw.

    Attributes:
        looks: may change from result to result, as may the `colors`.
    """

    def __init__(self, types: Types, cameras: Sequence[str], follows: bool) -> None:
        self.looks, self.colors = OverlayParameters(), MarkerParameters()
        self._types = types
        self._cameras = dict.fromkeys(cameras)
        self._follows = follows
        self._trails = Trails()
        self._rectify = Rectifier()

    def write(self, result: SetResult) -> dict[str, Callable[[], Any]]:
        """Take note of a result.

        Returns:
            By topic, what makes its CompressedImage, if somebody looks.
        """
        layers = [self._layer(result)]
        self._cameras |= dict.fromkeys(frame.calibration.name for frame in result.frame_set.cameras)
        topics = overlay_topics(list(self._cameras))
        return {
            TOP_VIEW_TOPIC: partial(self._top_view, result, layers),
            **{
                topics[frame.calibration.name]: partial(self._camera, frame, result, layers)
                for frame in result.frame_set.cameras
            },
        }

    def _layer(self, result: SetResult) -> Layer:
        if not self._follows or self.looks.show != "tracks":
            return detection_layer(result.detections, np.eye(4))
        fixed_from_base = result.frame_set.fixed_from_base
        places = self._trails.update(result.tracks, fixed_from_base, self.colors.trail_s)
        base_from_fixed = geometry.inverse(fixed_from_base)
        trails = [geometry.transform_points(base_from_fixed, each) for each in places]
        return track_layer(result.tracks, np.eye(4), self.colors.color_by == "track", trails)

    def _camera(self, frame: CameraFrame, result: SetResult, layers: Sequence[Layer]) -> Any:
        # Boxes are projected as by a pinhole; on a raw picture they would lie beside the objects.
        frame = self._rectify(frame)
        height, width = frame.pixels.shape[:2]
        size = (self.looks.width, max(1, round(height * self.looks.width / width)))
        picture = render_camera(frame, result.frame_set, layers, size)
        frame_id = result.camera_frames[frame.calibration.name]
        return self._message(picture, frame.stamp_ns, frame_id)

    def _top_view(self, result: SetResult, layers: Sequence[Layer]) -> Any:
        size, reach = self.looks.top_view_size, self.looks.top_view_reach
        picture = render_top_view(result.frame_set, layers, size, reach, result.report.model)
        return self._message(picture, result.frame_set.stamp_ns, result.report.base_frame)

    def _message(self, picture: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Any:
        top = header(self._types, stamp_ns, frame_id)
        return compressed_message(self._types, picture, "jpeg", self.looks.jpeg_quality, top)
