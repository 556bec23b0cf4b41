"""Codes of positions, ages and motion, and layers that they act in (docs/model.md 4.4 and 5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Inverse sigmoids are clamped this far from 0 and 1, as the published weights saw them.
LOGIT_EPS = 1e-5
_NERF_OCTAVES = 6


def inverse_sigmoid(x: Tensor) -> Tensor:
    """Logit of x clamped to [0, 1], saturating at about +-11.51; any shape."""
    x = x.clamp(0.0, 1.0)
    return torch.log(x.clamp(min=LOGIT_EPS) / (1.0 - x).clamp(min=LOGIT_EPS))


def sine_code(values: Tensor, size: int) -> Tensor:
    """Sine and cosine interleaved over geometric wavelengths.

    Args:
        values: (...,), one turn per unit.
        size: numbers per value.

    Returns:
        (..., size).
    """
    index = torch.arange(size // 2, dtype=torch.float32, device=values.device)
    wavelength = 10000.0 ** (2.0 * index / size)
    angle = (2.0 * math.pi * values)[..., None] / wavelength
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def position_code(points: Tensor, size: int) -> Tensor:
    """Code of normalised points, axes in the published order y, x, z.

    Args:
        points: (..., 3) in [0, 1] of the detection range.
        size: numbers per axis.

    Returns:
        (..., 3 * size).
    """
    # A list as index would be uploaded at every call, which CUDA graphs do not allow.
    ordered = torch.cat([points[..., 1:2], points[..., :1], points[..., 2:]], dim=-1)
    return sine_code(ordered, size).flatten(-2)


def motion_code(motion: Tensor) -> Tensor:
    """Code of a motion vector: per octave all sines, then all cosines; no factor of pi.

    Args:
        motion: (..., 15) velocity, age and the rows of a 3x4 pose.

    Returns:
        (..., 180).
    """
    parts = []
    for octave in range(_NERF_OCTAVES):
        scaled = motion * float(2**octave)
        parts += [scaled.sin(), scaled.cos()]
    return torch.cat(parts, dim=-1)


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
