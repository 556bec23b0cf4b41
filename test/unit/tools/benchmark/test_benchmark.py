"""The benchmark command: its numbers, its reference and its sweeps. Speed itself is not tested."""

import json
import sys
from dataclasses import replace

import micro_detector
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from streampetr_ros.backends.opening import Choice
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend, prepared
from streampetr_ros.core.timing import StageClock
from streampetr_ros.model.config import detector_config
from streampetr_ros.tools.benchmark.drive import Drive
from streampetr_ros.tools.benchmark.matrix import counted_gflop
from streampetr_ros.tools.benchmark.reference import PlainNetwork, compare_networks
from streampetr_ros.tools.benchmark.run import BenchmarkCase, measure_case
from streampetr_ros.tools.benchmark.sweep import Sweep, variations
from streampetr_ros.tools.cli import build_app

BASE = BenchmarkCase(
    model="tiny", frames=1, warm_up=0, image_size=(160, 90), choice=Choice(threads=1)
)


def compared(plain, detector, drive, warm_up):
    ours = prepared(detector, torch.device("cpu"))
    return compare_networks(plain, TorchBackend(detector), ours, drive, warm_up)


def test_the_backend_does_what_the_plain_network_does():
    detector = micro_detector.detector()
    drive = [micro_detector.inputs(seed) for seed in range(3)]
    plain = PlainNetwork(detector, torch.device("cpu"))
    found = compared(plain, detector, drive, warm_up=1)
    assert found["largest_difference"]["logits"] < 1e-4
    assert found["largest_difference"]["centers_m"] < 1e-3
    assert found["times_faster"] == pytest.approx(
        found["milliseconds"]["plain"]["p50"] / found["milliseconds"]["backend"]["p50"], rel=1e-2
    )


def test_the_comparison_sees_another_network():
    drive = [micro_detector.inputs(0)]
    plain = PlainNetwork(micro_detector.detector(seed=0), torch.device("cpu"))
    found = compared(plain, micro_detector.detector(seed=1), drive, warm_up=0)
    assert found["largest_difference"]["logits"] > 1e-2


def test_stages_of_both_networks_are_timed_on_the_same_frames(monkeypatch):
    detector = micro_detector.detector()
    ours = prepared(detector, torch.device("cpu"))
    plain = PlainNetwork(detector, torch.device("cpu"))
    drive = [micro_detector.inputs(seed) for seed in range(3)]
    seen = []
    for network in (plain._detector, ours):
        original = network.encode_images
        monkeypatch.setattr(
            network, "encode_images", lambda images, do=original: seen.append(images) or do(images)
        )
    found = compare_networks(plain, TorchBackend(detector), ours, drive, warm_up=1)["stages"]
    assert [id(images) for images in seen] == [id(f.images) for f in drive for _ in range(2)]
    assert found.keys() == {"encoder", "position", "head"}
    assert all(time > 0 for times in found.values() for time in times.values())


def test_the_plain_network_predicts_for_every_layer(monkeypatch):
    detector = micro_detector.detector()
    calls = []
    plain = PlainNetwork(detector, torch.device("cpu"))
    monkeypatch.setattr(
        plain._detector.head, "_predict", lambda *args: calls.append(1) or original(*args)
    )
    original = detector.head._predict
    plain.run_stages(micro_detector.inputs(0), None, StageClock())
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
    command = ["benchmark", *options, "--no-publish", "--json", str(path)]
    result = CliRunner().invoke(build_app({"benchmark"}), command)
    assert result.exit_code == 0, result.output
    assert " bf16 on cpu" in json.loads(path.read_text())["models"]["tiny"]["backend"]
    refused = CliRunner().invoke(build_app({"benchmark"}), ["benchmark", "--precision", "int8"])
    assert refused.exit_code == 1
    assert "error: backend torch has no precision 'int8'" in refused.output


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr("streampetr_ros.tools.verbs.benchmark._in_own_process", measure_case)


