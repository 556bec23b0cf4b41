"""The check tells weights that fit from those that are missing, damaged, others or too slow."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import micro_detector as micro
import pytest
import yaml

from streampetr_ros.backends.exported import ExportedModel, describe_export
from streampetr_ros.backends.tensorrt.build import Engines
from streampetr_ros.backends.tensorrt.engine_file import write_engine
from streampetr_ros.core.config import to_mapping
from streampetr_ros.core.files import sha256
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.model.forms.graphs import signatures
from streampetr_ros.parameters.node import ModelParameters
from streampetr_ros.tools.check import weights as checking
from streampetr_ros.tools.check.weights import WeightsReport, check_weights


class Runtime:
    """Stands for an installed TensorRT."""

    name = "tensorrt"
    version = "10.0"
    title = "tensorrt 10.0"


class Gpu:
    """Stands for a GPU."""

    compute_capability = "8.9"

    def __init__(self, _name: str) -> None:
        pass


def check(weights: object, period_s: float = 0.5, **changes: str) -> WeightsReport:
    wanted = ModelParameters(weights=str(weights))
    return check_weights(replace(wanted, **changes), period_s)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "micro.safetensors"
    save_weights(path, micro.detector())
    return path


@pytest.fixture
def exported(tmp_path: Path) -> ExportedModel:
    """A folder of graphs that nobody runs."""
    config = micro.config()
    folder = tmp_path / "graphs"
    folder.mkdir()
    names = signatures(config)
    for name in names:
        (folder / f"{name}.onnx").write_text(name)
    sums = {name: sha256(folder / f"{name}.onnx") for name in names}
    model = ExportedModel(folder=folder, config=config, cameras=6, precision="fp32", sha256=sums)
    (folder / "model.json").write_text(describe_export(model))
    return model


def test_graphs_of_another_precision(exported):
    assert not check(exported.folder, precision="fp32").problems
    (problem,) = check(exported.folder, precision="fp16").problems
    assert "holds fp32 graphs, which cannot run in fp16" in problem


def write_manifest(weights: Path, digest: str) -> None:
    content = {"sha256": digest, "training_intervals_s": [0.1, 0.5]}
    weights.with_suffix(".yaml").write_text(yaml.safe_dump(content))


def test_whole_weights_that_fit_the_cameras(weights):
    report = check(weights)
    assert not report.problems
    assert f"micro, SHA-256 {sha256(weights)[:12]}, no manifest beside it" in report.facts[0]
    assert "trained at 0.5 s between frames, cameras give 0.500 s" in report.facts[1]
    write_manifest(weights, sha256(weights))
    assert "as its manifest says" in check(weights).facts[0]
    assert "trained at 0.1, 0.5 s between frames" in check(weights).facts[1]


def test_weights_that_cannot_be_used(weights, tmp_path):
    assert "does not exist; check the path" in check(tmp_path / "none.safetensors").problems[0]
    assert "are for model 'micro', not 'tiny'" in check(weights, name="tiny").problems[0]
    assert "is no folder of them" in check(weights, backend="tensorrt").problems[0]
    write_manifest(weights, "0" * 64)
    assert "is not the file that" in check(weights).problems[0]
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "not a complete safetensors file" in check(weights).problems[0]


def test_the_file_of_the_model_beside_its_weights_is_no_manifest(weights):
    path = weights.with_suffix(".yaml")
    content = to_mapping(micro.config())
    del content["name"]
    path.write_text(yaml.safe_dump(content))
    report = check(weights, name=str(path))
    assert not report.problems
    assert "no manifest beside it" in report.facts[0]
    (problem,) = check("random:0", name=str(path.with_name("none.yaml"))).problems
    assert "cannot read model file" in problem


def test_cameras_that_are_slower_than_in_training(weights):
    (problem,) = check(weights, period_s=1.0).problems
    assert "every 1.000 s but the weights were trained at 0.5 s" in problem
    assert "raise the rate of the cameras" in problem


def test_weights_without_training_are_called_so():
    assert "nothing is trained" in check("random:0").facts[0]


def test_engines_are_there_or_would_be_built(exported, monkeypatch):
    monkeypatch.setattr(checking, "load_tensorrt", lambda _name: Runtime())
    monkeypatch.setattr(checking, "CudaDevice", Gpu)
    engines = Engines(runtime=Runtime(), model=exported, compute_capability="8.9")
    key = engines.key("encoder")
    folder = engines.files["encoder"].parent
    write_engine(folder, key, b"engine")
    engines.files["head"].write_bytes(engines.files["encoder"].read_bytes())
    report = check(exported.folder, backend="tensorrt", device="cuda")
    assert not report.problems
    found = {fact.split(":")[0]: fact for fact in report.facts if fact.startswith("engine ")}
    assert "whole and for this GPU" in found["engine encoder"]
    assert "the first start builds it again, because" in found["engine head"]
    assert "was built for another graph" in found["engine head"]
    assert "the first start builds it, which can take minutes" in found["engine position"]
    elsewhere = replace(engines, compute_capability="9.0")
    assert all("none for tensorrt 10.0" in state for state in elsewhere.states())


def test_a_runtime_or_graph_that_is_missing(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    (problem,) = check(exported.folder, backend="tensorrt", device="cuda").problems
    assert "backend 'tensorrt' is not installed; install it with" in problem
    exported.path("head").unlink()
    assert "is missing or damaged; export the model again" in check(exported.folder).problems[0]
