"""Weights files: round trip, and every way a file can be wrong."""

import json
import pickle
from collections import OrderedDict
from pathlib import Path

import micro_detector as micro
import numpy as np
import pytest
import torch
from published_names import published_state
from safetensors.torch import load_file, save_file

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.checkpoints.published import convert, load_published, read_published
from streampetr_ros.model.checkpoints.weights import (
    config_from_json,
    config_to_json,
    load_weights,
    read_metadata,
    save_weights,
)
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import build_detector


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "micro.safetensors"
    detector = micro.detector()
    save_weights(path, detector, {"recipe": "none"})
    return path, detector


def test_round_trip(saved):
    path, detector = saved
    config, loaded = load_weights(path, "micro")
    assert config == detector.config
    assert read_metadata(path)["recipe"] == "none"
    for key, value in detector.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])
    assert not loaded.training
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    other = path.with_name("plain.txt")
    other.write_text("")
    assert path.stat().st_mode == other.stat().st_mode


def test_configuration_survives_json():
    config = detector_config("stream_petr_v2_99_900q")
    assert config_from_json(config_to_json(config)) == config
    values = json.loads(config_to_json(config)) | {"embed_dim": 1}
    with pytest.raises(ValueError, match="embed_dim"):
        config_from_json(json.dumps(values))


def test_another_model_is_refused(saved):
    with pytest.raises(UserError, match="for model 'micro', not 'tiny'"):
        load_weights(saved[0], "tiny")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_weights(tmp_path / "nothing.safetensors")
    with pytest.raises(UserError, match="does not exist"):
        load_weights(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, -100])
def test_truncated_file(saved, keep):
    content = saved[0].read_bytes()
    saved[0].write_bytes(content[:keep])
    with pytest.raises(UserError, match="not a complete safetensors file"):
        load_weights(saved[0])


def test_file_without_configuration(tmp_path):
    path = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="no detector configuration"):
        load_weights(path)


def test_unknown_backbone_in_the_header(saved):
    path, _ = saved
    header = read_metadata(path)
    header["streampetr_config"] = header["streampetr_config"].replace("resnet_tiny", "resnet9000")
    save_file(load_file(path), path, metadata=header)
    with pytest.raises(UserError, match="resnet9000"):
        load_weights(path)


def test_diverged_weights(saved):
    path, detector = saved
    with torch.no_grad():
        detector.head.reference_points[0, 0] = float("nan")
    save_weights(path, detector)
    with pytest.raises(UserError, match=r"head\.reference_points.*not finite"):
        load_weights(path)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_tensors_must_fit_exactly(saved, change):
    path, _ = saved
    tensors, metadata = load_file(path), read_metadata(path)
    if change == "missing":
        del tensors["head.reference_points"]
    elif change == "unknown":
        tensors["head.extra"] = torch.zeros(1)
    else:
        tensors["head.reference_points"] = torch.zeros(3, 3)
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(UserError, match="another architecture"):
        load_weights(path)


def test_unwritable_target(saved, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save_weights(tmp_path / "file" / "below.safetensors", saved[1])


def test_logs_of_the_training_framework_do_no_harm(tmp_path):
    logs = {"best": np.float64(0.45), "epoch": np.int64(60), "classes": ("car",), "time": "noon"}
    weights = OrderedDict(x=torch.ones(2))
    torch.save({"meta": logs, "state_dict": weights, "optimizer": {}}, tmp_path / "full.pth")
    assert read_published(tmp_path / "full.pth")["x"].tolist() == [1.0, 1.0]


def test_bare_state_dict(tmp_path):
    torch.save({"module.x": torch.ones(2)}, tmp_path / "bare.pth")
    assert list(read_published(tmp_path / "bare.pth")) == ["x"]


class Exploit:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_code_in_a_checkpoint_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"x": Exploit()}}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Exploit()))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(UserError):
            read_published(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_broken_checkpoints(tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="broken"):
        read_published(path)


def test_checkpoint_of_something_else(tmp_path):
    torch.save({"state_dict": {"x": 1}}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="no state dict"):
        read_published(tmp_path / "a.pth")
    torch.save({1: torch.zeros(1)}, tmp_path / "numbered.pth")
    with pytest.raises(UserError, match="no state dict"):
        read_published(tmp_path / "numbered.pth")
    torch.save([1, 2], tmp_path / "b.pth")
    with pytest.raises(UserError, match="no state dict"):
        read_published(tmp_path / "b.pth")


@pytest.fixture(scope="module")
def state_428q():
    torch.manual_seed(0)
    return published_state(build_detector(detector_config("stream_petr_r50_428q")))


def load(state, name="stream_petr_r50_428q"):
    return load_published(state, detector_config(name), Path("official.pth"))


def test_published_names_load(state_428q):
    detector = load(state_428q)
    key = "pts_bbox_head.transformer.decoder.layers.3.attentions.1.attn.in_proj_weight"
    weight = detector.head.decoder.layers[3].cross_attention.in_proj.weight
    assert torch.equal(weight, state_428q[key])


def test_conversion_of_a_file(state_428q, tmp_path):
    path = tmp_path / "published.pth"
    torch.save({"meta": {}, "state_dict": state_428q}, path)
    detector = convert(path, "stream_petr_r50_428q")
    assert not detector.training
    assert torch.equal(
        detector.head.reference_points, state_428q["pts_bbox_head.reference_points.weight"]
    )


def test_batch_counters_may_be_absent(state_428q):
    load({k: v for k, v in state_428q.items() if not k.endswith("num_batches_tracked")})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("pts_bbox_head.memory_embed.0.weight", None, "missing"),
        ("pts_bbox_head.surprise", torch.zeros(1), "does not know"),
        ("pts_bbox_head.pc_range", torch.zeros(6), "expects"),
        ("pts_bbox_head.coords_d", None, "lacks"),
        ("pts_bbox_head.cls_branches.4.6.bias", torch.zeros(10), "shared by all layers"),
        ("pts_bbox_head.cls_branches.4.6.bias", None, "5 copies"),
        ("img_neck.lateral_convs.2.conv.bias", torch.zeros(256), "does not know"),
    ],
)
def test_every_key_counts(state_428q, key, value, reason):
    state = dict(state_428q)
    if value is None:
        del state[key]
    else:
        state[key] = value
    with pytest.raises(UserError, match=reason):
        load(state)


def test_the_wrong_model_is_named(state_428q):
    with pytest.raises(UserError, match="stream_petr_r50_900q"):
        load(state_428q, "stream_petr_r50_900q")
