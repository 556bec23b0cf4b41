"""A model of one's own: one YAML file goes through every verb, without a fork."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from published_names import published_state
from recordings import write_recording
from rigs import driving_pose, frame_set
from typer.testing import CliRunner

from streampetr_ros.backends.exported import open_exported
from streampetr_ros.model.checkpoints.weights import load_weights, save_weights
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import build_detector
from streampetr_ros.tools.cli import build_app

CAMERAS = 5
MODEL = {
    "backbone": "resnet_tiny",
    "image": {"height": 64, "width": 160, "channel_order": "bgr"},
    "class_names": ["car", "pedestrian", "bicycle"],
    "detection_range": [-20, -30, -4, 60, 30, 4],
    "position_range": [-30, -40, -8, 70, 40, 8],
    "center_range": [-30, -40, -8, 70, 40, 8],
    "embed_dims": 32,
    "num_heads": 2,
    "num_layers": 2,
    "ffn_dims": 64,
    "num_queries": 20,
    "num_propagated": 6,
    "num_proposals": 8,
    "memory_length": 24,
    "depth_bins": 16,
    "max_detections": 30,
    "tiled_focal_lengths": False,
}
BOX = {"center": [0, 15, -1], "size_lwh": [4, 2, 1.5], "yaw": 1.5, "velocity": [0, 5], "cls": "car"}
FEW = ("--no-pictures", "--no-tracking")


def run(verb: str, *arguments: object, code: int = 0) -> str:
    words = [verb, *map(str, arguments)]
    result = CliRunner().invoke(build_app({verb}), words, env={"COLUMNS": "400"})
    text = " ".join(result.output.split())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, text
    return text


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "my_rig.yaml"
    path.write_text(yaml.safe_dump(MODEL))
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "drive"
    for index in range(2):
        one = frame_set(index, size=(176, 99))
        one = replace(one, cameras=one.cameras[:CAMERAS])
        write_recording(folder / str(index), one, driving_pose(0.5 * index + 0.001), [BOX])
    return folder


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory) -> Path:
    """Weights of two steps of training, every loss switched on."""
    folder = tmp_path_factory.mktemp("training")
    recipe = {
        "name": "own",
        "model": str(model),
        "batch_size": 1,
        "precision": "fp32",
        "batch_norm": "train",
        "token_head": True,
        "placed_queries": True,
        "attention_warm_up": {"steps": 1, "batches": 1},
        "data": {"sequences": 1, "frames": 2, "pieces_per_sequence": 1, "intervals": [0.5]},
        "optimiser": {"steps": 2, "warmup_steps": 1},
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(recipe))
    assert "training complete" in run("train", folder / "own.yaml", "--out", folder / "run")
    return folder / "run" / "model.safetensors"


@pytest.fixture(scope="module")
def graphs(weights, tmp_path_factory) -> Path:
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("export") / "graphs"
    options = ("--cameras", CAMERAS, "--precision", "fp16")
    text = run("export", weights, *options, "--out", folder)
    assert f"my_rig for {CAMERAS} cameras, fp16" in text
    return folder


def test_weights_and_graphs_carry_the_whole_model(model, weights, graphs):
    assert load_weights(weights)[0] == open_exported(graphs).config == detector_config(str(model))


@pytest.mark.parametrize("which", ["weights", "graphs", "random:3"])
def test_replay(which, model, recording, tmp_path, request):
    given = which if ":" in which else request.getfixturevalue(which)
    run("replay", recording, "--model", model, "--weights", given, "--out", tmp_path / "o", *FEW)
    lines = [
        json.loads(each) for each in (tmp_path / "o/detections.jsonl").read_text().splitlines()
    ]
    assert [line["num_cameras"] for line in lines] == [CAMERAS, CAMERAS]
    found = {box["class"] for line in lines for box in line["detections"]}
    assert found
    assert found <= set(MODEL["class_names"])
    assert json.loads((tmp_path / "o/summary.json").read_text())["model"] == "my_rig"


@pytest.mark.parametrize("which", ["weights", "graphs"])
def test_evaluate(which, recording, request):
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    assert "mAP" in run("evaluate", request.getfixturevalue(which), "--source", recording)


def test_benchmark(model):
    options = ("--frames", 1, "--warm-up", 0, "--size", "160x96", "--threads", 1)
    assert "sets per second" in run("benchmark", "--model", model, *options)


def test_convert(model, tmp_path):
    config = replace(detector_config(str(model)), tiled_focal_lengths=True)
    path = tmp_path / "published.pth"
    torch.save({"state_dict": published_state(build_detector(config))}, path)
    target = tmp_path / "own.safetensors"
    assert "my_rig" in run("convert", path, "--model", model, "-o", target)
    assert load_weights(target)[0].class_names == tuple(MODEL["class_names"])


def test_a_file_that_was_changed_since_is_refused(weights, graphs, recording, tmp_path):
    changed = tmp_path / "my_rig.yaml"
    changed.write_text(yaml.safe_dump(MODEL | {"num_queries": 21}))
    for given in (weights, graphs):
        options = ("--model", changed, "--weights", given, "--out", tmp_path / "out")
        text = run("replay", recording, *options, *FEW, code=1)
        assert f"with num_queries 20, but '{changed}' says 21; give the file as it was" in text


def test_weights_of_a_shipped_model_are_not_those_of_a_file(model, recording, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build_detector(detector_config("tiny")))
    options = ("--model", model, "--weights", path, "--out", tmp_path / "out")
    assert "are for model 'tiny', not 'my_rig'" in run("replay", recording, *options, code=1)


def test_classes_that_nuscenes_lacks_are_found_but_neither_trained_nor_judged(recording, tmp_path):
    model, recipe = tmp_path / "vans.yaml", tmp_path / "recipe.yaml"
    model.write_text(yaml.safe_dump(MODEL | {"class_names": ["car", "van"]}))
    replay = ("replay", recording, "--model", model, "--out", tmp_path / "out", "--no-pictures")
    assert "tracking has no settings for class van; add it" in run(*replay, code=1)
    tracking = tmp_path / "tracking.yaml"
    tracking.write_text(yaml.safe_dump({"ignored_classes": ["van"]}))
    run(*replay, "--tracking-config", tracking)
    weights = tmp_path / "vans.safetensors"
    save_weights(weights, build_detector(detector_config(str(model))))
    text = run("evaluate", weights, "--source", recording, code=2)
    assert "metrics of nuScenes have no class 'van'" in text
    recipe.write_text(yaml.safe_dump({"name": "vans", "model": str(model)}))
    text = run("train", recipe, "--out", tmp_path / "run", code=2)
    assert "no training frame shows class 'van' of model 'vans'; name classes among car" in text


@pytest.mark.parametrize("verb", ["replay", "check", "export", "convert", "benchmark"])
def test_a_file_that_cannot_be_used_is_one_sentence_in_every_verb(verb, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(MODEL | {"num_queries": 0}))
    text = run(verb, *([] if verb == "benchmark" else ["x"]), "--model", broken, code=2)
    assert f"{broken}: num_queries must be at least 1, got 0" in text.replace("│ ", "")
    missing = tmp_path / "none.yaml"
    text = run(verb, *([] if verb == "benchmark" else ["x"]), "--model", missing, code=2)
    assert f"cannot read model file '{missing}'" in text.replace("│ ", "")
