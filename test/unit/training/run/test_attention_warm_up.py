"""Queries learn from geometry where to look."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from micro import MICRO

from streampetr_ros.core import geometry
from streampetr_ros.model.attention import MultiHeadAttention
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.model.detector import build_detector
from streampetr_ros.model.state import ModelInputs
from streampetr_ros.training.run.attention_warm_up import WarmUpConfig, warm_up_attention

CONFIG = replace(MICRO, image=ImageConfig(height=96, width=192))
FOCAL = 110.0


@pytest.fixture
def frames():
    """Six cameras in a ring, in the model frame (z up)."""
    intrinsic = np.array([[FOCAL, 0, 96, 0], [0, FOCAL, 48, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    optical = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    turns = [
        geometry.transform_from_parts(np.zeros(3), geometry.rotation_about_z(yaw))
        for yaw in np.arange(6) * np.pi / 3
    ]
    projections = np.stack([turn @ optical @ np.linalg.inv(intrinsic) for turn in turns])
    inputs = ModelInputs(
        images=torch.randn(1, 6, 3, 96, 192, generator=torch.Generator().manual_seed(0)),
        model_from_image=torch.from_numpy(projections)[None].float(),
        focal_lengths=torch.full((1, 6, 2), FOCAL),
        now_from_previous=torch.eye(4)[None],
        elapsed=torch.zeros(1),
        continues=torch.zeros(1),
    )
    return [inputs]


def build():
    torch.manual_seed(0)
    return build_detector(CONFIG)


def test_attention_moves_to_where_points_are_seen(frames):
    config = WarmUpConfig(steps=1, points=64)
    untrained = warm_up_attention(build(), frames, config, 5)
    config = WarmUpConfig(steps=60, points=64, learning_rate=3e-3)
    assert warm_up_attention(build(), frames, config, 5) > 4 * untrained


def test_what_images_show_is_left_alone_and_the_seed_decides(frames):
    config = WarmUpConfig(steps=2, points=8)
    before, one, other = build(), build(), build()
    warm_up_attention(one, frames, config, 5)
    warm_up_attention(other, frames, config, 5)
    for (name, start), first, second in zip(
        before.state_dict().items(),
        one.state_dict().values(),
        other.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(first, second), name
        if name.startswith(("backbone", "neck", "head.memory_embed", "head.spatial_alignment")):
            assert torch.equal(first, start), name
    name = "head.decoder.layers.0.cross_attention.in_proj.weight"
    assert not torch.equal(one.state_dict()[name], before.state_dict()[name])


def test_weights_are_those_of_the_attention():
    torch.manual_seed(0)
    attention = MultiHeadAttention(16, 4)
    query, key, value = (torch.randn(2, count, 16) for count in (3, 5, 5))
    weights = attention.weights(query, key)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 4, 3))
    projected = torch.nn.functional.linear(value, attention.in_proj.weight[32:])
    split = projected.unflatten(-1, (4, 4)).transpose(1, 2)
    mixed = attention.out_proj((weights @ split).transpose(1, 2).flatten(2))
    assert torch.allclose(mixed, attention(query, key, value), atol=1e-6)
