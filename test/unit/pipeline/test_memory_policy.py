"""Every reset rule, and what must not reset: reasons, order of sets, jitter, degraded sets."""

from dataclasses import replace

import numpy as np
import pytest
from rigs import driving_pose, frame_set, moved, rig, without
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.pipeline.memory_policy import (
    History,
    MemoryPolicyConfig,
    MemoryStatistics,
    ResetReason,
    StepPlan,
    advance,
    is_due,
    ordered_rig,
    plan_step,
    updated_statistics,
)

CONFIG = MemoryPolicyConfig(memory_interval_s=0.0)
SMALL = (40, 24)


def a_set(index: float, period: float = 0.5, pose=driving_pose, **changes):
    return replace(frame_set(index, period, pose, size=SMALL), **changes)


def run(sets, config=CONFIG, training_interval: float = 0.5) -> tuple[list[StepPlan], History]:
    history, plans = None, []
    for one in sets:
        plans.append(plan_step(history, one, config, training_interval))
        history = advance(history, one, plans[-1])
    assert history is not None
    return plans, history


def reasons(sets, config=CONFIG) -> list[str]:
    plans, _ = run(sets, config)
    return [plan.reset_reason.value if plan.reset_reason else "" for plan in plans]


def test_a_steady_drive_resets_once():
    assert reasons([a_set(i) for i in range(6)]) == ["first_frame", "", "", "", "", ""]


def test_plan_tells_the_motion_since_the_memory_was_written():
    plans, _ = run([a_set(0), a_set(1)])
    assert plans[0].previous is None
    earlier = a_set(0)
    assert plans[1].previous.stamp_ns == earlier.stamp_ns
    np.testing.assert_array_equal(
        plans[1].previous.fixed_from_model, earlier.fixed_from_base @ earlier.base_from_model
    )


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (a_set(1, sequence="another drive"), "sequence_change"),
        (a_set(-1), "backward_stamp"),
        (a_set(0), "backward_stamp"),
        (a_set(4.2), "gap"),
    ],
)
def test_breaks_in_the_stream(second, reason):
    assert reasons([a_set(0), second])[1] == reason


def test_relocalisation_is_a_pose_jump():
    jump = geometry.transform_from_parts([3.0, 1.0, 0.0], np.eye(3))
    drive = [a_set(i, 1 / 12) for i in range(4)]
    assert reasons([*drive, moved(a_set(4, 1 / 12), jump)])[4] == "pose_jump"


def test_turning_on_the_spot_by_half_a_turn_is_a_pose_jump():
    turned = a_set(1, 0.1)
    turned = moved(turned, geometry.transform_from_parts([0, 0, 0], geometry.rotation_about_z(3)))
    assert reasons([a_set(0, 0.1), turned])[1] == "pose_jump"


def test_teleporting_right_after_a_reset_is_a_pose_jump():
    far = geometry.transform_from_parts([100.0, 0.0, 0.0], np.eye(3))
    assert reasons([a_set(0), moved(a_set(1), far)])[1] == "pose_jump"


def test_hard_braking_and_sharp_turns_are_not():
    def braking(seconds: float) -> np.ndarray:
        seconds = min(seconds, 2.0)
        return geometry.transform_from_parts([20 * seconds - 5 * seconds**2, 0, 0], np.eye(3))

    def pivoting(seconds: float) -> np.ndarray:
        return geometry.transform_from_parts([0, 0, 0], geometry.rotation_about_z(2 * seconds))

    for pose in (braking, pivoting):
        assert reasons([a_set(i, 1 / 12, pose) for i in range(30)])[1:] == [""] * 29


def test_pose_noise_is_not_a_jump():
    rng = np.random.default_rng(0)
    noisy = [
        moved(
            a_set(i, 1 / 12),
            geometry.transform_from_parts(rng.normal(0, 0.05, 3), np.eye(3)),
        )
        for i in range(100)
    ]
    assert reasons(noisy)[1:] == [""] * 99


def with_front(one, **changes):
    front = one.cameras[0]
    front = replace(front, calibration=replace(front.calibration, **changes))
    return replace(one, cameras=(front, *one.cameras[1:]))


@pytest.mark.parametrize(
    "changes",
    [
        {"intrinsic": rig(SMALL)[0].intrinsic * [[1.5], [1.5], [1.0]]},
        {"base_from_camera": rig(SMALL)[1].base_from_camera},
        {"width": 41},
        {"name": "CAM_EXTRA"},
    ],
)
def test_changed_cameras_change_the_rig(changes):
    assert reasons([a_set(0), with_front(a_set(1), **changes)])[1] == "rig_change"


def test_moving_the_model_frame_changes_the_rig():
    assert reasons([a_set(0), a_set(1, base_from_model=np.eye(4))])[1] == "rig_change"
    mounting = a_set(0).base_from_model
    for metres, radians, is_new in ((0.4, 0.0, True), (0.0, 0.2, True), (0.2, 0.1, False)):
        change = geometry.transform_from_parts([metres, 0.0, 0.0], euler2mat(0.0, 0.0, radians))
        found = reasons([a_set(0), a_set(1, base_from_model=mounting @ change)])[1]
        assert (found == "rig_change") == is_new


def swaying(k: int, *, metres: float = 0.0, radians: float = 0.0, focal: float = 0.0):
    """Set k of a drive whose front camera has moved on by so much per set."""
    front = rig(SMALL)[0]
    change = geometry.transform_from_parts([k * metres, 0.0, 0.0], euler2mat(0, 0, k * radians))
    return with_front(
        a_set(k),
        base_from_camera=front.base_from_camera @ change,
        intrinsic=front.intrinsic * [[1 + k * focal], [1 + k * focal], [1.0]],
    )


