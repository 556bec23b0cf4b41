"""The evaluate verb, from a recording to numbers, files and plots."""

import json
from pathlib import Path

import micro_detector
import pytest
from recordings import write_recording
from rigs import driving_pose, frame_set
from typer.testing import CliRunner

from streampetr_ros.core.files import sha256
from streampetr_ros.evaluation import report
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.tools.cli import build_app

pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
BOX = {"center": [0, 15, -1], "size_lwh": [4, 2, 1.5], "yaw": 1.5, "velocity": [0, 5], "cls": "car"}


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(build_app({"evaluate"}), ["evaluate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def given(tmp_path) -> tuple[Path, Path]:
    """Weights and a recording."""
    for index in range(3):
        one = frame_set(index, size=(176, 99))
        pose = driving_pose(0.5 * index + 0.001)
        write_recording(tmp_path / "drive" / str(index), one, pose, [BOX])
    weights = tmp_path / "micro.safetensors"
    save_weights(weights, micro_detector.detector(), {})
    return weights, tmp_path / "drive"


def test_numbers_files_and_plots(given, tmp_path):
    weights, drive = given
    files = ("--json", tmp_path / "m.json", "--out", tmp_path / "out")
    code, text = run(weights, "--source", drive, "--tracking", *files)
    assert code == 0
    assert "tracking: no object was followed" in text
    numbers = json.loads((tmp_path / "m.json").read_text())
    assert numbers["frames"] == 3
    assert numbers["weights_sha256"] == sha256(weights)
    assert set(numbers["overall"]["class_ap"]) == {"car"}
    assert set(numbers["overall"]["errors"]) == {"mATE", "mASE", "mAOE", "mAVE", "mAAE"}
    results = json.loads((tmp_path / "out" / "results_nusc.json").read_text())["results"]
    assert len(results) == 3
    assert (tmp_path / "out" / "plots" / "car_pr.pdf").is_file()
    assert (tmp_path / "out" / "plots" / "distance.pdf").is_file()


def test_what_runs_the_detector_is_chosen_and_recorded(given, tmp_path):
    weights, drive = given
    chosen = ("--precision", "bf16", "--backend", "torch", "--cuda-graphs", "never")
    files = ("--json", tmp_path / "m.json")
    code, text = run(weights, "--source", drive, "--max-frames", 1, *chosen, *files)
    assert code == 0, text
    choice = json.loads((tmp_path / "m.json").read_text())["evaluation"]["choice"]
    assert (choice["backend"], choice["precision"]) == ("torch", "bf16")
    assert choice["cuda_graphs"] == "never"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--backend", "onnxruntime", "runs exported graphs"),
        ("--precision", "int8", "no precision 'int8'"),
        ("--device", "abacus", "'abacus' is no device"),
        ("--cuda-graphs", "perhaps", "cuda_graphs cannot be 'perhaps'"),
    ],
)
def test_what_cannot_run_is_one_sentence(given, option, value, message):
    weights, drive = given
    code, text = run(weights, "--source", drive, option, value)
    assert code == 2
    assert text.startswith("error: ")
    assert message in text


def test_full_disk_does_not_cost_the_numbers(given, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "m.json")

    monkeypatch.setattr(report, "write_json", full)
    weights, drive = given
    code, text = run(weights, "--source", drive, "--json", tmp_path / "m.json")
    assert code == 1
    assert "mAVE" in text
    assert "error: cannot access 'm.json': No space left on device" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.safetensors",), "'none.safetensors' does not exist"),
        (("WEIGHTS", "--source", "nowhere"), "nowhere"),
        (("WEIGHTS", "--source", "synthetic:5-2"), "is no range of seeds"),
        (("WEIGHTS", "--source", "nuscenes:a:b"), "not of the form nuscenes:ROOT:VERSION:SPLIT"),
        (("WEIGHTS", "--ablation", "wheels"), "no ablation 'wheels'; known: none"),
        (("WEIGHTS", "--every", "2", "--judge-every", "5"), "must be a multiple"),
    ],
)
def test_faults_are_one_line(given, arguments, message):
    words = [given[0] if word == "WEIGHTS" else word for word in arguments]
    code, text = run(*words)
    assert code == 2
    assert text.startswith("error: ")
    assert message in text
    assert text.count("\n") == 1


def test_lack_of_memory_is_one_line(given, monkeypatch):
    weights, drive = given

    def short_of_memory(wanted):
        raise MemoryError

    monkeypatch.setattr(report, "evaluate", short_of_memory)
    code, text = run(weights, "--source", drive)
    assert code == 1
    assert text.startswith("error: there is too little free memory; ")
