"""One judgement of the outcome: what each way of going silent is called, and what is no fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from streampetr_ros.ros.node.outcome import NodeProgress, OutcomeJudge, Verdict

PERIOD_S = 0.1
NOW = NodeProgress(time_s=100.0, node_ns=1, period_s=PERIOD_S)


def after(
    seconds: float, begin: NodeProgress = NOW, **rates: float
) -> tuple[Verdict, NodeProgress]:
    """Let time pass, counts growing by so much per second, and judge every half second."""
    outcome, now = OutcomeJudge(begin), begin
    rates = {"node_ns": 1e9, "transforms": 50, **rates}
    for step in range(1, round(seconds / 0.5) + 1):
        grown = {name: round(rate * step * 0.5) for name, rate in rates.items()}
        now = replace(begin, time_s=begin.time_s + step * 0.5, **grown)
        verdict = outcome.judge(now)
    return verdict, now


GOOD = {"images": 60, "sets": 10, "results": 10}


def test_results_that_come_are_well() -> None:
    verdict, _ = after(20.0, **GOOD)
    assert (verdict.is_error, verdict.is_warning) == (False, False)
    assert verdict.message == "100 results in the last 10 s"
    assert verdict.silent_s == verdict.transforms_silent_s == 0.0


@pytest.mark.parametrize(
    ("rates", "begin", "reason"),
    [
        ({}, NOW, "no image arrives"),
        ({"images": 60}, replace(NOW, waiting_for="camera 'a' is silent"), "camera 'a' is silent"),
        ({"images": 60, "sets": 10}, replace(NOW, reason="no pose; do x"), "no pose; do x"),
        ({"images": 60, "sets": 10}, NOW, "frame sets are overtaken before they are done"),
        (
            {"images": 60, "sets": 10, "busy_s": 1},
            NOW,
            "one frame set has been in work for 5.0 s; its network or its decoding hangs",
        ),
    ],
)
def test_silence_is_an_error_with_its_reason(
    rates: dict[str, float], begin: NodeProgress, reason: str
) -> None:
    verdict, _ = after(5.0, begin, **rates)
    assert verdict.is_error
    assert verdict.message == f"no result for 5.0 s: {reason}"
    assert not after(2.0, begin, **rates)[0].is_error


def test_patience_grows_with_the_period() -> None:
    slow = replace(NOW, period_s=1.0)
    assert not after(9.5, slow)[0].is_error
    assert after(10.5, slow)[0].is_error


@pytest.mark.parametrize(
    ("results", "restarts", "warns"), [(10, 0, False), (9, 0, False), (7, 0, True), (10, 3, True)]
)
def test_many_sets_without_a_result_are_a_warning(results: int, restarts: int, warns: bool) -> None:
    begin = replace(NOW, reason="the pose jumped")
    verdict, _ = after(10.0, begin, **{**GOOD, "results": results, "restarts": restarts})
    assert not verdict.is_error
    assert verdict.is_warning == warns
    if warns:
        lost = 10 * (10 - results + restarts)
        assert verdict.message == (
            f"{lost} of 100 frame sets of the last 10 s gave no result or restarted the memory: "
            "the pose jumped"
        )


def test_what_nobody_wants_is_no_fault() -> None:
    verdict, _ = after(10.0, images=60, sets=10, left_out=10)
    assert not verdict.is_error
    assert not verdict.is_warning
    assert verdict.message == "no result is wanted now"


def test_a_paused_recording_is_no_error() -> None:
    verdict, _ = after(10.0, node_ns=0, transforms=0)
    assert not verdict.is_error
    assert verdict.message == "simulated time stands still"


def test_silent_transforms_are_told() -> None:
    verdict, _ = after(5.0, **GOOD, transforms=0)
    assert verdict.transforms_silent_s == 5.0


def test_what_was_wrong_is_forgotten() -> None:
    outcome = OutcomeJudge(NOW)
    silent = replace(NOW, time_s=130.0, node_ns=2)
    assert outcome.judge(silent).is_error
    flowing = replace(silent, time_s=130.5, node_ns=3, images=60, sets=10, results=10)
    assert not outcome.judge(flowing).is_error