@pytest.mark.usefixtures("in_this_process")
def test_images_are_decoded_at_a_fraction_of_their_size(tmp_path):
    path = tmp_path / "numbers.json"
    options = ["--frames", "1", "--warm-up", "0", "--size", "720x400", "--reduction", "2"]
    command = ["benchmark", *options, "--threads", "1", "--no-publish", "--json", str(path)]
    result = CliRunner().invoke(build_app({"benchmark"}), command)
    assert result.exit_code == 0, result.output
    assert "6 x 720x400 decoded at 1/2, " in result.output
    assert json.loads(path.read_text())["models"]["tiny"]["reduction"] == 2


def test_reduced_images_come_with_their_calibration():
    full = Drive((720, 400)).frame_set(0).cameras[0]
    half = Drive((720, 400), reduction=2).frame_set(0).cameras[0]
    assert half.pixels.shape == (200, 360, 3)
    calibration = half.calibration
    assert (calibration.width, calibration.height, calibration.reduction) == (360, 200, 2)
    np.testing.assert_allclose(calibration.intrinsic[:2], full.calibration.intrinsic[:2] / 2)
    blocks = full.pixels.reshape(200, 2, 360, 2, 3).mean(axis=(1, 3))
    assert np.abs(half.pixels - blocks).mean() < 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--reduction", "3"), "--reduction 3 is not one of 1, 2, 4 and 8"),
        (("--reduction", "8"), "1600x900 cannot be reduced 8 times without a remainder"),
        (("--size", "640x360", "--reduction", "4"), "fewer than"),
    ],
)
@pytest.mark.usefixtures("in_this_process")
def test_reductions_that_cannot_be_are_refused(options, message):
    result = CliRunner().invoke(build_app({"benchmark"}), ["benchmark", *options])
    assert result.exit_code != 0
    assert message in " ".join(result.output.replace("│", " ").split())


SHORT = ("--frames", "2", "--warm-up", "0", "--size", "160x90", "--threads", "1")


def run(*options):
    return CliRunner().invoke(build_app({"benchmark"}), ["benchmark", *SHORT, *options])


def test_the_command_prints_and_writes_the_same_numbers(tmp_path):
    path = tmp_path / "numbers.json"
    result = run("--no-publish", "--reference", "--json", str(path))
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())
    assert found["method"] in result.output
    assert all(
        found["machine"][name] for name in ("processor", "cores", "torch", "numpy", "pillow")
    )
    numbers = found["models"]["tiny"]
    stages = numbers["milliseconds"]
    for stage, times in stages.items():
        assert times["p50"] <= times["p90"] <= times["p99"]
        assert f"{stage:<12}{times['p50']:>10.1f}{times['p90']:>10.1f}" in result.output
    assert f"{numbers['reference']['times_faster']:.2f} times as fast" in result.output
    rates = numbers["sets_per_second"]
    assert rates == {
        name: pytest.approx(1000 / stages[name]["p50"]) for name in ("step", "boxes", "original")
    }
    assert f"{rates['step']:.2f} sets per second end to end, {rates['boxes']:.2f}" in result.output
    assert f"{rates['original']:.2f} by the method of the original code" in result.output
    compared = numbers["reference"]["stages"]
    assert compared.keys() == {"encoder", "position", "head"}
    plain = [times["plain"] for times in compared.values()]
    assert plain == sorted(plain, reverse=True)
    for stage, times in compared.items():
        assert f"{stage:<12}{times['plain']:>10.1f}{times['ours']:>10.1f}" in result.output


def test_what_is_summed_up_is_made_of_its_stages():
    found = measure_case(replace(BASE, publishes=False))["milliseconds"]
    medians = {name: times["p50"] for name, times in found.items()}
    network = sum(medians[name] for name in ("encoder", "position", "head"))
    assert medians["network"] == pytest.approx(network, abs=0.01)
    original = network + medians["upload"] + medians["decoding"]
    assert medians["original"] == pytest.approx(original, abs=0.01)


def test_publishing_is_clearly_absent_without_ros(monkeypatch):
    monkeypatch.delitem(sys.modules, "streampetr_ros.ros.listen.publish_probe", raising=False)
    monkeypatch.setitem(sys.modules, "rclpy", None)
    found = measure_case(BASE)
    assert "publish" not in found["milliseconds"]
    assert found["publish"].startswith("not measured, Python finds no 'rclpy'; source the set-up")


