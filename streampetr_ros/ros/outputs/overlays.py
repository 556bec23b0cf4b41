"""Boxes drawn on the camera images and from above."""

from __future__ import annotations

from sensor_msgs.msg import CompressedImage

from streampetr_ros.messages.picture_topics import TOP_VIEW_TOPIC, overlay_topics
from streampetr_ros.messages.pictures import PictureWriter
from streampetr_ros.messages.results import SetResult
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs.output import BackgroundOutput


class OverlayOutput(BackgroundOutput):
    """``~/overlays/CAMERA/compressed`` and ``~/top_view/compressed``, pictures for people."""

    name = "pictures"

    def open(self) -> None:
        """Offer the topics."""
        cameras = self.parameters.cameras.names
        self._writer = PictureWriter(types, cameras, self.parameters.tracking.enabled)
        for name in (TOP_VIEW_TOPIC, *overlay_topics(cameras).values()):
            self.offer(name, CompressedImage)

    def serve_all(self, result: SetResult, restarts: int) -> None:
        """Draw and publish the pictures somebody subscribes to."""
        self._writer.looks, self._writer.colors = self.parameters.overlays, self.parameters.markers
        for name, picture in self._writer.write(result).items():
            self.serve(name, picture)
