"""Markers for viewers: ``~/markers`` for detections, ``~/track_markers`` for tracks with trails."""

from __future__ import annotations

from visualization_msgs.msg import MarkerArray

from streampetr_ros.messages.marker_scene import MARKER_TOPICS, MarkerWriter
from streampetr_ros.messages.results import SetResult
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs.output import BackgroundOutput


class MarkerOutput(BackgroundOutput):
    """``~/markers`` and ``~/track_markers``."""

    name = "markers"

    def open(self) -> None:
        """Offer the topics."""
        self._writer = MarkerWriter(types, self.parameters.frames.fixed)
        self._names = MARKER_TOPICS if self.parameters.tracking.enabled else MARKER_TOPICS[:1]
        for name in self._names:
            self.offer(name, MarkerArray)

    def serve_all(self, result: SetResult, restarts: int) -> None:
        """Publish markers of boxes and tracks."""
        self._writer.looks = self.parameters.markers
        for name, array in zip(self._names, self._writer.write(result, restarts), strict=False):
            self.serve(name, array)
