"""Health of the node as diagnostic_msgs, from snapshots; pure functions without a node."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from streampetr_ros.core.problems import Problem
from streampetr_ros.ingest.sync.types import CameraStatistics, SyncStatistics
from streampetr_ros.parameters.node import DiagnosticsParameters
from streampetr_ros.pipeline.memory_policy import MemoryStatistics
from streampetr_ros.ros.inputs.camera_input import CameraInput
from streampetr_ros.ros.node.outcome import Verdict
from streampetr_ros.ros.node.processing import ProcessingStatistics

#: A clock published now and then may be behind the stamps of new images by so much, seconds.
_BEHIND_S = 0.5
#: Transforms come many times per second; where none does for longer, something is wrong, seconds.
_SILENT_S = 2.0
#: Who finds images older than this plays a recording against the present time, seconds.
_OTHER_TIME_S = 3600.0

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def status(
    name: str, level: bytes, message: str, values: Mapping[str, object] | None = None
) -> DiagnosticStatus:
    """Return one status; values are written as text."""
    pairs = [KeyValue(key=key, value=_text(value)) for key, value in (values or {}).items()]
    return DiagnosticStatus(name=name, level=level, message=message, values=pairs)


def camera_status(
    known: CameraStatistics, camera: CameraInput, now_ns: int, limits: DiagnosticsParameters
) -> DiagnosticStatus:
    """Judge one camera by what the synchroniser knows of it and by its topics."""
    stamp_ns, info = known.last_stamp_ns, camera.info
    # Simulated time is 0 until the first /clock.
    age_s = None if stamp_ns is None or now_ns == 0 else (now_ns - stamp_ns) * 1e-9
    level, message = _camera_state(known, camera, age_s, limits)
    return status(
        f"camera {known.name}",
        level,
        message,
        {
            "topic": camera.image_topics,
            "age s": age_s,
            "rate Hz": known.rate_hz,
            "lag ms": None if known.lag_ns is None else known.lag_ns * 1e-6,
            "offset in cycle ms": known.offset_ns * 1e-6,
            "received": known.received,
            "used": known.used,
            "reordered": known.reordered,
            "resolution": "" if info is None else f"{info.width} x {info.height}",
            **{
                f"dropped: {reason.value}": count
                for reason, count in known.dropped.items()
                if count
            },
        },
    )


def _camera_state(
    known: CameraStatistics,
    camera: CameraInput,
    age_s: float | None,
    limits: DiagnosticsParameters,
) -> tuple[bytes, str]:
    if camera.mismatch and not known.received:
        return ERROR, f"a publisher offers an incompatible QoS ({camera.mismatch})"
    if known.last_stamp_ns is None:
        return WARN, "; ".join(known.problems) or "waiting for the first image"
    if camera.info is None:
        return WARN, "waiting for CameraInfo"
    if age_s is not None and age_s > limits.max_image_age_s:
        return ERROR, f"stale: newest image is {_old(age_s)}"
    if known.problems:
        return WARN, "; ".join(known.problems)
    ahead_s = 0.0 if age_s is None else -age_s
    return (WARN, _ahead(ahead_s)) if ahead_s > _BEHIND_S else (OK, "active")


def outcome_status(verdict: Verdict) -> DiagnosticStatus:
    """Tell whether results come out."""
    level = ERROR if verdict.is_error else WARN if verdict.is_warning else OK
    return status("outcome", level, verdict.message, {"seconds without result": verdict.silent_s})


def sync_status(
    sync: SyncStatistics, overtaken: int, problems: Mapping[Problem, int], verdict: Verdict
) -> DiagnosticStatus:
    """Judge the synchroniser and tell what became of the sets."""
    idle = "no frame set leads to a result" if verdict.silent_s else ""
    return status(
        "synchroniser",
        WARN if sync.waiting_for or idle else OK,
        sync.waiting_for or idle or "frame sets form",
        {
            "complete sets": sync.complete,
            "degraded sets": sync.degraded,
            "overtaken sets": overtaken,
            "period ms": None if sync.period_ns is None else sync.period_ns * 1e-6,
            "window ms": sync.window_ns * 1e-6,
            "restarts": sync.restarts,
            "last restart": sync.last_restart,
            **{
                f"dropped: {reason.value}": count for reason, count in sync.dropped.items() if count
            },
            **{f"problem: {kind.value}": count for kind, count in problems.items()},
        },
    )


def transform_status(received: int, restarts: int, silent_s: float) -> DiagnosticStatus:
    """Judge the transforms.

    Args:
        received: so far.
        restarts: how often their stamps jumped back.
        silent_s: since the last one.
    """
    message = "arriving"
    if silent_s > _SILENT_S:
        message = f"none for {silent_s:.1f} s; check the publisher of /tf or of the odometry"
    if received == 0:
        message = "none has arrived; check the publishers of /tf and /tf_static"
    return status(
        "transforms",
        OK if message == "arriving" else WARN,
        message,
        {"received": received, "restarts": restarts},
    )


def memory_status(memory: MemoryStatistics) -> DiagnosticStatus:
    """Tell the state of the object memory."""
    reason = memory.last_reset_reason
    return status(
        "memory",
        OK,
        f"{memory.steps_since_reset} frame sets since the last reset",
        {
            "frames": memory.steps,
            "frames since reset": memory.steps_since_reset,
            "last reset": "" if reason is None else reason.value,
            "interval s": memory.interval,
            "memory age s": memory.memory_age,
            **{f"resets: {kind.value}": count for kind, count in memory.resets.items()},
        },
    )


def latency_status(
    processing: ProcessingStatistics,
    limits: DiagnosticsParameters,
    gpu_mb: Mapping[str, float | None],
    silent_s: float,
) -> DiagnosticStatus:
    """Judge how long frame sets take, and tell the memory of the GPU, see `gpu_memory`.

    Where there are none, `silent_s` says for how long.
    """
    level, message = _latency_state(processing.age_s, limits)
    if level == OK and silent_s:
        level, message = WARN, f"no result for {silent_s:.1f} s"
    stages: dict[str, object] = {}
    for stage, (p50_ms, p99_ms) in processing.latencies_ms.items():
        stages |= {f"{stage} p50 ms": p50_ms, f"{stage} p99 ms": p99_ms}
    return status(
        "latency",
        level,
        message,
        {
            "published sets": processing.processed,
            "age at publication ms": None if processing.age_s is None else processing.age_s * 1e3,
            **stages,
            **{f"GPU memory {name} MB": amount for name, amount in gpu_mb.items()},
        },
    )


def _latency_state(age_s: float | None, limits: DiagnosticsParameters) -> tuple[bytes, str]:
    if age_s is None:
        return OK, "no result whose age is known"
    if age_s > limits.max_latency_s:
        return WARN, f"results are {_old(age_s)} when published"
    return (WARN, _ahead(age_s)) if age_s < -_BEHIND_S else (OK, "in time")


def _old(age_s: float) -> str:
    """Write an age, and what to do about one that cannot be."""
    if age_s < _OTHER_TIME_S:
        return f"{age_s:.2f} s old"
    return (
        f"{age_s:.0f} s old by the node's clock; synchronise the clock of the cameras, or play a "
        "recording with /clock and set use_sim_time"
    )


def _ahead(ahead_s: float) -> str:
    return (
        f"stamps are {ahead_s:.2f} s ahead of the node's clock; synchronise the clocks of cameras "
        "and node"
    )


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
