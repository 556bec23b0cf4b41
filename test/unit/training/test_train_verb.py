"""The train verb on a data set in the nuScenes schema: results, slices, weights that detect."""

import csv
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from streampetr_ros.evaluation.streams import open_scene, open_stream
from streampetr_ros.model.checkpoints.weights import load_weights, read_metadata
from streampetr_ros.nuscenes.export import export_nuscenes
from streampetr_ros.sources.synthetic import SyntheticSource
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions
from streampetr_ros.tools.cli import build_app

pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(build_app({"train"}), ["train", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def recipe(tmp_path) -> Path:
    """A very short run on two frames of one scene."""
    options = SceneOptions(duration=1.0, rate=2.0, rig=RigOptions(width=96, height=54))
    export_nuscenes(SyntheticSource(4, options), tmp_path / "data")
    content = {
        "name": "short",
        "model": "tiny",
        "batch_size": 1,
        "precision": "fp32",
        "log_steps": 1,
        "data": {
            "source": "nuscenes",
            "root": str(tmp_path / "data"),
            "version": "v1.0-synthetic",
            "split": "synthetic",
        },
        "optimiser": {"steps": 2, "warmup_steps": 1, "ema_decay": 0.5},
    }
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_run_in_slices(recipe, tmp_path):
    folder = tmp_path / "run"
    code, text = run(recipe, "--out", folder, "--max-minutes", 1e-9)
    assert code == 0
    assert "not complete yet, go on with --resume" in text
    code, text = run(recipe, "--out", folder)
    assert code == 2
    assert "holds a run already; add --resume" in text
    code, text = run(recipe, "--out", folder, "--resume")
    assert code == 0
    assert "training complete" in text
    with (folder / "curves.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["1", "2"]
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["split"] == "synthetic"
    weights = folder / "model.safetensors"
    assert read_metadata(weights)["step"] == "2"
    assert load_weights(weights, "tiny")[0].name == "tiny"
    step = open_stream(str(weights))
    scene = f"nuscenes:{tmp_path / 'data'}:v1.0-synthetic:synthetic#0"
    assert [len(step(frame_set).scores) > 0 for frame_set in open_scene(scene)] == [True, True]


def test_a_file_in_the_way_is_named(recipe, tmp_path):
    (tmp_path / "run").touch()
    code, text = run(recipe, "--out", tmp_path / "run")
    assert code == 2
    assert text.startswith("error: cannot access")
    assert str(tmp_path / "run") in text
