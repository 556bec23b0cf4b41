"""The detector as a lifecycle node: wiring only, the work is done by `DetectionSession`."""

from __future__ import annotations

import gc

import torch
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer
from std_srvs.srv import Trigger

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.problems import Problem, ProblemLog
from streampetr_ros.core.threads import keep_linear_algebra_in_one_thread
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.pipeline.memory_policy import ResetReason
from streampetr_ros.preprocess.image import exact_resizer
from streampetr_ros.ros.executor import StreamExecutor
from streampetr_ros.ros.node.backend import readiness
from streampetr_ros.ros.node.health import HealthPublisher
from streampetr_ros.ros.node.parameter_server import ParameterServer
from streampetr_ros.ros.node.session import DetectionSession
from streampetr_ros.ros.node.transitions import refuse_impossible_transitions
from streampetr_ros.ros.signals import ros_until_signal

#: Simulated time may step back by so much without being another time, seconds.
_CLOCK_JITTER_S = 0.1

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class StreamPetrNode(LifecycleNode):
    """Six cameras and TF in, boxes out.

    configure loads the network and listens to TF; activate subscribes to the cameras; deactivate
    stops and empties the memory; cleanup frees everything. A configuration that cannot be used
    leaves the node unconfigured and alive.
    """

    def __init__(self) -> None:
        super().__init__("streampetr")
        self._session: DetectionSession | None = None
        self._parameter_server = ParameterServer(self, self._is_configured, self._apply)
        self._problems = ProblemLog(self.get_logger().warning)
        self._health = HealthPublisher(self, lambda: self._session)
        self._reset_service = self.create_service(Trigger, "~/reset", self._on_reset)
        self._jumps = self.get_clock().create_jump_callback(
            # A jump ahead is a gap like any other, which stamps show better than clocks.
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=self._on_clock_jump,
        )
        refuse_impossible_transitions(self)
        self._autostart: Timer | None = None
        if self.get_parameter("autostart").value:
            self._autostart = self.create_timer(
                0.0, self._start, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read parameters, load the network, listen to TF."""
        try:
            parameters = self._parameter_server.read()
            self._session = DetectionSession(
                self, parameters, self._problems, self._health.set_done
            )
        except (UserError, ValueError, OSError, RuntimeError) as error:
            self._health.fault = str(error)
            self.get_logger().error(f"cannot configure: {error}")
        except Exception as error:
            # rclpy says nothing about what it catches.
            self._health.fault = f"a mistake in this program: {error!r}"
            self.get_logger().error(f"cannot configure, by {self._health.fault}")
            raise
        if self._session is None:
            _free_memory()
            return FAILURE
        self._health.fault = ""
        self._health.set_period(parameters.diagnostics.period_s)
        # Torch alone leaves some hundred thousand objects; looking through them takes the garbage
        # collector tens of milliseconds, in the middle of a frame set.
        gc.collect()
        gc.freeze()
        backend = self._session.backend
        self.get_logger().info(
            f"configured {backend.config.name}, {backend.name}; exact resize by {exact_resizer()}"
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras."""
        result = super().on_activate(state)
        if self._session is not None:
            self._session.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and empty the memory."""
        if self._session is not None:
            self._session.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        self.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured again."""
        self.close()
        # A configuration that failed for a reason nobody foresaw has left a part of a session.
        _free_memory()
        return SUCCESS

    @property
    def builds_only(self) -> bool:
        """Whether the node is to end after configuring."""
        return bool(self.get_parameter("model.build_only").value)

    def build(self) -> bool:
        """Configure, which builds engines, and say which are ready.

        Returns:
            Whether that succeeded; the reason why not is in the log.
        """
        self.trigger_configure()
        if self._session is None:
            return False
        self.get_logger().info(readiness(self._session.backend))
        return True

    def close(self) -> None:
        """Stop the worker and free network and topics."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
            del session
            gc.unfreeze()
            _free_memory()

    def _start(self) -> None:
        """Configure and activate once, as soon as the executor runs."""
        if self._autostart is not None:
            self.destroy_timer(self._autostart)
            self._autostart = None
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _is_configured(self) -> bool:
        return self._session is not None

    def _apply(self, parameters: NodeParameters) -> None:
        if self._session is not None:
            self._session.apply(parameters)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._session is not None
        if self._session is not None:
            self._session.pipeline.reset(ResetReason.MANUAL)
            response.message = "the memory is emptied before the next frame set"
        else:
            response.message = "the node is not configured, there is no memory to empty"
        return response

    def _on_clock_jump(self, jump: TimeJump) -> None:
        back_s = -jump.delta.nanoseconds * 1e-9
        if jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE and back_s < _CLOCK_JITTER_S:
            self._problems.report(Problem.CLOCK, "/clock", self._stepped_back(back_s))
        elif self._session is not None:
            self.get_logger().warning("the clock jumped; memory, images and transforms are dropped")
            self._session.on_clock_jump()

    def _stepped_back(self, back_s: float) -> str:
        count = self.count_publishers("/clock")
        cause = f"{count} publishers share the topic, stop all but one"
        return f"/clock steps back by {back_s * 1e3:.6g} ms now and then; " + (
            cause if count > 1 else "its publisher should send times in their order"
        )


def _free_memory() -> None:
    """Let go of networks that nobody uses, on the GPU as well."""
    # What holds them refers to itself, by callbacks for instance.
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def main(arguments: list[str] | None = None) -> None:
    """Run the node until it is told to stop; SIGINT and SIGTERM end it cleanly.

    Raises:
        SystemExit: with code 1 if the node was only to build engines and could not, or was ended
            before it knew what to do.
    """
    keep_linear_algebra_in_one_thread()
    with ros_until_signal(arguments):
        _run()


def _run() -> None:
    try:
        node = StreamPetrNode()
    except KeyboardInterrupt as error:
        # Whoever waits for engines must not take this for a finished build.
        raise SystemExit("ended before the node had begun") from error
    try:
        if node.builds_only:
            _build(node)
        else:
            _spin(node)
    finally:
        node.close()
        node.destroy_node()


def _build(node: StreamPetrNode) -> None:
    try:
        is_ready = node.build()
    except (KeyboardInterrupt, RuntimeError) as error:
        # Whoever waits for engines must not take an interrupted build for a finished one.
        raise SystemExit(f"ended before everything was built: {error!r}") from error
    if not is_ready:
        raise SystemExit(1)


def _spin(node: StreamPetrNode) -> None:
    executor = StreamExecutor()
    executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
