"""Teaches queries where to look, from geometry alone, before the first training step.

A freshly initialised decoder looks everywhere. That a query should look at the tokens whose rays
pass its reference point is known from calibration, yet the losses of the boxes teach it only after
thousands of steps. Here it is the objective itself: reference points are drawn in space and
projected into the cameras, and the position codes, projections and attention weights learn to
look there. Half of the heads learn to look at the point itself, the other half around it, as far
as objects of that query may be. The image features are fixed, so a step costs a fraction of a
training step. Not part of the published recipe; meant for training from random weights.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from streampetr_ros.model.attention import DecoderLayer, MultiHeadAttention
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.head import ExtraQueries
from streampetr_ros.model.position import STRIDE, token_centers
from streampetr_ros.model.state import ModelInputs

_LOG = logging.getLogger(__name__)

_NEAREST = 2.0
_NEIGHBOURS = 12
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
        batches: of augmented frames to draw from.
        spread: standard deviation of the wanted attention around a point, network pixels.
        reach: standard deviation of the places around a point that half of the heads should look
            at, metres along the ground.
    """

    steps: int = 0
    learning_rate: float = 1e-3
    points: int = 128
    batches: int = 64
    spread: float = 16.0
    reach: float = 3.0


class _Wanted(NamedTuple):
    """What E queries should look at.

    Attributes:
        points: (E, 3) normalised.
        attention: (2, E, T), at the points and around them, rows of sum 1 (0 where unseen).
    """

    points: Tensor
    attention: Tensor


