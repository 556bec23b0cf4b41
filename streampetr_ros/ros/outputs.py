"""Publishers of results."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from visualization_msgs.msg import MarkerArray

from streampetr_ros.msg import Object3DArray
from streampetr_ros.ros import qos
from streampetr_ros.ros.markers import marker_array
from streampetr_ros.types import Detections

#: RViz keeps markers this many output periods; shorter blinks, longer leaves ghosts.
_MARKER_PERIODS = 4.0
_SHORTEST_LIFE_S = 0.5


class Outputs:
    """Results of the node: ``~/detections`` and ``~/markers``.

    Args:
        node: lifecycle node that publishes; nothing leaves it while it is inactive.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._detections = node.create_lifecycle_publisher(
            Object3DArray, "~/detections", qos.outputs()
        )
        self._markers = node.create_lifecycle_publisher(MarkerArray, "~/markers", qos.outputs())

    @property
    def has_listeners(self) -> bool:
        """Whether anybody subscribes to a result."""
        counts = (p.get_subscription_count() for p in (self._detections, self._markers))
        return any(counts)

    def publish(self, message: Object3DArray) -> None:
        """Publish the boxes of one frame set, unless a signal has ended ROS meanwhile."""
        if self._node.context.ok():
            self._detections.publish(message)

    def publish_markers(
        self, detections_base: Detections, base_frame: str, interval_s: float
    ) -> None:
        """Publish markers if anybody looks at them.

        Args:
            detections_base: boxes in the base frame.
            base_frame: TF name of that frame.
            interval_s: seconds between results.
        """
        if self._node.context.ok() and self._markers.get_subscription_count():
            life = max(_SHORTEST_LIFE_S, _MARKER_PERIODS * interval_s)
            self._markers.publish(marker_array(detections_base, base_frame, life))

    def close(self) -> None:
        """Remove the publishers."""
        self._node.destroy_lifecycle_publisher(self._detections)
        self._node.destroy_lifecycle_publisher(self._markers)
