"""What goes wrong in training: one sentence with file and remedy, and no finished work lost."""

import csv
import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from micro import MICRO, make_trainer, steps_for, train, train_config
from published_names import backbone_key
from safetensors.torch import save_file
from scenes import Scenes

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.backbones import BACKBONES
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.model.detector import build_detector
from streampetr_ros.training.config import DataConfig, OptimiserConfig
from streampetr_ros.training.data import frame_cache
from streampetr_ros.training.data.dataset import SampleDataset, load_steps
from streampetr_ros.training.data.sampler import Share, split_sequences, streaming_requests
from streampetr_ros.training.data.synthetic_data import SyntheticSequences
from streampetr_ros.training.losses.objective import Objective
from streampetr_ros.training.run import progress, start
from streampetr_ros.training.run.loop import run


class Failing(Scenes):
    """Scenes of which one frame cannot be loaded."""

    def __init__(self, failure):
        super().__init__(lengths=(4, 4))
        self._failure = failure

    def frame_set(self, sequence, frame):
        if frame == 2:
            self._failure()
        return super().frame_set(sequence, frame)


def absent():
    raise UserError("cannot read image 'a.jpg'")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def steps_of(source, workers):
    requests = streaming_requests(split_sequences(source.lengths(), 1), Share(batch_size=1), 0)
    dataset = SampleDataset(source, MICRO, train_config())
    return load_steps(dataset, requests, workers)


def test_loading_processes_change_nothing(tmp_path):
    trainer = make_trainer(tmp_path)
    alone, helped = steps_for(trainer), steps_for(trainer, workers=2)
    for _ in range(4):
        for first, second in zip(next(alone), next(helped), strict=True):
            assert first[0].continues == second[0].continues
            assert np.array_equal(first[0].sample.images, second[0].sample.images)
            assert torch.equal(first[0].sample.targets.codes, second[0].sample.targets.codes)


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_frame_keeps_what_was_learned(tmp_path, workers):
    trainer = make_trainer(tmp_path, train_config(batch_size=1))
    with pytest.raises(UserError, match=r"^cannot read image 'a.jpg'$"):
        run(trainer, steps_of(Failing(absent), workers))
    again = make_trainer(tmp_path, train_config(batch_size=1))
    again.restore()
    assert again.step == 2


def test_killed_loading_process_is_named(tmp_path):
    trainer = make_trainer(tmp_path, train_config(batch_size=1))
    with pytest.raises(UserError, match=r"loading process ended .*fewer data.workers"):
        run(trainer, steps_of(Failing(killed), 1))


def _train_until_killed(folder):
    torch.set_num_threads(1)
    optimiser = OptimiserConfig(steps=100_000)
    trainer = make_trainer(folder, train_config(checkpoint_minutes=0.0, optimiser=optimiser))
    run(trainer, steps_for(trainer))


def test_killed_run_goes_on_from_its_checkpoint(tmp_path):
    process = torch.multiprocessing.get_context("spawn").Process(
        target=_train_until_killed, args=(tmp_path,)
    )
    process.start()
    curves = tmp_path / "curves.csv"
    while process.is_alive() and not (curves.exists() and len(rows_of(curves)) >= 3):
        time.sleep(0.05)
    process.kill()
    process.join()
    trainer = make_trainer(tmp_path)
    trainer.restore()
    assert trainer.step >= 2
    assert run(trainer, steps_for(trainer))


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_full_disk_costs_points_of_the_curves_only(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress.Curves, "write", full)
    trainer = make_trainer(tmp_path)
    assert run(trainer, steps_for(trainer))
    assert "cannot write curves: No space left" in caplog.text


def test_same_name_with_another_architecture(tmp_path):
    make_trainer(tmp_path).save()
    torch.manual_seed(0)
    other = make_trainer(tmp_path)
    other.objective.detector = build_detector(replace(MICRO, embed_dims=128))
    with pytest.raises(UserError, match=r"last.pt' was written with another architecture"):
        other.restore()


