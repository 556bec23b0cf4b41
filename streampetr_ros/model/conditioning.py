"""Layers that let a code modulate features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConditionalLayerNorm(nn.Module):
    """Layer norm without parameters whose scale and shift come from a code (docs/model.md 4.4).

    Args:
        code_size: numbers in the code.
        channels: width C.
    """

    def __init__(self, code_size: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(code_size, channels)
        self.gamma = nn.Linear(channels, channels)
        self.beta = nn.Linear(channels, channels)
        nn.init.zeros_(self.gamma.weight)
        nn.init.ones_(self.gamma.bias)
        nn.init.zeros_(self.beta.weight)
        nn.init.zeros_(self.beta.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(..., C) features and (..., code_size) code to (..., C)."""
        hidden = F.relu(self.reduce(code))
        scaled: Tensor = self.gamma(hidden) * F.layer_norm(x, x.shape[-1:])
        return scaled.add(self.beta(hidden))


class FeatureGate(nn.Module):
    """Scales a position code channel by channel, driven by image features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels)
        self.expand = nn.Linear(channels, channels)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """(..., C) code and (..., C) features to (..., C)."""
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(features))))


def two_layer(channels_in: int, hidden: int, channels_out: int) -> nn.Sequential:
    """Linear, ReLU, linear."""
    return nn.Sequential(nn.Linear(channels_in, hidden), nn.ReLU(), nn.Linear(hidden, channels_out))
