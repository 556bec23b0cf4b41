"""The benchmark command: its numbers, its reference and its sweeps. Speed itself is not tested."""

import json
from dataclasses import replace

import micro_detector
import pytest
import torch
from typer.testing import CliRunner

from streampetr_ros.backends.torch_backend import TorchBackend
from streampetr_ros.model.config import detector_config
from streampetr_ros.tools.benchmark_reference import PlainNetwork, compare
from streampetr_ros.tools.benchmark_run import Measurement
from streampetr_ros.tools.benchmark_sweep import Sweep, variations
from streampetr_ros.tools.cli import build_app

BASE = Measurement(model="tiny", frames=1, warm_up=0, device="cpu", threads=1, image_size=(160, 90))


def test_the_backend_does_what_the_plain_network_does():
    detector = micro_detector.detector()
    drive = [micro_detector.inputs(seed) for seed in range(3)]
    plain = PlainNetwork(detector, torch.device("cpu"))
    found = compare(plain, TorchBackend(detector), drive, warm_up=1)
    assert found["largest_difference"]["logits"] < 1e-4
    assert found["largest_difference"]["centers_m"] < 1e-3
    assert found["times_faster"] == pytest.approx(
        found["milliseconds"]["plain"]["p50"] / found["milliseconds"]["backend"]["p50"], rel=1e-2
    )


def test_the_comparison_sees_another_network():
    drive = [micro_detector.inputs(0)]
    plain = PlainNetwork(micro_detector.detector(seed=0), torch.device("cpu"))
    found = compare(plain, TorchBackend(micro_detector.detector(seed=1)), drive, warm_up=0)
    assert found["largest_difference"]["logits"] > 1e-2


def test_the_plain_network_predicts_for_every_layer(monkeypatch):
    detector = micro_detector.detector()
    calls = []
    plain = PlainNetwork(detector, torch.device("cpu"))
    monkeypatch.setattr(
        plain._detector.head, "_predict", lambda *args: calls.append(1) or original(*args)
    )
    original = detector.head._predict
    plain.run(micro_detector.inputs(0), None)
    assert len(calls) == detector.config.num_layers
    assert not detector.head.training


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        (Sweep.CAMERAS, ["1", "2", "3", "4", "5", "6", "7", "8"]),
        (Sweep.QUERIES, ["64", "128", "256", "512"]),
        (Sweep.MEMORY, ["128", "256", "512", "1024"]),
        (Sweep.IMAGE, ["192x64", "256x96", "352x128", "512x192", "704x256"]),
    ],
)
def test_sweeps_vary_one_thing(sweep, values):
    found = dict(variations(BASE, sweep))
    assert list(found) == values
    for wanted in found.values():
        replace(detector_config("tiny"), **wanted.changes)
        assert (wanted.cameras == 6) or not wanted.changes


def test_models_without_memory_have_no_memory_to_sweep():
    assert not list(variations(replace(BASE, model="petr_r50"), Sweep.MEMORY))


def test_half_precision_is_measured_and_named(tmp_path):
    path = tmp_path / "numbers.json"
    options = ["--frames", "1", "--warm-up", "0", "--size", "160x90", "--precision", "bf16"]
    result = CliRunner().invoke(
        build_app({"benchmark"}), ["benchmark", *options, "--json", str(path)]
    )
    assert result.exit_code == 0, result.output
    assert " bf16 on cpu" in json.loads(path.read_text())["models"]["tiny"]["backend"]
    refused = CliRunner().invoke(build_app({"benchmark"}), ["benchmark", "--precision", "int8"])
    assert refused.exit_code == 1
    assert "error: backend torch has no precision 'int8'" in refused.output


def test_the_command_prints_and_writes_the_same_numbers(tmp_path):
    path = tmp_path / "numbers.json"
    options = ["--frames", "1", "--warm-up", "0", "--size", "160x90", "--threads", "1"]
    command = ["benchmark", *options, "--reference", "--json", str(path)]
    result = CliRunner().invoke(build_app({"benchmark"}), command)
    assert result.exit_code == 0, result.output
    numbers = json.loads(path.read_text())["models"]["tiny"]
    stages = numbers["milliseconds"]
    parts = sum(stages[name]["p50"] for name in ("encoder", "position", "head"))
    assert stages["network"]["p50"] == pytest.approx(parts, abs=0.01)
    assert f"{numbers['reference']['times_faster']:.2f} times as fast" in result.output
    assert f"{numbers['sets_per_second']:.2f} sets per second" in result.output
