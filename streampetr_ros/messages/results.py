"""What one frame set gave, for everything that publishes or writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streampetr_ros.core.types import Detections, FrameSet, Tracks

#: Time from the reference stamp of a set to its publication by the node's clock, which may be
#: simulated; below 0 if stamps are ahead of that clock.
END_TO_END = "end_to_end"
#: From the arrival of the last image to the publication.
TOTAL = "total"
#: How long decoding of that image took, beside other stages; has no topic.
LAST_IMAGE = "last_image"
#: Stages that have a topic, in the order they run.
STAGES = (
    "queue",
    "transforms",
    "images",
    "preprocess",
    "network",
    "decode",
    "track",
    "message",
    TOTAL,
    END_TO_END,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReport:
    """What is published about a frame set beside its boxes.

    Attributes:
        model: name of the model.
        base_frame: TF name of the frame of the boxes.
        cameras_expected: number of configured cameras.
        camera_stamps_ns: stamp by name of each camera that took part.
        frames_since_reset: sets processed since the memory was last empty, this one not counted.
        memory_age: seconds since the set that started the memory.
        reset_reason: why the memory was emptied before this set; empty when it was kept.
    """

    model: str
    base_frame: str
    cameras_expected: int
    camera_stamps_ns: Mapping[str, int]
    frames_since_reset: int = 0
    memory_age: float = 0.0
    reset_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetResult:
    """A processed frame set.

    Attributes:
        frame_set: images and geometry.
        detections: boxes shown, base frame.
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
    latency_ms: Mapping[str, float] = field(default_factory=dict)
