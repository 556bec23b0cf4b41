"""Everything that exists between configure and cleanup: network, transforms, worker, cameras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException
from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer

from streampetr_ros.backends.base import Backend
from streampetr_ros.core.parameter import ParameterError
from streampetr_ros.ingest.messages import fingerprint, stamp_ns_from
from streampetr_ros.ingest.pictures.undistort import Rectifier
from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchronizer
from streampetr_ros.ingest.sync.types import StampedImage, SyncConfig, SyncedSet, SyncStatistics
from streampetr_ros.parameters.inputs import CameraSettings, PoseParameters, SyncParameters
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.settings import pipeline_config
from streampetr_ros.pipeline.memory_policy import ResetReason
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.ros.inputs.assembly import FrameSetAssembler
from streampetr_ros.ros.inputs.calibration import CalibrationStore
from streampetr_ros.ros.inputs.camera_input import CameraInput, ReceivedImage
from streampetr_ros.ros.inputs.drop_report import DropReport
from streampetr_ros.ros.inputs.message_filters_sync import MessageFiltersSynchronizer
from streampetr_ros.ros.inputs.transforms import TransformInput
from streampetr_ros.ros.node.backend import open_configured_backend
from streampetr_ros.ros.node.processing import SetLabels, SetProcessor
from streampetr_ros.ros.outputs.autoware import autoware_messages
from streampetr_ros.ros.outputs.outputs import Outputs
from streampetr_ros.ros.problems import ProblemLog
from streampetr_ros.ros.worker import NewestWorker

Synchroniser = FrameSetSynchronizer[ReceivedImage] | MessageFiltersSynchronizer[ReceivedImage]

#: How often overdue cameras are looked for; wall time, because simulated time may stand still.
_POLL_S = 0.02


class DetectionSession:
    """A configured detector of one node.

    Executor callbacks enter images and transforms; the worker does everything else.

    Args:
        node: owner of topics and clock.
        parameters: all of them.
        problems: hears of what goes wrong.
        set_done: called by the worker after each frame set.

    Raises:
        ValueError: if parameters, weights or masks cannot be used; BackendError for the device.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: NodeParameters,
        problems: ProblemLog,
        set_done: Callable[[], None],
    ) -> None:
        self.parameters = parameters
        self.problems = problems
        self.cameras: dict[str, CameraInput] = {}
        self._node = node
        self._set_done = set_done
        self._settings = {camera.name: camera for camera in parameters.cameras.settings()}
        _check_topics(node, tuple(self._settings.values()), parameters.pose)
        autoware_messages(parameters.outputs.autoware)  # refused before the network is opened
        self._sync_config = parameters.sync_config()
        self._synchroniser = _make_synchroniser(self._sync_config, parameters.sync)
        self._drops = DropReport(problems)
        self._worker: NewestWorker[SyncedSet[ReceivedImage]] | None = None
        self._poll_timer: Timer | None = None
        self.backend = open_configured_backend(
            parameters.model, node.get_logger(), self._open_pipeline
        )
        with ExitStack() as opened:
            opened.callback(self.pipeline.close)
            self._open(parameters, opened)
            self._opened = opened.pop_all()

    def _open_pipeline(self, backend: Backend) -> None:
        """Make the pipeline and run it once, where that is wished; what fails leaves nothing."""
        with ExitStack() as unfinished:
            self.pipeline = StreamingPipeline(
                backend, pipeline_config(self.parameters), Rectifier()
            )
            unfinished.callback(self.pipeline.close)
            if self.parameters.model.warm_up:
                self.pipeline.warm_up(len(self._settings))
            unfinished.pop_all()

    def _open(self, parameters: NodeParameters, opened: ExitStack) -> None:
        """Make what must be closed, which is noted before the next step can fail."""
        self.transforms = TransformInput(self._node, parameters.pose, self.problems)
        opened.callback(self.transforms.close)
        class_names = self.backend.config.class_names
        self._outputs = Outputs(self._node, parameters, class_names, self.problems)
        opened.callback(self._outputs.close)
        self._assembler = FrameSetAssembler(
            self._settings,
            parameters.frames,
            CalibrationStore(self.cameras),
            self.transforms,
            parameters.cameras.decode_threads,
            self.pipeline.prepare_ahead,
        )
        opened.callback(self._assembler.close)
        self.processor = self._make_processor()
        self.apply(parameters)

    @property
    def is_running(self) -> bool:
        """Whether images are being taken in."""
        return self._worker is not None

    @property
    def overtaken(self) -> int:
        """Sets that gave way to newer ones since the start."""
        return 0 if self._worker is None else self._worker.overtaken

    def apply(self, parameters: NodeParameters) -> None:
        """Take over what may change at run time.

        Raises:
            ValueError: if thresholds do not fit the model's classes, or the masks file cannot be
                used; nothing has changed then.
        """
        config = pipeline_config(parameters)
        self.pipeline.retune(config.filters, config.policy, config.masks)
        self.processor.detection = parameters.detection
        self._outputs.apply(parameters)
        self._assembler.timeout_s = parameters.pose.timeout_s
        self.problems.period_s = parameters.diagnostics.log_period_s
        self.parameters = parameters

    def start(self) -> None:
        """Subscribe to the cameras and process what they send."""
        self._outputs.start()
        threads = self.parameters.model.threads
        self._worker = NewestWorker(self._process, threads)
        self._worker.start()
        for name, settings in self._settings.items():
            self.cameras[name] = CameraInput(
                self._node, settings, self.parameters.cameras, self._on_image, self.problems
            )
        self._poll_timer = self._node.create_timer(
            _POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._poll_timer.cancel()

    def stop(self) -> None:
        """Unsubscribe, finish the set in progress and forget the memory."""
        if self._poll_timer is not None:
            self._node.destroy_timer(self._poll_timer)
            self._poll_timer = None
        for camera in self.cameras.values():
            camera.close()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._outputs.stop()
        self.cameras.clear()
        self._synchroniser = _make_synchroniser(self._sync_config, self.parameters.sync)
        self._drops = DropReport(self.problems)
        self.pipeline.reset(ResetReason.DEACTIVATED)

    def close(self) -> None:
        """Stop, and give up everything; memory is free once nobody refers to the session."""
        self.stop()
        self._opened.close()

    def on_clock_jump(self) -> None:
        """Forget everything that is tied to the time before the jump."""
        self._synchroniser.restart("the clock jumped")
        if self._worker is not None:
            self._worker.discard()
        self.transforms.tree.clear()
        self.pipeline.reset(ResetReason.CLOCK_JUMP)

    def sync_statistics(self) -> SyncStatistics:
        """Take a snapshot of the synchroniser and log what it dropped since the last one."""
        statistics = self._synchroniser.statistics(self._now_ns())
        self._drops.update(
            statistics, {name: camera.image_topics for name, camera in self.cameras.items()}
        )
        return statistics

    def _process(self, found: SyncedSet[ReceivedImage]) -> None:
        self.processor.process(found)
        self._set_done()

    def _make_processor(self) -> SetProcessor:
        labels = SetLabels(
            model=self.backend.config.name,
            base_frame=self.parameters.frames.base,
            cameras=len(self._settings),
        )
        return SetProcessor(
            self._assembler, self.pipeline, self._outputs, self.problems, self._now_ns, labels
        )

    def _on_image(self, camera: str, received: ReceivedImage) -> None:
        stamp_ns = stamp_ns_from(received.message.header.stamp)
        # First of all: whatever follows passes while the image is decoded.
        self._begin_early(camera, stamp_ns, received)
        image = StampedImage(
            camera=camera,
            stamp_ns=stamp_ns,
            payload=received,
            fingerprint=fingerprint(received.message) if self._sync_config.frozen_after else None,
        )
        self._offer(self._synchroniser.add(image, self._now_ns()))
        self._poll_if_needed()

    def _begin_early(self, camera: str, stamp_ns: int, received: ReceivedImage) -> None:
        """Begin with an image unless its set would probably be overtaken or skipped."""
        is_behind = self._worker is None or self._worker.is_behind
        if not is_behind and self.processor.wants(stamp_ns):
            self._assembler.begin_early(camera, received)

    def _poll(self) -> None:
        deadline_ns = self._synchroniser.next_deadline_ns
        if deadline_ns is not None and self._now_ns() >= deadline_ns:
            self._offer(self._synchroniser.poll(self._now_ns()))
        self._poll_if_needed()

    def _poll_if_needed(self) -> None:
        """Let the timer run while a camera may become overdue; waking up costs CPU."""
        timer = self._poll_timer
        if timer is None:
            return
        needed = self._synchroniser.next_deadline_ns is not None
        if needed and timer.is_canceled():
            timer.reset()
        elif not needed:
            timer.cancel()

    def _offer(self, found: Sequence[SyncedSet[ReceivedImage]]) -> None:
        for each in found:
            if self._worker is not None:
                self._worker.offer(each)

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds


def _make_synchroniser(config: SyncConfig, parameters: SyncParameters) -> Synchroniser:
    if parameters.policy == "own":
        return FrameSetSynchronizer(config)
    return MessageFiltersSynchronizer(config, parameters)


def _check_topics(
    node: LifecycleNode, cameras: Sequence[CameraSettings], pose: PoseParameters
) -> None:
    """Refuse impossible topic names now instead of when they are subscribed to."""
    owners = {
        topic: f"of camera '{camera.name}'"
        for camera in cameras
        for topic in (camera.image_topic, camera.info_topic)
    }
    if pose.odometry:
        owners[pose.odometry] = "of parameter 'pose.odometry_topic'"
    for topic, owner in owners.items():
        try:
            node.resolve_topic_name(topic)
        except (NameValidationException, RuntimeError, ValueError) as error:
            reason = str(error).partition(", at ")[0]
            raise ParameterError(f"topic '{topic}' {owner} is no ROS name: {reason}") from error
