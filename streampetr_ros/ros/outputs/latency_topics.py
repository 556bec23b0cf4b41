"""Durations of every stage as numbers on topics, for plots while driving."""

from __future__ import annotations

from collections.abc import Mapping

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64

from streampetr_ros.messages.results import SetResult
from streampetr_ros.ros import qos
from streampetr_ros.ros.outputs.topic import Output, Topic

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
    """``~/latency/STAGE_ms`` for every stage."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__()
        self._by_stage: Mapping[str, Topic[Float64]] = {
            stage: Topic(node, Float64, f"~/latency/{stage}_ms", qos.outputs()) for stage in STAGES
        }
        self.topics = list(self._by_stage.values())

    @property
    def has_listeners(self) -> bool:
        """Never: who watches the latency of results does not ask for them."""
        return False

    def publish(self, result: SetResult) -> None:
        """Publish the durations of one frame set, of the stages that ran."""
        for stage, topic in self._by_stage.items():
            value = result.latency_ms.get(stage)
            if value is not None:
                topic.serve(lambda value=value: Float64(data=value))
