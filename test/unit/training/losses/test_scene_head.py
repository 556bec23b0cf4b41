"""What aligned tokens say of objects in the model frame: lookup of their codes, and the losses."""

import math

import pytest
import torch

from streampetr_ros.model.encoding import ConditionalLayerNorm
from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.losses.token_head import SceneHead, scene_losses, scene_targets


def sample(*rows):
    """Targets from rows of x, y, yaw."""
    codes = torch.zeros(len(rows), 10)
    for code, (x, y, yaw) in zip(codes, rows, strict=True):
        code[:2] = torch.tensor([x, y])
        code[6:8] = torch.tensor([math.sin(yaw), math.cos(yaw)])
    return Targets(codes, torch.zeros(len(rows), dtype=torch.int64))


def test_every_token_gets_the_code_of_its_object():
    objects = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 0]])
    codes = scene_targets(objects, [sample((1, 2, 0.5), (3, 4, 1.0)), sample((5, 6, 0.0))])
    assert codes.shape == (2, 4, 8)
    assert codes[0, :, 0].tolist() == [3, 1, 3, 3]
    assert codes[1, :, :2].tolist() == [[5, 6]] * 4
    assert codes[0, 0, 6].item() == pytest.approx(math.sin(1.0))


def test_a_sample_without_objects_asks_for_nothing():
    codes = scene_targets(torch.zeros(1, 3, dtype=torch.int64), [sample()])
    losses = scene_losses(torch.randn(1, 3, 8), codes, torch.zeros(1, 3))
    assert all(value == 0 for value in losses.values())


def test_an_error_counts_by_the_distance_of_the_object():
    codes = scene_targets(torch.tensor([[0]]), [sample((30.0, 40.0, 0.0))])
    wrong = codes + torch.tensor([5.0, 0, 0, 0.3, 0, 0, 0.2, 0])
    losses = scene_losses(wrong, codes, torch.ones(1, 1))
    assert losses["scene_center"].item() == pytest.approx(5.0 / 50.0)
    assert losses["scene_size"].item() == pytest.approx(0.1)
    assert losses["scene_yaw"].item() == pytest.approx(0.1)


def test_headings_in_the_scene_are_learned_through_the_rays():
    """The same appearance means another heading on another ray: the alignment must bring it in."""
    torch.manual_seed(0)
    rays = torch.linspace(-1.2, 1.2, 24)
    cone = torch.stack([rays.sin(), rays.cos()], dim=-1)[None]
    seen = (torch.arange(24) % 3 - 1) * 0.8
    tokens = torch.stack([seen.sin(), seen.cos()], dim=-1)[None] @ torch.randn(2, 32)
    wanted = torch.zeros(1, 24, 8)
    wanted[0, :, 6], wanted[0, :, 7] = (seen + rays).sin(), (seen + rays).cos()
    align, head = ConditionalLayerNorm(2, 32), SceneHead(32)
    optimiser = torch.optim.Adam([*align.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(300):
        losses = scene_losses(head(align(tokens, cone)), wanted, torch.ones(1, 24))
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    assert losses["scene_yaw"] < 0.1
