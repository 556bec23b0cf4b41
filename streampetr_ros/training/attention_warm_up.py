"""Teaches queries where to look, from geometry alone, before the first training step.

A freshly initialised decoder looks everywhere. That a query should look at the tokens whose rays
pass its reference point is known from calibration, yet the losses of the boxes teach it only after
thousands of steps. Here it is the objective itself: reference points are drawn in space and
projected into the cameras, and the position codes, projections and attention weights learn to
look there. No image is needed, noise stands in for the features, so a step costs a fraction of a
training step. Not part of the published recipe; meant for training from random weights.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.position import STRIDE, token_centers
from streampetr_ros.model.state import ModelInputs

_LOG = logging.getLogger(__name__)

_NEAREST = 2.0
_CLIP_NORM = 5.0
_RAMP_SHARE = 0.1
_SMALLEST_DEPTH = 0.5
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpConfig:
    """Schedule of the attention warm-up.

    Attributes:
        steps: optimiser steps; 0 for none.
        learning_rate: peak, with a linear ramp and cosine decay.
        points: reference points per step.
        calibrations: batches of augmented calibrations to draw from.
        spread: standard deviation of the wanted attention around a point, network pixels.
    """

    steps: int = 0
    learning_rate: float = 1e-3
    points: int = 128
    calibrations: int = 64
    spread: float = 20.0


class _Wanted(NamedTuple):
    """Points and where queries at them should look: (E, 3), (E, T) rows of sum 1, (E,) bool."""

    points: Tensor
    attention: Tensor
    visible: Tensor


def warm_up_attention(
    detector: Detector, calibrations: Sequence[ModelInputs], config: WarmUpConfig, seed: int
) -> float:
    """Train the attention of a detector on geometry.

    Args:
        detector: changed in place; the backbone is left alone.
        calibrations: of augmented frames, on the device of the detector; images are not looked at.
        config: schedule.
        seed: of everything random.

    Returns:
        Share of the attention that lay where it should in the last step, in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    parts = (detector.position, detector.head)
    parameters = [parameter for part in parts for parameter in part.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=_WEIGHT_DECAY)
    detector.eval()
    share = 0.0
    for step in tqdm(range(config.steps), "attention warm-up", unit="step", mininterval=5.0):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _schedule(step / config.steps)
        inputs = _one_stream(calibrations, generator)
        wanted = _wanted(inputs, detector.config, config, generator)
        looked = _looked(detector, inputs, wanted, generator)
        loss = -(wanted.attention * looked.clamp(min=1e-9).log()).sum(dim=-1).mean(dim=0)
        optimiser.zero_grad(set_to_none=True)
        (loss * wanted.visible).mean().backward()
        nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
        optimiser.step()
        share = _share(looked, wanted)
    _LOG.info("attention warm-up: %.0f %% of the attention lies where it should", 100 * share)
    return share


def _schedule(progress: float) -> float:
    return min(1.0, (progress + 1e-2) / _RAMP_SHARE) * (1 + math.cos(math.pi * progress)) / 2


def _one_stream(calibrations: Sequence[ModelInputs], generator: torch.Generator) -> ModelInputs:
    """Draw one stream of one batch."""
    batch = calibrations[int(torch.randint(len(calibrations), (), generator=generator))]
    row = int(torch.randint(len(batch.continues), (), generator=generator))
    return ModelInputs(*(None if value is None else value[row : row + 1] for value in batch))


def _wanted(
    inputs: ModelInputs, model: DetectorConfig, config: WarmUpConfig, generator: torch.Generator
) -> _Wanted:
    """Draw points, as many near as far, and spread the wanted attention around their images."""
    low, high = torch.tensor(model.detection_range).chunk(2)
    radii = torch.rand(config.points, generator=generator) * math.log(float(high[0]) / _NEAREST)
    radii = _NEAREST * radii.exp()
    angles = 2 * math.pi * torch.rand(config.points, generator=generator)
    heights = low[2] + torch.rand(config.points, generator=generator) * (high[2] - low[2])
    points = torch.stack([radii * angles.cos(), radii * angles.sin(), heights], dim=-1)
    points = points.to(inputs.model_from_image)
    # The inverse of a projection is taken in float64: depths make its columns unlike in size.
    image_from_model = torch.linalg.inv(inputs.model_from_image[0].double()).float()
    scaled = points @ image_from_model[:, :3, :3].mT + image_from_model[:, None, :3, 3]
    depths = scaled[..., 2]
    pixels = scaled[..., :2] / depths.clamp(min=_SMALLEST_DEPTH)[..., None]
    size = pixels.new_tensor([model.image.width, model.image.height])
    visible = (depths > _SMALLEST_DEPTH) & (pixels > 0).all(dim=-1) & (pixels < size).all(dim=-1)
    away = (pixels[:, :, None] - token_centers(*_token_grid(model)).to(pixels)).square().sum(dim=-1)
    nearness = torch.exp(-away / (2 * config.spread**2)) * visible[..., None]
    # (N, E, h * w) -> (E, N * h * w), tokens ordered camera by camera as in the head
    nearness = nearness.transpose(0, 1).flatten(1)
    attention = nearness / nearness.sum(dim=1, keepdim=True).clamp(min=1e-6)
    normalised = (points - low.to(points)) / (high - low).to(points)
    return _Wanted(normalised, attention, visible.any(dim=0))


def _token_grid(model: DetectorConfig) -> tuple[int, int]:
    """Return how many tokens stand in a column and in a row."""
    return model.image.height // STRIDE, model.image.width // STRIDE


def _looked(
    detector: Detector, inputs: ModelInputs, wanted: _Wanted, generator: torch.Generator
) -> Tensor:
    """Return where the queries look in every layer, (L, E, T), averaged over heads."""
    model = detector.config
    cameras = inputs.model_from_image.shape[1]
    shape = (1, cameras, model.embed_dims, *_token_grid(model))
    features = torch.randn(shape, generator=generator).to(inputs.model_from_image)
    maps = detector.token_attention(features, inputs, wanted.points[None])
    return maps[:, 0].mean(dim=1)


@torch.no_grad()
def _share(looked: Tensor, wanted: _Wanted) -> float:
    near = wanted.attention > 0.1 * wanted.attention.amax(dim=1, keepdim=True)
    return float((looked * near).sum(dim=-1)[:, wanted.visible].mean())
