"""Boxes drawn on the camera images and from above, in a thread beside the detection."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage

from streampetr_ros.core import geometry
from streampetr_ros.core.types import CameraFrame
from streampetr_ros.ingest.pictures.undistort import Rectifier
from streampetr_ros.messages.picture_topics import TOP_VIEW_TOPIC, overlay_topics
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.outputs import OverlayParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.convert import compressed_message
from streampetr_ros.ros.outputs.background import BackgroundOutput
from streampetr_ros.ros.outputs.results import SetResult
from streampetr_ros.ros.outputs.topic import Topic
from streampetr_ros.viz.bev import render_top_view
from streampetr_ros.viz.layer import Layer, detection_layer, track_layer
from streampetr_ros.viz.overlay import render_camera
from streampetr_ros.viz.trails import Trails


class OverlayOutput(BackgroundOutput):
    """Pictures for people: ``~/overlays/CAMERA/compressed`` and ``~/top_view/compressed``.

    Only pictures somebody subscribes to are drawn.

    Args:
        node: owner of the topics.
        cameras: names.
        follows: whether there are tracks to draw.
        report: hears of pictures that cannot be drawn.
    """

    def __init__(
        self,
        node: LifecycleNode,
        cameras: Sequence[str],
        follows: bool,
        report: Callable[[str], None],
    ) -> None:
        super().__init__("pictures", report)
        self._parameters = OverlayParameters()
        self._color_by, self._trail_s = "class", 0.0
        self._trails = Trails()
        self._rectify = Rectifier()
        self._follows = follows
        self._cameras = {
            camera: Topic(node, CompressedImage, topic, qos.outputs())
            for camera, topic in overlay_topics(cameras).items()
        }
        self._top_view = Topic(node, CompressedImage, TOP_VIEW_TOPIC, qos.outputs())
        self.topics = [self._top_view, *self._cameras.values()]

    def apply(self, parameters: NodeParameters) -> None:
        """Take over sizes and colors."""
        self._parameters = parameters.overlays
        self._color_by = parameters.markers.color_by
        self._trail_s = parameters.markers.trail_s

    def make(self, result: SetResult, restarts: int) -> None:
        """Draw and publish the pictures somebody subscribes to."""
        layers = [self._layer(result)]
        for frame in result.frame_set.cameras:
            self._cameras[frame.calibration.name].serve(
                lambda frame=frame: self._camera_picture(frame, result, layers)  # type: ignore[misc]
            )
        self._top_view.serve(lambda: self._top_view_picture(result, layers))

    def _layer(self, result: SetResult) -> Layer:
        if self._follows and self._parameters.show == "tracks":
            return self._track_layer(result)
        return detection_layer(result.detections, np.eye(4))

    def _track_layer(self, result: SetResult) -> Layer:
        fixed_from_base = result.frame_set.fixed_from_base
        places = self._trails.update(result.tracks, fixed_from_base, self._trail_s)
        base_from_fixed = geometry.inverse(fixed_from_base)
        trails = [geometry.transform_points(base_from_fixed, each) for each in places]
        return track_layer(result.tracks, np.eye(4), self._color_by == "track", trails)

    def _camera_picture(
        self, frame: CameraFrame, result: SetResult, layers: Sequence[Layer]
    ) -> CompressedImage:
        # Boxes are projected as by a pinhole; on a raw picture they would lie beside the objects.
        frame = self._rectify(frame)
        height, width = frame.pixels.shape[:2]
        drawn_width = self._parameters.width
        size = (drawn_width, max(1, round(height * drawn_width / width)))
        picture = render_camera(frame, result.frame_set, layers, size)
        frame_id = result.camera_frames[frame.calibration.name]
        return self._message(picture, frame.stamp_ns, frame_id)

    def _top_view_picture(self, result: SetResult, layers: Sequence[Layer]) -> CompressedImage:
        p = self._parameters
        picture = render_top_view(
            result.frame_set, layers, p.top_view_size, p.top_view_reach, result.report.model
        )
        return self._message(picture, result.frame_set.stamp_ns, result.report.base_frame)

    def _message(self, picture: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> CompressedImage:
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._parameters.jpeg_quality]
        _, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], quality)
        return compressed_message(encoded.tobytes(), "jpeg", stamp_ns, frame_id)
