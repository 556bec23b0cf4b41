"""What a parameter file says outlives a check, and what is wrong with one is said in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rigs import frame_set
from typer.testing import CliRunner

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.reading import FileError
from streampetr_ros.parameters.bag import BagOptions, bag_options
from streampetr_ros.parameters.node import NodeParameters, is_of_node
from streampetr_ros.parameters.tree import REMOVED, leaves
from streampetr_ros.sources.bag.topics import BagTopics
from streampetr_ros.sources.bag.writer import write_bag
from streampetr_ros.sources.checks.recording_check import (
    BagReport,
    parameters,
)
from streampetr_ros.tools.cli import build_app

RIG = {
    "autostart": False,
    "cameras": {"names": ["CAM_BACK", "CAM_FRONT"], "reliability": "reliable", "depth": 3},
    "frames": {"model_xyz": [1.0, 0.5, 2.0], "model_rpy": [0.0, 0.0, 0.3], "base": "car"},
    "pose": {"history_s": 20.0, "timeout_s": 0.4},
    "sync": {"wait_s": 0.05, "offsets_s": [0.0076, 0.0], "window_s": 0.03},
    "detection": {"max_objects": 7},
}


def written(file: Path, content: dict[str, object], node: str = "/**") -> Path:
    file.write_text(yaml.safe_dump({node: {"ros__parameters": content}}))
    return file


def checked(tmp_path: Path, params: Path, *words: str) -> dict[str, object]:
    """Check a bag with a parameter file; return what was written."""
    sets = [frame_set(i, size=(32, 18)) for i in range(6)]
    write_bag(sets, tmp_path / "bag", encoding="png")
    out = tmp_path / "out.yaml"
    line = ["check", tmp_path / "bag", "--params", params, "--write-params", out, *words]
    CliRunner().invoke(build_app({"check"}), [str(word) for word in line])
    return yaml.safe_load(out.read_text())["/**"]["ros__parameters"]


def test_settings_the_check_does_not_find_out_are_kept(tmp_path: Path):
    params = written(tmp_path / "rig.yaml", RIG)
    got = checked(tmp_path, params, "--base-frame", "base_link")
    assert got["frames"] == {**RIG["frames"], "base": "base_link", "fixed": "odom"}
    assert got["pose"] == {**RIG["pose"], "source": "tf"}
    assert got["sync"] == RIG["sync"]
    assert got["cameras"]["transports"] == ["compressed", "compressed"]
    assert (got["cameras"]["reliability"], got["cameras"]["depth"]) == ("reliable", 3)
    assert (got["autostart"], got["detection"]) == (False, {"max_objects": 7})
    files = (params, tmp_path / "out.yaml")
    before, after = (bag_options(file).parameters for file in files)
    assert (after.frames.base, after.cameras.reliability) == ("base_link", "reliable")
    assert after.frames == replace(before.frames, base="base_link")
    assert (after.pose, after.sync) == (before.pose, before.sync)
    assert (after.pose.history_s, after.detection.max_objects) == (20.0, 7)


@pytest.mark.parametrize("name", sorted(REMOVED))
def test_a_parameter_of_an_earlier_version_is_named(tmp_path: Path, name: str):
    group, _, leaf = name.partition(".")
    params = written(tmp_path / "old.yaml", {group: {leaf: "auto"}})
    with pytest.raises(ConfigError, match=f"'{name}' was removed in 0.2.0; delete it from the"):
        bag_options(params)


def test_offsets_follow_cameras_given_by_hand(tmp_path: Path):
    params = written(tmp_path / "rig.yaml", RIG)
    words = [f"--camera={name}=/{name}/image_raw" for name in ("CAM_FRONT", "CAM_BACK")]
    got = checked(tmp_path, params, *words)
    assert got["cameras"]["names"] == ["CAM_FRONT", "CAM_BACK"]
    assert got["sync"]["offsets_s"] == [0.0, 0.0076]


def report(simulated: bool | None) -> BagReport:
    topics = BagTopics(cameras=(), moving=(), static=(), odometry="", problems=())
    return BagReport(facts=(), problems=(), topics=topics, period_s=0.1, simulated_time=simulated)


@pytest.mark.parametrize(("found", "wanted"), [(None, True), (False, False), (True, True)])
def test_simulated_time_is_kept_unless_it_was_found_out(found, wanted):
    options = BagOptions(given={"use_sim_time": True})
    assert parameters(report(found), options)["use_sim_time"] is wanted


def test_parameters_of_other_nodes_are_left_out():
    given = {"frame_rate": 10, "driver.gain": 2, "qos_overrides./tf.depth": 5}
    got = parameters(report(None), BagOptions(given=given))
    assert set(got) == {"cameras", "frames", "pose", "qos_overrides"}


def test_every_parameter_of_the_node_is_kept():
    for leaf in leaves(NodeParameters):
        assert is_of_node(leaf.name)
        assert not is_of_node(leaf.name.partition(".")[0]) or "." not in leaf.name


def test_a_file_of_another_encoding_is_named(tmp_path: Path):
    file = tmp_path / "rig.yaml"
    file.write_bytes("/**: {ros__parameters: {frames: {base: r\xfcckw\xe4rts}}}".encode("latin-1"))
    with pytest.raises(FileError, match=r"rig\.yaml' is not UTF-8 text .* save it as UTF-8"):
        bag_options(file)


@pytest.mark.parametrize("name", ["model_xyz", "model_rpy"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([0.0], "holds 1 values but must hold 3"),
        (1.0, "is 1.0 but must have the type list of double"),
        (["a", "b", "c"], "must have the type list of double"),
        ([0.0, 0.0, float("nan")], "is nan but must be a finite number"),
        (None, "is None but must have the type list of double"),
    ],
)
def test_a_model_frame_that_is_none_is_named(tmp_path: Path, name: str, value: object, says: str):
    file = written(tmp_path / "rig.yaml", {"frames": {name: value}})
    with pytest.raises(ConfigError, match=rf"rig\.yaml': parameter 'frames.{name}' .*{says}"):
        bag_options(file)