def warm_up_attention(
    detector: Detector, frames: Sequence[ModelInputs], config: WarmUpConfig, seed: int
) -> float:
    """Train the attention of a detector on geometry.

    Args:
        detector: changed in place; backbone and neck are left alone.
        frames: augmented, on the device of the detector.
        config: schedule.
        seed: of everything random.

    Returns:
        Share of the attention of the heads for the points themselves that lay where it should in
        the last step, in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = _where_not_what(detector)
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=_WEIGHT_DECAY)
    detector.eval()
    views = [view for batch in frames for view in _views(detector, batch)]
    share = 0.0
    for step in tqdm(range(config.steps), "attention warm-up", unit="step", mininterval=5.0):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _schedule(step / config.steps)
        view = views[int(torch.randint(len(views), (), generator=generator))]
        wanted = _wanted(view.inputs, detector.config, config, generator)
        # (L, heads, E, T) -> (L, 2, E, T), each half of the heads averaged
        looked = _looked(detector, view, wanted.points).unflatten(1, (2, -1)).mean(dim=2)
        loss = -(wanted.attention * looked.clamp(min=1e-9).log()).sum(dim=-1)
        optimiser.zero_grad(set_to_none=True)
        loss.mean().backward()
        nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
        optimiser.step()
        share = _share(looked.detach(), wanted)
    _LOG.info("attention warm-up: %.0f %% of the attention lies where it should", 100 * share)
    return share


def _looked(detector: Detector, view: _View, points: Tensor) -> Tensor:
    """Return how much queries at E points look at every token: (L, heads, E, T), rows of sum 1."""
    maps = []

    def note(attention: MultiHeadAttention, given: tuple[Tensor, ...]) -> None:
        query, key = given[0], given[1]
        maps.append(attention.weights(query[:, : len(points)], key)[0])

    layers = cast("Iterable[DecoderLayer]", detector.head.decoder.layers)
    hooks = [layer.cross_attention.register_forward_pre_hook(note) for layer in layers]
    position = detector.token_position(view.inputs)
    detector.predict(view.features, position, view.inputs, None, ExtraQueries(points[None]))
    for hook in hooks:
        hook.remove()
    return torch.stack(maps)


def _where_not_what(detector: Detector) -> list[nn.Parameter]:
    """Return the parameters that may move attention.

    Those that make tokens of features are spared: they would learn to blank out what an image
    shows, which only disturbs this objective, and is all that the next one has to go by.
    """
    head = detector.head
    tokens = (*head.memory_embed.parameters(), *head.spatial_alignment.parameters())
    spared = {id(parameter) for parameter in tokens}
    parameters = (*detector.position.parameters(), *head.parameters())
    return [parameter for parameter in parameters if id(parameter) not in spared]


class _View(NamedTuple):
    """One stream of a batch, its images replaced by their features (1, N, C, h, w)."""

    inputs: ModelInputs
    features: Tensor


@torch.no_grad()
def _views(detector: Detector, batch: ModelInputs) -> list[_View]:
    features = detector.encode_images(batch.images)
    views = []
    for row in range(len(features)):
        parts = (None if value is None else value[row : row + 1] for value in batch)
        inputs = ModelInputs._make(parts)
        views.append(_View(inputs._replace(images=inputs.images[:, :0]), features[row : row + 1]))
    return views


def _schedule(progress: float) -> float:
    return min(1.0, (progress + 1e-2) / _RAMP_SHARE) * (1 + math.cos(math.pi * progress)) / 2


def _wanted(
    inputs: ModelInputs, model: DetectorConfig, config: WarmUpConfig, generator: torch.Generator
) -> _Wanted:
    """Draw points, as many near as far, and spread the wanted attention at and around them."""
    low, high = torch.tensor(model.detection_range).chunk(2)
    radii = torch.rand(config.points, generator=generator) * math.log(float(high[0]) / _NEAREST)
    radii = _NEAREST * radii.exp()
    angles = 2 * math.pi * torch.rand(config.points, generator=generator)
    heights = low[2] + torch.rand(config.points, generator=generator) * (high[2] - low[2])
    points = torch.stack([radii * angles.cos(), radii * angles.sin(), heights], dim=-1)
    points = points.clamp(low, high)
    away = torch.randn(config.points, _NEIGHBOURS, 3, generator=generator) * config.reach
    away = away * away.new_tensor([1.0, 1.0, 0.0])
    device = inputs.model_from_image.device
    at = _token_shares(points[:, None].to(device), inputs, model, config.spread)
    around = _token_shares((points[:, None] + away).to(device), inputs, model, config.spread)
    normalised = (points - low) / (high - low)
    return _Wanted(normalised.to(device), torch.stack([at, around]))


def _token_shares(
    points: Tensor, inputs: ModelInputs, model: DetectorConfig, spread: float
) -> Tensor:
    """Return how E groups of points share attention among tokens.

    Args:
        points: (E, k, 3) model frame.
        inputs: one stream of N cameras.
        model: image size.
        spread: pixels.

    Returns:
        (E, N * h * w), rows of sum 1, or 0 where no camera sees a point of the group.
    """
    # The inverse of a projection is taken in float64: depths make its columns unlike in size.
    image_from_model = torch.linalg.inv(inputs.model_from_image[0].double()).float()
    image_from_model = image_from_model[:, None]
    scaled = points @ image_from_model[..., :3, :3].mT + image_from_model[..., None, :3, 3]
    depths = scaled[..., 2]
    pixels = scaled[..., :2] / depths.clamp(min=_SMALLEST_DEPTH)[..., None]
    size = pixels.new_tensor([model.image.width, model.image.height])
    visible = (depths > _SMALLEST_DEPTH) & (pixels > 0).all(dim=-1) & (pixels < size).all(dim=-1)
    rows, columns = model.image.height // STRIDE, model.image.width // STRIDE
    centers = token_centers(rows, columns).to(pixels)
    apart = (pixels[..., None, :] - centers).square().sum(dim=-1)
    nearness: Tensor = (torch.exp(-apart / (2 * spread**2)) * visible[..., None]).sum(dim=2)
    # (N, E, h * w) -> (E, N * h * w), tokens ordered camera by camera as in the head
    nearness = nearness.transpose(0, 1).flatten(1)
    return nearness / nearness.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _share(looked: Tensor, wanted: _Wanted) -> float:
    at = wanted.attention[0]
    near = at > 0.1 * at.amax(dim=1, keepdim=True)
    return float((looked[:, 0] * near).sum(dim=-1)[:, at.any(dim=1)].mean())
