"""Losses, denoising, schedule and files at their edges."""

import math

import numpy as np
import pytest
import torch
from micro import MICRO

from streampetr_ros.core.errors import UserError
from streampetr_ros.training.config import OptimiserConfig
from streampetr_ros.training.data.targets import ImageTargets, Targets
from streampetr_ros.training.losses import denoise, loss, matcher
from streampetr_ros.training.losses.image_head import ImageHead, image_losses
from streampetr_ros.training.run.optimiser import AveragedWeights, build_optimiser, learning_rate
from streampetr_ros.training.run.run_state import load_state, save_atomically


def targets(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, 10, generator=rng)
    return Targets(codes, torch.arange(count) % 10)


def test_matching_follows_permutation():
    torch.manual_seed(0)
    logits, codes, weights = torch.randn(20, 10), torch.randn(20, 10), torch.ones(10)
    order = torch.randperm(20)
    first = matcher.match_boxes(logits, codes, targets(5), weights)
    second = matcher.match_boxes(logits[order], codes[order], targets(5), weights)
    pairs = set(zip(first.queries.tolist(), first.objects.tolist(), strict=True))
    assert pairs == set(zip(order[second.queries].tolist(), second.objects.tolist(), strict=True))


@pytest.mark.parametrize(("memory_bonus", "continues", "asked"), [(0, 1, 0), (1, 1, 2), (1, 0, 0)])
def test_memory_keeps_its_object_with_a_bonus(memory_bonus, continues, asked):
    config = loss.LossConfig(memory_bonus=memory_bonus)
    target = targets(1)
    logits = torch.full((1, 1, 4, 10), -4.0)
    logits[..., [0, 2], 0] = torch.tensor([0.5, -0.5])
    logits.requires_grad_()
    codes = target.codes.expand(1, 1, 4, 10).clone()
    bonus = loss.memory_bonus(config, torch.tensor([float(continues)]), 2, 2)
    losses = loss.detection_losses(logits, codes, [target], config, bonus)
    losses["loss_cls"].backward()
    assert (logits.grad[0, 0, :, 0] < 0).nonzero().flatten().tolist() == [asked]


def test_losses_without_objects_have_gradients():
    logits = torch.zeros(2, 1, 6, 10, requires_grad=True)
    codes = torch.zeros(2, 1, 6, 10, requires_grad=True)
    losses = loss.detection_losses(logits, codes, [targets(0)], loss.LossConfig())
    assert set(losses) == {"loss_cls", "loss_bbox", "d0.loss_cls", "d0.loss_bbox"}
    sum(losses.values()).backward()
    assert float(codes.grad.abs().sum()) == 0


def test_non_finite_predictions_still_match():
    logits = torch.zeros(6, 10)
    logits[0] = math.nan
    assert len(matcher.match_boxes(logits, torch.zeros(6, 10), targets(3), torch.ones(10)).queries)


def test_denoising_of_an_uneven_batch():
    batch = [targets(2), targets(0), targets(3)]
    noise = denoise.draw_noise(batch, 4, torch.Generator().manual_seed(0))
    config = denoise.DenoisingConfig(groups=4)
    made = denoise.make_denoising(batch, noise, config, MICRO)
    queries, keys = MICRO.total_queries, MICRO.num_queries + MICRO.memory_length
    assert made.reference_points.shape == (3, 12, 3)
    assert made.blocked.shape == (12 + queries, 12 + keys)
    assert float(made.reference_points[1].abs().sum()) == 0
    assert made.slot[:5].tolist() == [0, 1, 0, 1, 2]
    nothing = denoise.make_denoising([targets(0)], noise[:0], config, MICRO)
    assert nothing.pad == len(nothing.slot) == 0
    assert not nothing.blocked.any()


def test_image_head_without_objects():
    head = ImageHead(32, 10)
    nothing = ImageTargets(
        boxes=torch.zeros(0, 4),
        centers=torch.zeros(0, 2),
        depths=torch.zeros(0),
        labels=torch.zeros(0, dtype=torch.int64),
        objects=torch.zeros(0, dtype=torch.int64),
    )
    losses = image_losses(head(torch.randn(2, 32, 4, 6)), [nothing, nothing], (4, 6))
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())


def test_schedule():
    config = OptimiserConfig(learning_rate=1.0, steps=1000, warmup_steps=10, final_ratio=0.01)
    assert learning_rate(0, config) == pytest.approx(1 / 3)
    assert learning_rate(1000, config) == pytest.approx(0.01)
    assert learning_rate(500, config) == pytest.approx(0.505)


def test_groups_and_average():
    model = torch.nn.ModuleDict({"backbone": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    optimiser = build_optimiser(model.named_parameters(), OptimiserConfig(backbone_multiplier=0.1))
    assert [len(group["params"]) for group in optimiser.param_groups] == [2, 2]
    average = AveragedWeights(model, 0.5)
    torch.nn.init.zeros_(model["head"].weight)
    for step in range(200):
        average.update(model, step)
    np.testing.assert_allclose(average.values["head.weight"], 0, atol=1e-6)


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_atomically({"step": 1}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left"):
        save_atomically({"step": 2}, path)
    assert load_state(path, torch.device("cpu"))["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_bad_files(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_state(tmp_path / "last.pt", torch.device("cpu"))
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(UserError, match="damaged"):
        load_state(tmp_path / "last.pt", torch.device("cpu"))
