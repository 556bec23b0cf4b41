"""Durations of every stage as numbers on topics, for plots while driving."""

from __future__ import annotations

from functools import partial

from std_msgs.msg import Float64

from streampetr_ros.messages.results import STAGES, SetResult
from streampetr_ros.ros.outputs.output import Output


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
