"""Publishers of results: own messages, vision_msgs, Autoware, markers, pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.lifecycle import LifecycleNode
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from streampetr_ros.messages.marker_scene import MarkerWriter
from streampetr_ros.messages.results import SetResult
from streampetr_ros.msg import Object3DArray
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import make
from streampetr_ros.ros.outputs.autoware import AutowareWriter
from streampetr_ros.ros.outputs.background import BackgroundOutput
from streampetr_ros.ros.outputs.latency_topics import LatencyOutput
from streampetr_ros.ros.outputs.objects import tracks_message, write_latencies
from streampetr_ros.ros.outputs.overlays import OverlayOutput
from streampetr_ros.ros.outputs.topic import Output, Topic
from streampetr_ros.ros.outputs.vision import detections_to_vision, label_info, tracks_to_vision
from streampetr_ros.ros.problems import Problem, ProblemLog


class Outputs:
    """Everything the node says about its results.

    Args:
        node: lifecycle node that publishes; nothing leaves it while it is inactive.
        parameters: which topics there are.
        class_names: label space of the model.
        problems: hears of results that cannot be published.
        autoware: writes Autoware's messages; None offers none.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        class_names: Sequence[str],
        problems: ProblemLog,
        autoware: AutowareWriter | None,
    ) -> None:
        self._problems = problems
        self._detections = Topic(node, Object3DArray, "~/detections", qos.outputs())
        self._others: list[Output] = []
        try:
            self._add_others(node, parameters, class_names, autoware)
        except BaseException:
            self.close()
            raise

    def _add_others(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        class_names: Sequence[str],
        autoware: AutowareWriter | None,
    ) -> None:
        follows = parameters.tracking.enabled
        if follows:
            self._others.append(TrackOutput(node))
        self._others.append(LatencyOutput(node))
        if parameters.outputs.vision:
            self._others.append(VisionOutput(node, class_names, follows))
        if autoware is not None:
            self._others.append(AutowareOutput(node, autoware, follows))
        if parameters.outputs.markers:
            self._others.append(MarkerOutput(node, parameters.frames.fixed, follows, self._report))
        if parameters.outputs.overlays:
            cameras = parameters.cameras.names
            self._others.append(OverlayOutput(node, cameras, follows, self._report))

    @property
    def has_listeners(self) -> bool:
        """Whether anybody subscribes to a result."""
        return self._detections.has_listeners or any(each.has_listeners for each in self._others)

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

    def publish(self, message: Object3DArray) -> None:
        """Publish the boxes of one frame set, which others wait for."""
        self._detections.publish(message)

    def publish_others(self, result: SetResult) -> None:
        """Publish all else that somebody subscribes to; one failure keeps nothing else back."""
        for output in self._others:
            try:
                output.publish(result)
            except Exception as error:  # noqa: BLE001 - boxes are out already and must stay so
                self._report(f"{type(output).__name__}: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Remove the publishers."""
        self._detections.close()
        for output in self._others:
            output.close()

    def _report(self, sentence: str) -> None:
        self._problems.report(Problem.OUTPUT, "outputs", sentence)


class TrackOutput(Output):
    """``~/tracks``."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__()
        self._tracks = Topic(node, Object3DArray, "~/tracks", qos.outputs())
        self.topics = [self._tracks]

    def publish(self, result: SetResult) -> None:
        """Publish the tracks."""

        def make() -> Object3DArray:
            message = tracks_message(result.tracks, result.report)
            write_latencies(message, result.latency_ms)
            return message

        self._tracks.serve(make)


class VisionOutput(Output):
    """``~/vision/detections``, ``~/vision/tracks`` and, latched, ``~/vision/label_info``."""

    def __init__(self, node: LifecycleNode, class_names: Sequence[str], follows: bool) -> None:
        super().__init__()
        profile = qos.outputs()
        self._node = node
        self._class_names = class_names
        self._threshold = 0.0
        self._is_active = False
        self._labels = Topic(node, LabelInfo, "~/vision/label_info", qos.latched())
        self._detections = Topic(node, Detection3DArray, "~/vision/detections", profile)
        self._tracks: Topic[Detection3DArray] | None = None
        if follows:
            self._tracks = Topic(node, Detection3DArray, "~/vision/tracks", profile)
        topics = (self._labels, self._detections, self._tracks)
        self.topics = [topic for topic in topics if topic is not None]

    @property
    def has_listeners(self) -> bool:
        """Whether anybody wants boxes; the label space is there anyway."""
        return any(topic.has_listeners for topic in self.topics if topic is not self._labels)

    def start(self) -> None:
        """Publish the label space."""
        self._is_active = True
        self._publish_labels()

    def stop(self) -> None:
        """Say nothing more about the label space."""
        self._is_active = False

    def apply(self, parameters: NodeParameters) -> None:
        """Publish the label space again if its threshold changed."""
        threshold = min(parameters.detection.score_thresholds)
        changed, self._threshold = threshold != self._threshold, threshold
        if changed and self._is_active:
            self._publish_labels()

    def publish(self, result: SetResult) -> None:
        """Publish boxes and tracks."""
        frame = result.report.base_frame
        self._detections.serve(lambda: detections_to_vision(result.detections, frame))
        if self._tracks is not None:
            self._tracks.serve(lambda: tracks_to_vision(result.tracks, frame))

    def _publish_labels(self) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        self._labels.publish(label_info(self._class_names, self._threshold, now_ns))


class AutowareOutput(Output):
    """``~/autoware/detections`` and ``~/autoware/tracks``."""

    def __init__(self, node: LifecycleNode, writer: AutowareWriter, follows: bool) -> None:
        super().__init__()
        kinds, profile = writer.messages, qos.outputs()
        self._writer = writer
        self._detections = Topic(node, kinds.DetectedObjects, "~/autoware/detections", profile)
        self.topics = [self._detections]
        if follows:
            self.topics.append(Topic(node, kinds.TrackedObjects, "~/autoware/tracks", profile))

    def publish(self, result: SetResult) -> None:
        """Publish boxes and tracks."""
        frame = result.report.base_frame
        self._detections.serve(lambda: self._writer.detected_objects(result.detections, frame))
        for topic in self.topics[1:]:
            topic.serve(lambda: self._writer.tracked_objects(result.tracks, frame))


class MarkerOutput(BackgroundOutput):
    """``~/markers`` for detections and ``~/track_markers`` for tracks with trails."""

    def __init__(
        self,
        node: LifecycleNode,
        fixed_frame: str,
        follows: bool,
        report: Callable[[str], None],
    ) -> None:
        super().__init__("markers", report)
        self._writer = MarkerWriter(make, fixed_frame)
        self.topics = [Topic(node, MarkerArray, "~/markers", qos.outputs())]
        if follows:
            self.topics.append(Topic(node, MarkerArray, "~/track_markers", qos.outputs()))

    def apply(self, parameters: NodeParameters) -> None:
        """Take over colors and the length of trails."""
        self._writer.looks = parameters.markers

    def make(self, result: SetResult, restarts: int) -> None:
        """Publish markers of boxes and tracks."""
        arrays = self._writer.write(result, restarts)
        for topic, array in zip(self.topics, arrays, strict=False):
            topic.serve(array)