@pytest.mark.parametrize("change", [{"metres": 0.2}, {"radians": 0.1}, {"focal": 0.05}])
def test_what_moves_continuously_is_the_same_rig(change):
    """A cab on its springs, a calibration that is made anew, a lens that breathes."""
    sets = [swaying(k, **change) for k in range(20)]
    plans, _ = run(sets)
    assert reasons(sets)[1:] == [""] * 19
    newest = sets[-1].cameras[0].calibration
    assert next(c for c in plans[-1].rig if c.name == newest.name) is newest


@pytest.mark.parametrize("change", [{"metres": 0.4}, {"radians": 0.2}, {"focal": 0.4}])
def test_a_jump_of_the_calibration_is_another_rig(change):
    assert reasons([swaying(0), swaying(1, **change)])[1] == "rig_change"


def test_lenses_may_be_calibrated_anew():
    bent = with_front(a_set(1), distortion_model="plumb_bob", distortion=np.full(5, 0.01))
    assert reasons([a_set(0), bent])[1] == ""


def test_a_missing_camera_is_neither_a_reset_nor_forgotten():
    sets = [a_set(0), without(a_set(1), "CAM_BACK"), a_set(2)]
    plans, _ = run(sets)
    assert reasons(sets)[1:] == ["", ""]
    assert len(plans[1].rig) == 6
    plans, _ = run([a_set(0), without(a_set(9), "CAM_BACK")])
    assert plans[1].reset_reason == ResetReason.GAP
    assert len(plans[1].rig) == 6


def test_another_rig_after_a_pause_leaves_no_ghosts():
    renamed = with_front(a_set(9), name="CAM_EXTRA")
    plans, _ = run([a_set(0), renamed])
    assert plans[1].reset_reason == ResetReason.GAP
    assert [camera.name for camera in plans[1].rig] == ["CAM_EXTRA", *[c.name for c in rig()[1:]]]


def test_a_requested_reset_wins():
    _, history = run([a_set(0)])
    plan = plan_step(history, a_set(1), CONFIG, 0.5, ResetReason.MANUAL)
    assert plan.reset_reason == ResetReason.MANUAL
    assert plan.previous is None


def test_a_plan_not_carried_out_leaves_no_trace():
    _, history = run([a_set(0), a_set(1)])
    plan_step(history, a_set(50), CONFIG, 0.5)
    plan = plan_step(history, a_set(2), CONFIG, 0.5)
    assert plan.reset_reason is None
    assert plan.previous.stamp_ns == a_set(1).stamp_ns


@pytest.mark.parametrize(("rate", "expected_every"), [(12, 6), (10, 5), (2, 1), (30, 15), (1.5, 1)])
def test_memory_is_written_at_the_interval_of_the_weights(rate, expected_every):
    config = MemoryPolicyConfig()
    plans, _ = run([a_set(i, 1 / rate) for i in range(40)], config, training_interval=0.5)
    written = [index for index, plan in enumerate(plans) if plan.writes_memory]
    assert written == list(range(0, 40, expected_every))
    assert sum(plan.reset_reason is not None for plan in plans) == 1


def test_between_writes_the_motion_is_counted_from_the_write():
    plans, _ = run([a_set(i, 0.1) for i in range(5)], MemoryPolicyConfig())
    assert {plan.previous.stamp_ns for plan in plans[1:]} == {a_set(0).stamp_ns}


def test_inference_interval_skips_sets_but_not_jittered_ones():
    config = MemoryPolicyConfig(inference_interval_s=0.2)
    _, history = run([a_set(0)], config)
    start = a_set(0).stamp_ns
    assert is_due(None, start, config)
    assert not is_due(history, start, config)
    assert not is_due(history, start + 100_000_000, config)
    assert is_due(history, start + 195_000_000, config)
    assert is_due(history, start - 1, config)
    # However often sets are wanted, one is never processed twice.
    assert not is_due(history, start, MemoryPolicyConfig())


def test_statistics_count():
    statistics, history = MemoryStatistics(), None
    config = MemoryPolicyConfig()
    for one in [a_set(i, 0.2) for i in range(4)] + [a_set(40, 0.2), a_set(41, 0.2)]:
        plan = plan_step(history, one, config, 0.5)
        history = advance(history, one, plan)
        statistics = updated_statistics(statistics, history, plan.reset_reason)
    assert statistics.steps == 6
    assert statistics.steps_since_reset == 2
    assert statistics.last_reset_reason == ResetReason.GAP
    assert statistics.resets == {ResetReason.FIRST_FRAME: 1, ResetReason.GAP: 1}
    assert statistics.interval == pytest.approx(0.2)
    assert statistics.memory_age == pytest.approx(0.2)


def test_history_keeps_no_images():
    _, history = run([a_set(0), a_set(1)])
    assert history.last.cameras == history.written.cameras == ()


def test_rig_order():
    names = ["CAM_BACK", "CAM_FRONT"]
    ordered = [camera.name for camera in ordered_rig(rig(SMALL), names)]
    assert ordered[:2] == names
    assert ordered[2:] == ["CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_gap_s": 0.0}, "max_gap_s must be above 0"),
        ({"pose_tolerance": -1.0}, "pose_tolerance must be a finite number"),
        ({"angle_tolerance": -1.0}, "angle_tolerance must be a finite number"),
        ({"max_speed": -1.0}, "max_speed must be a finite number"),
        ({"max_gap_s": float("nan")}, "max_gap_s must be a finite number"),
        ({"memory_interval_s": 3.0}, "must be below max_gap_s"),
        ({"inference_interval_s": 2.0}, "must be below max_gap_s"),
    ],
)
def test_configuration_is_checked(values, message):
    with pytest.raises(ValueError, match=message):
        MemoryPolicyConfig(**values)
