"""The publishing that the benchmark times goes over DDS to another process."""

import re

import pytest

pytest.importorskip("rclpy")

from typer.testing import CliRunner

from streampetr_ros.backends.opening import Choice
from streampetr_ros.ros.listen import publish_probe
from streampetr_ros.tools.benchmark.run import BenchmarkCase, measure_case
from streampetr_ros.tools.cli import build_app

WANTED = BenchmarkCase(
    model="tiny",
    frames=4,
    warm_up=1,
    image_size=(160, 90),
    cameras=2,
    choice=Choice(threads=1),
)


def test_messages_arrive_in_another_process():
    found = measure_case(WANTED)
    assert found["milliseconds"]["publish"]["p50"] > 0
    said = re.fullmatch(
        r"streampetr_ros/Object3DArray over rmw_\w+ to another process, which took (\d+)",
        found["publish"],
    )
    assert said, found["publish"]
    # Only the newest result counts, so a slow listener may miss some, but never the last.
    assert 1 <= int(said[1]) <= 5


def test_listener_that_is_not_found_is_named(monkeypatch):
    monkeypatch.setattr(publish_probe, "_LONGEST_WAIT_S", 0.0)
    found = measure_case(WANTED)
    assert found["publish"].startswith("not measured, no listener was found over DDS")
    assert "publish" not in found["milliseconds"]


def test_the_command_measures_publishing_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr("streampetr_ros.tools.verbs.benchmark._in_own_process", measure_case)
    options = ("--frames", "1", "--warm-up", "0", "--size", "160x90", "--threads", "1")
    for more, said in (
        ((), "publish: streampetr_ros/Object3DArray over"),
        (("--no-publish",), "publish: not measured, as asked for"),
    ):
        command = ["benchmark", *options, *more]
        result = CliRunner().invoke(build_app({"benchmark"}), command)
        assert result.exit_code == 0, result.output
        assert said in result.output
