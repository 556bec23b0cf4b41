"""What one frame set gave, for everything that publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streampetr_ros.core.types import Detections, FrameSet, Tracks
from streampetr_ros.ros.convert import SetReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetResult:
    """A processed frame set.

    Attributes:
        frame_set: images and geometry.
        detections: published boxes, base frame.
        tracks: objects followed, base frame.
        report: how the set was made.
        camera_frames: TF name of the optical frame by camera.
        latency_ms: duration of each stage, in the order they ran.
    """

    frame_set: FrameSet
    detections: Detections
    tracks: Tracks
    report: SetReport
    camera_frames: Mapping[str, str]
    latency_ms: Mapping[str, float]

    @property
    def restarted(self) -> bool:
        """Whether the memory was emptied before this set."""
        return bool(self.report.reset_reason)
