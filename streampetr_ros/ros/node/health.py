"""Publishes the health of the node, whatever its state and whether or not anybody listens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from streampetr_ros.core.problems import Problem
from streampetr_ros.pipeline.memory_policy import ResetReason
from streampetr_ros.ros import qos
from streampetr_ros.ros.node import diagnostics
from streampetr_ros.ros.node.outcome import NodeProgress, OutcomeJudge, Verdict
from streampetr_ros.ros.node.session import DetectionSession

#: After activation cameras may take so long before their silence is said, seconds.
_SILENCE_S = 4.0
#: Restarts of the memory that nothing is wrong with.
_WANTED_RESTARTS = (
    ResetReason.FIRST_FRAME,
    ResetReason.MANUAL,
    ResetReason.DEACTIVATED,
    ResetReason.CLOCK_JUMP,
    ResetReason.SEQUENCE_CHANGE,
)


class HealthPublisher:
    """Publishes ``/diagnostics`` by wall time, also while simulated time stands still.

    Where frame sets come often, it is published just after one instead of in the middle of the
    next, which it would hold up: only one thread of Python runs at a time.

    Args:
        node: owner.
        session: returns the present session, None while unconfigured.

    Attributes:
        fault: why the node could not be configured; empty if nothing is wrong.
    """

    def __init__(self, node: LifecycleNode, session: Callable[[], DetectionSession | None]) -> None:
        self.fault = ""
        self._node = node
        self._session = session
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.outputs())
        self._wall_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._is_due = False
        self._last_set_s = -math.inf
        self._outcome: OutcomeJudge | None = None
        self._active_s = 0.0
        self._quiet = node.create_guard_condition(self._publish_if_due)
        self.set_period(1.0)

    def set_period(self, period_s: float) -> None:
        """Publish every so many seconds."""
        timer = getattr(self, "_timer", None)
        if timer is not None:
            self._node.destroy_timer(timer)
        self._period_s = period_s
        self._timer = self._node.create_timer(period_s, self.on_time, clock=self._wall_clock)

    def set_done(self) -> None:
        """Note that a frame set has just been done; any thread may say so."""
        self._last_set_s = time.monotonic()
        if self._is_due:
            self._quiet.trigger()

    def on_time(self) -> None:
        """Publish now, or after the frame set that is expected; what is due twice does not wait."""
        sets_come = time.monotonic() - self._last_set_s < self._period_s
        if sets_come and not self._is_due:
            self._is_due = True
        else:
            self.publish()

    def _publish_if_due(self) -> None:
        if self._is_due:
            self.publish()

    def publish(self) -> None:
        """Publish once."""
        self._is_due = False
        session = self._session()
        statuses = (
            [] if session is None else _session_statuses(session, self._node, self._judge(session))
        )
        statuses.insert(0, self._node_status(session))
        for each in statuses:
            each.name = f"{self._node.get_name()}: {each.name}"
            each.hardware_id = self._node.get_fully_qualified_name()
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _judge(self, session: DetectionSession) -> Verdict:
        """Judge the results since activation."""
        now = _progress(session, self._node)
        if not session.is_running:
            self._outcome = None
            return Verdict(False, False, "inactive")
        if self._outcome is None:
            self._outcome = OutcomeJudge(now)
            self._active_s = now.time_s
        if now.time_s - self._active_s > _SILENCE_S:
            for camera in session.inputs.cameras.values():
                if camera.received == 0:
                    camera.report_silence()
        return self._outcome.judge(now)

    def _node_status(self, session: DetectionSession | None) -> DiagnosticStatus:
        if session is None:
            message = self.fault or "unconfigured"
            level = diagnostics.ERROR if self.fault else diagnostics.WARN
            return diagnostics.status("node", level, message)
        simulated = self._node.get_parameter("use_sim_time").value
        if simulated and self._node.get_clock().now().nanoseconds == 0:
            message = "use_sim_time is set but /clock has not been published"
            return diagnostics.status("node", diagnostics.WARN, message)
        return diagnostics.status(
            "node",
            diagnostics.OK,
            "active" if session.is_running else "inactive",
            {"model": session.backend.config.name, "backend": session.backend.name},
        )


def _progress(session: DetectionSession, node: LifecycleNode) -> NodeProgress:
    sync, problems = session.inputs.statistics(), session.problems.counts()
    memory = session.pipeline.statistics
    return NodeProgress(
        time_s=time.monotonic(),
        node_ns=node.get_clock().now().nanoseconds,
        images=sum(camera.received for camera in session.inputs.cameras.values()),
        sets=sync.complete + sync.degraded,
        results=session.processor.processed,
        left_out=sum(problems.get(kind, 0) for kind in (Problem.NOT_DUE, Problem.NO_LISTENER)),
        restarts=sum(
            count for reason, count in memory.resets.items() if reason not in _WANTED_RESTARTS
        ),
        transforms=session.inputs.transforms.received,
        period_s=(sync.period_ns or 0) * 1e-9,
        busy_s=session.processor.busy_s,
        waiting_for=sync.waiting_for,
        reason=session.problems.last,
    )


def _session_statuses(
    session: DetectionSession, node: LifecycleNode, verdict: Verdict
) -> list[DiagnosticStatus]:
    limits = session.parameters.diagnostics
    now_ns = node.get_clock().now().nanoseconds
    sync = session.inputs.statistics()
    cameras, transforms = session.inputs.cameras, session.inputs.transforms
    statuses = [
        diagnostics.camera_status(c, cameras[c.name], now_ns, limits)
        for c in sync.cameras
        if c.name in cameras
    ]
    if session.is_running:
        problems = session.problems.counts()
        statuses.append(diagnostics.sync_status(sync, session.overtaken, problems, verdict))
        statuses.append(diagnostics.outcome_status(verdict))
    statuses.append(
        diagnostics.transform_status(
            transforms.received, transforms.tree.restarts, verdict.transforms_silent_s
        )
    )
    statuses.append(diagnostics.memory_status(session.pipeline.statistics))
    memory = gpu_memory(session.pipeline.backend.image_device)
    statuses.append(
        diagnostics.latency_status(session.processor.statistics(), limits, memory, verdict.silent_s)
    )
    return statuses


def gpu_memory(device: torch.device) -> dict[str, float | None]:
    """Measure the memory of a device in MB; None for a CPU, and for a GPU that does not answer.

    Returns:
        "held" by the tensors of this process, without what an engine allocates by itself, "used" by
        all processes, and the "total" that there is.
    """
    unknown = dict.fromkeys(("held", "used", "total"))
    if device.type != "cuda":
        return unknown
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:
        # After an error of the GPU every call fails; each frame set says so, and this must not end
        # the program before somebody reads it.
        return unknown
    held = torch.cuda.memory_allocated(device)
    return {"held": held / 1e6, "used": (total - free) / 1e6, "total": total / 1e6}
