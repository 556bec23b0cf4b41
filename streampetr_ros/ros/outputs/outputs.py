"""All outputs of the node: the one list of them, and what publishes them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.lifecycle import LifecycleNode

from streampetr_ros.core.problems import Problem, ProblemLog
from streampetr_ros.messages.results import SetResult
from streampetr_ros.msg import Object3DArray
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.outputs.autoware import AutowareOutput, autoware_messages
from streampetr_ros.ros.outputs.latency import LatencyOutput
from streampetr_ros.ros.outputs.markers import MarkerOutput
from streampetr_ros.ros.outputs.objects import TrackOutput
from streampetr_ros.ros.outputs.output import Output
from streampetr_ros.ros.outputs.overlays import OverlayOutput
from streampetr_ros.ros.outputs.vision import VisionOutput

#: Every output beside the boxes, in the order of publication, and whether parameters ask for it.
OUTPUTS: tuple[tuple[type[Output], Callable[[NodeParameters], bool]], ...] = (
    (TrackOutput, lambda p: p.tracking.enabled),
    (LatencyOutput, lambda p: True),
    (VisionOutput, lambda p: p.outputs.vision),
    (AutowareOutput, lambda p: autoware_messages(p.outputs.autoware) is not None),
    (MarkerOutput, lambda p: p.outputs.markers),
    (OverlayOutput, lambda p: p.outputs.overlays),
)


class Outputs:
    """Everything the node says about its results.

    Args:
        node: lifecycle node that publishes; nothing leaves it while it is inactive.
        parameters: which topics there are.
        class_names: label space of the model.
        problems: hears of results that cannot be published.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        class_names: Sequence[str],
        problems: ProblemLog,
    ) -> None:
        self._node = node
        self._problems = problems
        self._boxes = node.create_lifecycle_publisher(Object3DArray, "~/detections", qos.outputs())
        self._others: list[Output] = []
        try:
            for kind, is_wanted in OUTPUTS:
                if is_wanted(parameters):
                    self._others.append(kind(node, parameters, class_names, self._report))
                    self._others[-1].open()
        except BaseException:
            self.close()
            raise

    @property
    def has_listeners(self) -> bool:
        """Whether anybody subscribes to a result."""
        listeners = self._boxes.get_subscription_count()
        return listeners > 0 or any(each.has_listeners for each in self._others)

    def start(self) -> None:
        """Begin; the node is active from now on."""
        for output in self._others:
            output.start()

    def stop(self) -> None:
        """Finish what is in progress."""
        for output in self._others:
            output.stop()

    def apply(self, parameters: NodeParameters) -> None:
        """Take over what may change at run time."""
        for output in self._others:
            output.apply(parameters)

    def publish(self, boxes: Object3DArray, result: SetResult) -> None:
        """Publish the boxes of one frame set, which others wait for, then all else.

        Beside the boxes only what somebody subscribes to is published; one failure keeps nothing
        else back.
        """
        if self._node.context.ok():
            self._boxes.publish(boxes)
        for output in self._others:
            try:
                output.publish(result)
            except Exception as error:  # noqa: BLE001 - boxes are out already and must stay so
                self._report(f"{type(output).__name__}: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Remove the publishers."""
        self._node.destroy_lifecycle_publisher(self._boxes)
        for output in self._others:
            output.close()

    def _report(self, sentence: str) -> None:
        self._problems.report(Problem.OUTPUT, "outputs", sentence)
