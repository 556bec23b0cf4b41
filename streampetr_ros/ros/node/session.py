"""Everything that exists between configure and cleanup: network, inputs, outputs, worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rclpy.lifecycle import LifecycleNode

from streampetr_ros.backends.base import Backend
from streampetr_ros.core.problems import ProblemLog
from streampetr_ros.ingest.sync.types import SyncedSet
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.settings import pipeline_config
from streampetr_ros.pipeline.memory_policy import ResetReason
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.ros.inputs.camera_input import ReceivedImage
from streampetr_ros.ros.inputs.inputs import Inputs
from streampetr_ros.ros.node.backend import open_configured_backend
from streampetr_ros.ros.node.processing import SetProcessor
from streampetr_ros.ros.outputs.autoware import autoware_messages
from streampetr_ros.ros.outputs.outputs import Outputs
from streampetr_ros.ros.worker import NewestWorker


class DetectionSession:
    """A configured detector of one node.

    Executor callbacks enter images and transforms; the worker does everything else.

    Args:
        node: owner of topics and clock.
        parameters: all of them.
        problems: hears of what goes wrong.
        set_done: called by the worker after each frame set.

    Attributes:
        parameters: the present ones.
        problems: as given.
        inputs: what is taken in.
        backend: runs the network.
        pipeline: finds boxes.
        processor: what the worker does.

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
        self._worker: NewestWorker[SyncedSet[ReceivedImage]] | None = None
        # What must be closed is noted before the next step can fail.
        with ExitStack() as opened:
            autoware_messages(parameters.outputs.autoware)  # refused before the network is opened
            self.inputs = Inputs(node, parameters, problems)
            opened.callback(self.inputs.close)
            self.backend = open_configured_backend(
                parameters.model, node.get_logger(), self._open_pipeline
            )
            opened.callback(self.pipeline.close)
            class_names = self.backend.config.class_names
            self._outputs = Outputs(node, parameters, class_names, problems)
            opened.callback(self._outputs.close)
            self.processor = SetProcessor(
                parameters, self.inputs, self.pipeline, self._outputs, problems, set_done
            )
            self.apply(parameters)
            self._opened = opened.pop_all()

    def _open_pipeline(self, backend: Backend) -> None:
        """Make the pipeline and run it once, where that is wished; what fails leaves nothing."""
        with ExitStack() as unfinished:
            self.pipeline = StreamingPipeline(backend, pipeline_config(self.parameters))
            unfinished.callback(self.pipeline.close)
            if self.parameters.model.warm_up:
                self.pipeline.warm_up(len(self.parameters.cameras.names))
            unfinished.pop_all()

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
        self._outputs.apply(parameters)
        self.inputs.assembler.patience_s = parameters.pose.timeout_s
        self.problems.period_s = parameters.diagnostics.log_period_s
        self.parameters = self.processor.parameters = parameters

    def start(self) -> None:
        """Subscribe to the cameras and process what they send."""
        self._outputs.start()
        threads = self.parameters.model.threads
        worker = self._worker = NewestWorker(self.processor.process, threads)
        worker.start()
        # An image whose set would be overtaken or skipped is not begun with.
        self.inputs.start(
            worker.offer,
            lambda stamp: not worker.is_behind and self.processor.wants(stamp),
            self.pipeline.prepare_ahead,
        )

    def stop(self) -> None:
        """Unsubscribe, finish the set in progress and forget the memory."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self.inputs.stop()
        self._outputs.stop()
        self.pipeline.reset(ResetReason.DEACTIVATED)

    def close(self) -> None:
        """Stop, and give up everything; memory is free once nobody refers to the session."""
        self.stop()
        self._opened.close()

    def on_clock_jump(self) -> None:
        """Forget everything that is tied to the time before the jump."""
        self.inputs.restart("the clock jumped")
        if self._worker is not None:
            self._worker.discard()
        self.pipeline.reset(ResetReason.CLOCK_JUMP)
