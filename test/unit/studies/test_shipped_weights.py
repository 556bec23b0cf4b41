"""Weights that ship: their manifest is about this very file, and they still detect."""

import json
from pathlib import Path

import micro_detector
import pytest
import yaml

from streampetr_ros.backends import opening
from streampetr_ros.core import files
from streampetr_ros.core.config import dump_config
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import sha256
from streampetr_ros.model.checkpoints.weights import load_weights, save_weights
from streampetr_ros.tools.check.weights import manifest_path, read_manifest
from streampetr_ros.training.config import DataConfig, TrainConfig
from studies import ship_weights

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models" / "tiny_synthetic.safetensors"

ships = pytest.mark.skipif(not SHIPPED.is_file(), reason="no trained weights in models/ yet")


@pytest.fixture
def run(tmp_path) -> Path:
    """A finished run of a very small model."""
    folder = tmp_path / "run"
    weights = folder / "model.safetensors"
    save_weights(weights, micro_detector.detector(), {"seed": "3", "step": "70", "recipe": "r"})
    data = DataConfig(cache=str(tmp_path / "somewhere"), intervals=(0.5, 0.1, 0.5))
    dump_config(TrainConfig(name="r", model="tiny", data=data), folder / "config.yaml")
    metrics = {
        "evaluation": {"source": "s", "protocol": {"every": 5}, "farthest": 40.0, "weights": "w"},
        "weights_sha256": sha256(weights),
        "frames": 2,
        "overall": {"mean_ap": 0.5},
        "by_distance": {},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_manifest_accounts_for_the_weights(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ship_weights, "quick_check", lambda _: 0.5)
    target = tmp_path / "models" / "small.safetensors"
    written = ship_weights.ship(run, tmp_path / "metrics.json", target)
    manifest = read_manifest(target)
    assert manifest == written
    assert target.read_bytes() == (run / "model.safetensors").read_bytes()
    assert (manifest["seed"], manifest["steps"]) == (3, 70)
    assert manifest["training_intervals_s"] == [0.1, 0.5]
    assert manifest["quick_check"] == {"mAP": 0.5, "at_least": 0.45}
    assert manifest["metrics"]["overall"] == {"mean_ap": 0.5}
    assert str(tmp_path) not in manifest_path(target).read_text()


def test_weights_that_cannot_ship(run, tmp_path, monkeypatch):
    target = tmp_path / "small.safetensors"
    metrics = tmp_path / "metrics.json"
    monkeypatch.setattr(ship_weights, "quick_check", lambda _: 0.001)
    with pytest.raises(UserError, match="finds nothing"):
        ship_weights.ship(run, metrics, target)
    with pytest.raises(UserError, match="cannot read metrics"):
        ship_weights.ship(run, tmp_path / "none.json", target)
    content = json.loads(metrics.read_text())
    metrics.write_text(json.dumps(content | {"weights_sha256": "other"}))
    with pytest.raises(UserError, match="judges other weights"):
        ship_weights.ship(run, metrics, target)
    monkeypatch.setattr(ship_weights, "LARGEST", 10)
    with pytest.raises(UserError, match="use a smaller model"):
        ship_weights.ship(run, metrics, target)
    assert not target.exists()


def test_exchanged_weights_are_noticed(tmp_path):
    target = tmp_path / "small.safetensors"
    target.write_bytes(b"weights")
    with pytest.raises(UserError, match="cannot read manifest"):
        read_manifest(target)
    manifest_path(target).write_text("[]")
    with pytest.raises(UserError, match="is no manifest"):
        read_manifest(target)
    manifest_path(target).write_text(yaml.safe_dump({"sha256": "0"}))
    with pytest.raises(UserError, match="is not the file"):
        read_manifest(target)


def test_shipped_weights_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "streampetr_ros" / "core" / "files.py"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'absent'}:{tmp_path / 'install'}")
    assert opening.default_weights("tiny") == "random:0"
    below = ("install/share/streampetr_ros", ".", "streampetr_ros/share")
    for folder in (tmp_path / name / "models" for name in below):
        folder.mkdir(parents=True)
        (folder / SHIPPED.name).touch()
        assert opening.default_weights("tiny") == str(folder / SHIPPED.name)
    assert opening.default_weights("stream_petr_r50_428q") == "random:0"


@ships
def test_shipped_manifest():
    manifest = read_manifest(SHIPPED)
    assert SHIPPED.stat().st_size == manifest["bytes"] <= ship_weights.LARGEST
    assert manifest["licence"] == "Apache-2.0"
    assert manifest["metrics"]["overall"]["mean_ap"] > 0
    assert load_weights(SHIPPED, "tiny")[0].name == manifest["model"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "No trained weights ship" not in readme, "say in README.md that weights ship"


@ships
def test_shipped_weights_still_detect():
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    stated = read_manifest(SHIPPED)["quick_check"]["at_least"]
    assert ship_weights.quick_check(SHIPPED) >= stated > 0
