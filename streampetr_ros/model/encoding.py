"""Sinusoidal codes of positions, ages and motion (docs/model.md 5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