class OneProduct:
    """Multiplies (4, 30) by (30, 7) in place of an encoder."""

    def encode_images(self, images):
        return images @ torch.ones(30, 7)

    def token_position(self, inputs):
        return inputs.elapsed + 1

    def predict(self, features, position, inputs, memory):
        return [features + position], memory


def test_matrix_work_counts_products_and_sums():
    inputs = micro_detector.inputs(0)._replace(images=torch.ones(4, 30))
    assert counted_gflop(OneProduct(), inputs) == pytest.approx(2 * 4 * 30 * 7 / 1e9)


def test_matrix_work_grows_with_the_cameras_and_not_with_fusing():
    detector = micro_detector.detector()
    ours = prepared(detector, torch.device("cpu"))
    six, three = (micro_detector.inputs(0, cameras=cameras) for cameras in (6, 3))
    assert counted_gflop(ours, six) == pytest.approx(counted_gflop(detector, six))
    half = 0.5 * counted_gflop(ours, six)
    assert half < counted_gflop(ours, three) < 2 * half


def test_matrix_work_is_set_against_the_time_of_the_network():
    found = measure_case(replace(BASE, publishes=False))
    work = found["matrix_work"]
    assert work["least_ms"] == pytest.approx(1e3 * work["gflop"] / work["gflop_per_s"])
    share = work["least_ms"] / found["milliseconds"]["network"]["p50"]
    assert work["share_of_network"] == pytest.approx(share)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    onnx_export = pytest.importorskip("streampetr_ros.export.onnx_export")
    folder = tmp_path_factory.mktemp("export") / "micro"
    onnx_export.export_onnx(micro_detector.detector(), folder, cameras=2)
    return str(folder)


@pytest.mark.usefixtures("in_this_process")
def test_exported_graphs_are_measured_with_their_network_as_one_stage(graphs, tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "numbers.json"
    result = run("--weights", graphs, "--no-publish", "--json", str(path))
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())["models"][graphs]
    assert found["backend"].startswith("onnxruntime")
    assert found["cameras"] == 2
    assert {"network", "original", "boxes", "step"} <= found["milliseconds"].keys()
    assert "encoder" not in found["milliseconds"]
    assert found["matrix_work"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backend", "tensorrt"), "'tensorrt' runs exported graphs; name their folder with"),
        (("--weights", "nowhere"), "'nowhere' is no folder of exported graphs; make one with"),
        (("--model", "tiny"), "exported graphs take no --model, --reference and --sweep"),
        (("--reference",), "exported graphs take no --model, --reference and --sweep"),
        (("--sweep", "cameras"), "exported graphs take no --model, --reference and --sweep"),
        (("--precision", "fp16"), "holds fp32 graphs, which cannot run in fp16"),
    ],
)
@pytest.mark.usefixtures("in_this_process")
def test_what_graphs_cannot_be_asked_for_is_refused(graphs, options, message):
    with_graphs = ("--weights", graphs) if options[0] not in ("--backend", "--weights") else ()
    result = run(*with_graphs, *options)
    assert result.exit_code != 0
    assert message in " ".join(result.output.replace("│", " ").split())


@pytest.mark.usefixtures("in_this_process")
def test_sweeps_print_and_write_one_row_per_value(tmp_path, monkeypatch):
    monkeypatch.setattr("streampetr_ros.tools.benchmark.sweep._CAMERAS", (1, 2))
    path = tmp_path / "numbers.json"
    result = run("--no-publish", "--sweep", "cameras", "--json", str(path))
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["models"]["tiny"]["sweeps"]["cameras"]
    assert [(row["value"], row["cameras"]) for row in rows] == [("1", 1), ("2", 2)]
    for row in rows:
        times = row["milliseconds"]
        shown = f"{row['value']:<12}{times['network']['p50']:>12.1f}{times['step']['p50']:>12.1f}"
        assert shown in result.output