def test_weights_to_start_from(tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights(path, build_detector(MICRO), {})
    config = train_config(initial_weights=str(path))
    with pytest.raises(UserError, match=r"other.safetensors' are for model 'micro', not"):
        start.build_objective(config)
    with pytest.raises(UserError, match=r"none.safetensors' does not exist"):
        start.build_objective(replace(config, initial_weights=str(tmp_path / "none.safetensors")))


def test_backbone_weights(tmp_path):
    detector = build_detector(MICRO)
    state = {f"img_backbone.{k}": v.contiguous() for k, v in detector.backbone.state_dict().items()}
    good = tmp_path / "good.safetensors"
    save_file(state, good)
    other = build_detector(MICRO)
    start.load_backbone(other, good)
    for name, value in detector.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[name])
    for name, content in (("half.safetensors", good.read_bytes()[:500]), ("half.pth", b"PK half")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"(backbone weights|checkpoint) '.*{name}' .* again"):
            start.load_backbone(other, tmp_path / name)
    torch.save({"state_dict": {}}, tmp_path / "empty.pth")
    with pytest.raises(UserError, match=r"lack '.*they are not of a resnet_tiny"):
        start.load_backbone(other, tmp_path / "empty.pth")


@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_weights_with_published_names(name, monkeypatch, tmp_path):
    with torch.device("meta"):
        trunk = BACKBONES[name]()
    own = trunk.state_dict()
    given = {f"img_backbone.{backbone_key(name, key)}": value for key, value in own.items()}
    assert len(given) == len(own)
    assert not given.keys() & own.keys()
    monkeypatch.setattr(start, "_read_state", lambda *_: given)
    monkeypatch.setattr(trunk, "load_state_dict", partial(trunk.load_state_dict, assign=True))
    detector = SimpleNamespace(backbone=trunk, config=SimpleNamespace(backbone=name))
    start.load_backbone(detector, tmp_path / "trunk.pth")
    del given[next(iter(given))]
    with pytest.raises(UserError, match=f"trunk.pth' lack .* they are not of a {name}"):
        start.load_backbone(detector, tmp_path / "trunk.pth")


def test_auxiliary_heads_to_start_from(tmp_path):
    config = train_config(image_head=False, token_head=True)
    trainer = make_trainer(tmp_path, config)
    train(trainer, 2)
    start.export_weights(trainer, tmp_path)
    path = tmp_path / start.HEADS_FILE
    fresh = Objective(build_detector(MICRO), config)
    start.load_auxiliary_heads(fresh, path)
    for name, value in fresh.auxiliary_state().items():
        assert torch.equal(value, trainer.average.values[name]), name
    assert any(name.startswith("scene_head.") for name in fresh.auxiliary_state())
    with pytest.raises(UserError, match=r"auxiliary_heads.safetensors' lack 'image_head\."):
        start.load_auxiliary_heads(Objective(build_detector(MICRO), train_config()), path)
    wide = Objective(build_detector(replace(MICRO, embed_dims=128)), config)
    with pytest.raises(UserError, match=r"has shape .*; they are of another model"):
        start.load_auxiliary_heads(wide, path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot read auxiliary heads .* download"):
        start.load_auxiliary_heads(fresh, path)


def test_frame_cache_on_a_full_disk_and_damaged(tmp_path, monkeypatch):
    data = DataConfig(sequences=1, frames=1, cache=str(tmp_path))
    source = SyntheticSequences(data, ImageConfig(height=32, width=96))
    source.frame_set(0, 0)
    (stored,) = tmp_path.glob("*/*.npz")
    stored.write_bytes(stored.read_bytes()[:100])
    again = SyntheticSequences(data, ImageConfig(height=32, width=96))
    with pytest.raises(UserError, match=r"\.npz' are damaged .*delete"):
        again.frame_set(0, 0)
    stored.unlink()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_cache.np, "savez", full)
    with pytest.raises(UserError, match=r"No space left on device.*another data.cache"):
        again.frame_set(0, 0)
    assert not list(tmp_path.glob("*/*.npz"))


def test_missing_tensorboard_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    trainer = make_trainer(tmp_path, train_config(tensorboard=True))
    with pytest.raises(UserError, match=r"need tensorboardX .*pip install"):
        run(trainer, steps_for(trainer))


def test_curves_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    trainer = make_trainer(tmp_path, train_config(tensorboard=True))
    assert run(trainer, steps_for(trainer))
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    for name in rows_of(tmp_path / "curves.csv")[0]:
        assert name == "step" or name.encode() in content
