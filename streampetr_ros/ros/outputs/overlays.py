"""Boxes drawn on the camera images and from above, in a thread beside the detection."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage

from streampetr_ros.messages.picture_topics import TOP_VIEW_TOPIC, overlay_topics
from streampetr_ros.messages.pictures import PictureWriter
from streampetr_ros.messages.results import SetResult
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import make
from streampetr_ros.ros.outputs.background import BackgroundOutput
from streampetr_ros.ros.outputs.topic import Topic


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
        self._writer = PictureWriter(make, cameras, follows)
        self._by_name = {
            name: Topic(node, CompressedImage, name, qos.outputs())
            for name in (TOP_VIEW_TOPIC, *overlay_topics(cameras).values())
        }
        self.topics = list(self._by_name.values())

    def apply(self, parameters: NodeParameters) -> None:
        """Take over sizes and colors."""
        self._writer.looks, self._writer.colors = parameters.overlays, parameters.markers

    def make(self, result: SetResult, restarts: int) -> None:
        """Draw and publish the pictures somebody subscribes to."""
        for name, picture in self._writer.write(result).items():
            self._by_name[name].serve(picture)
