"""Dense supervision of tokens: which token shows what."""

import math

import pytest
import torch

from streampetr_ros.training.data.targets import ImageTargets
from streampetr_ros.training.losses.token_head import (
    TokenHead,
    seen_headings,
    token_losses,
    token_targets,
)

ROWS, COLUMNS, CLASSES = 4, 6, 3
FOCAL = 48.0


def objects(*rows):
    """Rows of left, top, right, bottom, depth, label; centers are those of the boxes."""
    values = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    centers = (values[:, :2] + values[:, 2:4]) / 2
    labels, places = values[:, 5].long(), torch.arange(len(values))
    return ImageTargets(values[:, :4], centers, values[:, 4], labels, places)


def codes_of(yaws):
    codes = torch.zeros(len(yaws), 8)
    codes[:, 6], codes[:, 7] = torch.tensor(yaws).sin(), torch.tensor(yaws).cos()
    return codes


def wanted(target):
    return token_targets([target], torch.tensor([FOCAL]), (ROWS, COLUMNS), CLASSES)


def test_tokens_in_the_core_of_a_box_show_its_object():
    result = wanted(objects((16, 0, 80, 64, 12.0, 1)))
    grid = result.labels[0].reshape(ROWS, COLUMNS)
    # The core is 44.8 pixels wide around pixel (48, 32); token centers are 8, 24, 40, ...
    assert (grid[1:3, 2:4] == 1).all()
    assert (grid == 1).sum() == 4
    assert (grid[grid != 1] == CLASSES).all()
    token = 1 * COLUMNS + 2
    depth, right, down, width, height = result.measures[0, token].tolist()
    assert depth == pytest.approx(math.log(12.0 * COLUMNS * 16 / FOCAL))
    assert (right, down) == (pytest.approx(8 / 64), pytest.approx(8 / 64))
    assert (width, height) == (pytest.approx(math.log(64)),) * 2


def test_the_nearer_object_is_the_one_seen():
    near, far = (0, 0, 64, 64, 5.0, 0), (0, 0, 64, 64, 20.0, 2)
    for order in ((near, far), (far, near)):
        labels = wanted(objects(*order)).labels
        assert (labels == 0).any()
        assert not (labels == 2).any()


def test_an_object_smaller_than_a_token_is_shown_by_one():
    result = wanted(objects((37, 21, 40, 25, 30.0, 2)))
    assert result.labels[0].tolist().count(2) == 1
    assert result.labels[0, 1 * COLUMNS + 2] == 2


def test_many_tokens_of_one_object_weigh_less_each():
    result = wanted(objects((16, 0, 80, 64, 12.0, 1)))
    shown = result.labels[0] == 1
    assert torch.allclose(result.weights[0, shown], torch.tensor(0.5))
    assert not result.weights[0, ~shown].any()


def test_a_heading_shows_relative_to_the_ray():
    # A vehicle ahead to the left that drives along its ray shows its back, whatever the ray.
    bearings = torch.tensor([0.3, 1.2, -2.0])
    rays = 7.0 * torch.stack([bearings.cos(), bearings.sin()], dim=-1)
    away = seen_headings(codes_of(bearings.tolist()), rays)
    assert torch.allclose(away, torch.tensor([0.0, 1.0, 0.0, 1.0]), atol=1e-6)
    crossing = seen_headings(codes_of((bearings + math.pi / 2).tolist()), rays)
    assert torch.allclose(crossing, torch.tensor([1.0, 0.0, 0.0, -1.0]), atol=1e-6)
    turned = seen_headings(codes_of((bearings + 0.4 + math.pi).tolist()), rays)
    there = seen_headings(codes_of((bearings + 0.4).tolist()), rays)
    assert torch.allclose(turned[:, :2], -there[:, :2], atol=1e-6)
    assert torch.allclose(turned[:, 2:], there[:, 2:], atol=1e-6)


def test_an_empty_image_asks_for_background_alone():
    result = wanted(objects())
    assert (result.labels == CLASSES).all()
    predictions = TokenHead(32, CLASSES)(torch.randn(1, 32, ROWS, COLUMNS))
    losses = token_losses(predictions, result, torch.zeros(1, ROWS * COLUMNS, 4))
    assert losses["token_depth"] == losses["token_place"] == losses["token_heading"] == 0
    assert losses["token_cls"] > 0


def test_losses_fall_to_nothing_when_the_head_learns_one_image():
    torch.manual_seed(0)
    head, features = TokenHead(32, CLASSES), torch.randn(1, 32, ROWS, COLUMNS)
    target = wanted(objects((0, 0, 40, 40, 8.0, 0), (50, 10, 90, 60, 25.0, 2)))
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    headings = seen_headings(codes_of([0.4, 2.5])[target.objects], torch.tensor([0.0, 1.0]))
    first = None
    for _ in range(150):
        total = sum(token_losses(head(features), target, headings).values())
        first = first if first is not None else total.item()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert total.item() < 0.1 * first
