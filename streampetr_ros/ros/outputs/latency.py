"""Durations of every stage as numbers on topics, for plots while driving."""

from __future__ import annotations

from functools import partial

from std_msgs.msg import Float64

from streampetr_ros.messages.results import SetResult
from streampetr_ros.ros.outputs.output import Output

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


class LatencyOutput(Output):
    """``~/latency/STAGE_ms`` for every stage; who watches them asks for no results."""

    def open(self) -> None:
        """Offer the topics."""
        for stage in STAGES:
            make = partial(_duration, stage)
            self.offer(f"~/latency/{stage}_ms", Float64, make, keeps_awake=False)


def _duration(stage: str, result: SetResult) -> Float64 | None:
    """Write how long a stage took, None if it did not run."""
    value = result.latency_ms.get(stage)
    return None if value is None else Float64(data=value)
