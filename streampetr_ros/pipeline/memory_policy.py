"""Decide when the object memory is dropped, when it is used and when it is replaced.

All rules live in `plan_step`, a pure function of what happened so far, the new frame set and the
configuration. A plan that is not followed by `advance` leaves no trace, so a frame set that fails
on the way neither ages nor clears the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.parameter import RUN, parameter
from streampetr_ros.core.types import CameraCalibration, FrameSet
from streampetr_ros.ingest.rig import RigTolerance, mounting_change, rig_changed
from streampetr_ros.preprocess.inputs import PreviousFrame


class ResetReason(str, Enum):
    """Why the memory was dropped."""

    FIRST_FRAME = "first_frame"
    SEQUENCE_CHANGE = "sequence_change"
    BACKWARD_STAMP = "backward_stamp"
    GAP = "gap"
    CLOCK_JUMP = "clock_jump"
    POSE_JUMP = "pose_jump"
    RIG_CHANGE = "rig_change"
    MANUAL = "manual"
    DEACTIVATED = "deactivated"

    @property
    def keeps_tracks(self) -> bool:
        """Whether objects that are followed outlive the memory.

        They live in the fixed frame: neither a gap, which the tracker judges by its own limit, nor
        other cameras change where they are. After all else that frame or its time is a new one.
        """
        return self in (ResetReason.GAP, ResetReason.RIG_CHANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPolicyConfig:
    """Limits of the streaming memory: the parameters ``memory.*``.

    Attributes:
        pose_tolerance: metres of pose noise allowed on top of what speed and acceleration explain.
        angle_tolerance: radians of pose noise allowed on top.
    """

    inference_interval_s: float = parameter(
        0.0,
        "Wanted time between processed frame sets, s; 0 processes all",
        between=(0.0, 60.0),
        changes=RUN,
    )
    memory_interval_s: float = parameter(
        -1.0,
        "Wanted time between sets that enter the memory, s; 0 all, -1 as the weights were trained",
        between=(-1.0, 60.0),
        changes=RUN,
    )
    max_gap_s: float = parameter(
        2.0,
        "Gap between sets beyond which the memory is dropped, s",
        between=(0.01, 600.0),
        changes=RUN,
    )
    max_speed: float = parameter(
        60.0, "Speed beyond which a pose counts as a jump, m/s", between=(0.1, 1000.0)
    )
    max_acceleration: float = parameter(
        20.0, "Acceleration beyond which a pose counts as a jump, m/s^2", between=(0.1, 1000.0)
    )
    max_turn_rate: float = parameter(
        3.0, "Turn rate beyond which a pose counts as a jump, rad/s", between=(0.01, 100.0)
    )
    max_camera_shift_m: float = parameter(
        0.3,
        "Shift of a camera or of the model frame between two sets beyond which the rig counts as "
        "another one, m; a cab on its springs stays below",
        between=(0.0, 100.0),
    )
    max_camera_turn: float = parameter(
        0.15, "Likewise for their directions, rad", between=(0.0, 4.0)
    )
    max_focal_change: float = parameter(
        0.1,
        "Likewise for focal lengths and principal points, in widths of the picture; lenses breathe",
        between=(0.0, 100.0),
    )
    pose_tolerance: float = 0.5
    angle_tolerance: float = 0.1

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not np.isfinite(value) or (value < 0 and name != "memory_interval_s"):
                raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
        for name in ("max_gap_s", "max_speed", "max_turn_rate"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} must be above 0, or every set would start afresh")
        for name in ("inference_interval_s", "memory_interval_s"):
            if getattr(self, name) >= self.max_gap_s:
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must be below max_gap_s ({self.max_gap_s}), "
                    "or the memory would be dropped before it is used"
                )

    def stored_every(self, training_interval: float) -> float:
        """Return the seconds wanted between sets that enter the memory.

        Args:
            training_interval: seconds between frames the weights were trained at.
        """
        return training_interval if self.memory_interval_s < 0 else self.memory_interval_s

    def check_interval(self, training_interval: float) -> None:
        """Refuse a memory that would be dropped before it is replaced.

        Args:
            training_interval: seconds between frames the weights were trained at.

        Raises:
            ValueError: saying what to change.
        """
        stored_every = self.stored_every(training_interval)
        if stored_every >= self.max_gap_s:
            raise ValueError(
                f"max_gap_s ({self.max_gap_s}) must be above the time between sets that enter the "
                f"memory, {stored_every} s as stored with the weights; give a shorter "
                "memory_interval_s as well, or a longer max_gap_s"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """What the policy remembers of the sets processed since the last reset.

    Attributes:
        last: set processed last.
        written: set whose memory is kept; the network is told the motion since then.
        rig: all cameras known, in the order they are fed.
        step_seconds: seconds between the last two sets; 0 after a reset.
        velocity_fixed: (3,) vehicle velocity in the fixed frame, m/s; None after a reset.
        steps: sets processed since the last reset.
    """

    last: FrameSet
    written: FrameSet
    rig: tuple[CameraCalibration, ...]
    step_seconds: float = 0.0
    velocity_fixed: Array | None = None
    steps: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepPlan:
    """What to do with one frame set.

    Attributes:
        reset_reason: why the memory is dropped first; None continues it.
        previous: frame that wrote the memory; None when it is dropped.
        writes_memory: whether the memory this set produces replaces the kept one.
        rig: all cameras known, in the order they are fed.
    """

    reset_reason: ResetReason | None
    previous: PreviousFrame | None
    writes_memory: bool
    rig: tuple[CameraCalibration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStatistics:
    """State of the memory for diagnostics.

    Attributes:
        steps: sets processed so far.
        steps_since_reset: sets processed since the last reset.
        last_reset_reason: reason of the last reset; None before the first set.
        resets: count per reason.
        interval: seconds between the last two sets; 0 after a reset.
        memory_age: seconds between the last set and the set that wrote the kept memory.
    """

    steps: int = 0
    steps_since_reset: int = 0
    last_reset_reason: ResetReason | None = None
    resets: Mapping[ResetReason, int] = field(default_factory=dict)
    interval: float = 0.0
    memory_age: float = 0.0


def is_due(history: History | None, stamp_ns: int, config: MemoryPolicyConfig) -> bool:
    """Tell whether a set of this stamp should be processed, before its images are decoded.

    Args:
        history: what happened so far.
        stamp_ns: reference time of the set.
        config: `inference_interval` decides, with a tenth of slack for jitter.
    """
    if history is None:
        return True
    elapsed = (stamp_ns - history.last.stamp_ns) * 1e-9
    return elapsed < 0 or (elapsed > 0 and elapsed >= 0.9 * config.inference_interval_s)


def plan_step(
    history: History | None,
    frame_set: FrameSet,
    config: MemoryPolicyConfig,
    training_interval: float,
    requested: ResetReason | None = None,
) -> StepPlan:
    """Decide what to do with a frame set.

    Args:
        history: what happened so far; None before the first set and after a reset.
        frame_set: the new set.
        config: limits.
        training_interval: seconds between frames the weights were trained at.
        requested: reset asked for from outside since the last set.
    """
    reason = requested or _reset_reason(history, frame_set, config)
    if reason is not None or history is None:
        return StepPlan(
            reset_reason=reason or ResetReason.FIRST_FRAME,
            previous=None,
            writes_memory=True,
            rig=_fresh_rig(history, frame_set, config),
        )
    # The set nearest to the wanted interval is stored, whatever the rate of the cameras.
    half_step = 0.5 * _seconds_since(history.last, frame_set)
    stored_after = _seconds_since(history.written, frame_set) + half_step
    return StepPlan(
        reset_reason=None,
        previous=PreviousFrame.of(history.written),
        writes_memory=stored_after >= config.stored_every(training_interval),
        rig=_as_of_now(history.rig, frame_set),
    )


def advance(history: History | None, frame_set: FrameSet, plan: StepPlan) -> History:
    """Remember that a plan was carried out.

    Args:
        history: what `plan` was made from.
        frame_set: the set processed; its images are not kept.
        plan: what was done.
    """
    now = replace(frame_set, cameras=(), truth=None)
    if history is None or plan.reset_reason is not None:
        return History(last=now, written=now, rig=plan.rig)
    elapsed = _seconds_since(history.last, now)
    return History(
        last=now,
        written=now if plan.writes_memory else history.written,
        rig=plan.rig,
        step_seconds=elapsed,
        velocity_fixed=(now.fixed_from_base - history.last.fixed_from_base)[:3, 3] / elapsed,
        steps=history.steps + 1,
    )


def updated_statistics(
    before: MemoryStatistics, history: History, reset_reason: ResetReason | None
) -> MemoryStatistics:
    """Count one processed set.

    Args:
        before: statistics up to the set before.
        history: after the set.
        reset_reason: of the set's plan.
    """
    resets = dict(before.resets)
    if reset_reason is not None:
        resets[reset_reason] = resets.get(reset_reason, 0) + 1
    return MemoryStatistics(
        steps=before.steps + 1,
        steps_since_reset=history.steps,
        last_reset_reason=reset_reason or before.last_reset_reason,
        resets=resets,
        interval=history.step_seconds,
        memory_age=_seconds_since(history.written, history.last),
    )


def _reset_reason(
    history: History | None, frame_set: FrameSet, config: MemoryPolicyConfig
) -> ResetReason | None:
    if history is None:
        return ResetReason.FIRST_FRAME
    if frame_set.sequence != history.last.sequence:
        return ResetReason.SEQUENCE_CHANGE
    if frame_set.stamp_ns <= history.last.stamp_ns:
        return ResetReason.BACKWARD_STAMP
    if _seconds_since(history.written, frame_set) > config.max_gap_s:
        return ResetReason.GAP
    if _is_other_rig(history, frame_set, config):
        return ResetReason.RIG_CHANGE
    return ResetReason.POSE_JUMP if _pose_jumped(history, frame_set, config) else None


def _pose_jumped(history: History, frame_set: FrameSet, config: MemoryPolicyConfig) -> bool:
    """Detect motion no vehicle makes, such as a relocalisation of the fixed frame."""
    elapsed = _seconds_since(history.last, frame_set)
    displacement = (frame_set.fixed_from_base - history.last.fixed_from_base)[:3, 3]
    last_from_now = geometry.inverse(history.last.fixed_from_base) @ frame_set.fixed_from_base
    turned = geometry.rotation_angle(last_from_now)
    if turned > config.max_turn_rate * elapsed + config.angle_tolerance:
        return True
    if np.linalg.norm(displacement) > config.max_speed * elapsed + config.pose_tolerance:
        return True
    if history.velocity_fixed is None:
        return False
    surprise = np.linalg.norm(displacement - history.velocity_fixed * elapsed)
    # Both velocities are means over their steps, so half of each step adds to the time between.
    possible = 0.5 * config.max_acceleration * elapsed * (elapsed + history.step_seconds)
    return bool(surprise > possible + config.pose_tolerance)


def _is_other_rig(history: History, frame_set: FrameSet, config: MemoryPolicyConfig) -> bool:
    """Detect new cameras, and jumps of calibrations and of the model frame.

    Memory lives in the model frame: a camera that moves a little sees the same objects.
    """
    tolerance = RigTolerance(
        widths=config.max_focal_change,
        coefficients=np.inf,
        metres=config.max_camera_shift_m,
        radians=config.max_camera_turn,
    )
    models = history.last.base_from_model, frame_set.base_from_model
    calibrations = [frame.calibration for frame in frame_set.cameras]
    known = {camera.name for camera in history.rig}
    if not {camera.name for camera in calibrations} <= known:
        return True
    return (
        rig_changed(history.rig, calibrations, tolerance) is not None
        or mounting_change(*models, tolerance) is not None
    )


def _as_of_now(
    rig: tuple[CameraCalibration, ...], frame_set: FrameSet
) -> tuple[CameraCalibration, ...]:
    """Give the cameras of a set their newest calibrations, so that small changes never add up."""
    now = {frame.calibration.name: frame.calibration for frame in frame_set.cameras}
    return tuple(now.get(camera.name, camera) for camera in rig)


def _fresh_rig(
    history: History | None, frame_set: FrameSet, config: MemoryPolicyConfig
) -> tuple[CameraCalibration, ...]:
    """Start a rig from the set; a reset alone does not forget cameras that are silent now."""
    seen = {frame.calibration.name: frame.calibration for frame in frame_set.cameras}
    if (
        history is None
        or frame_set.sequence != history.last.sequence
        or _is_other_rig(history, frame_set, config)
    ):
        return tuple(seen.values())
    return _as_of_now(history.rig, frame_set)


def ordered_rig(
    rig: Sequence[CameraCalibration], names: Sequence[str]
) -> tuple[CameraCalibration, ...]:
    """Sort cameras by a list of names; unlisted ones follow in their own order."""
    rank = {name: index for index, name in enumerate(names)}
    return tuple(sorted(rig, key=lambda camera: rank.get(camera.name, len(rank))))


def _seconds_since(earlier: FrameSet, later: FrameSet) -> float:
    return (later.stamp_ns - earlier.stamp_ns) * 1e-9
