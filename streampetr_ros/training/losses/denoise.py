"""Denoising queries: noised copies of the annotated boxes that bypass matching (training only)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.losses.loss import (
    LossConfig,
    Losses,
    box_loss,
    layer_prefix,
    mean_over_ranks,
    one_hot,
    sigmoid_focal_loss,
)

# Share of a unit cube's noise draws that keep their class, as the published recipe writes it.
_BALL_VOLUME_FACTOR = 3.14159 / 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingConfig:
    """Size and noise of the denoising part.

    Attributes:
        groups: copies of every object; 0 switches denoising off.
        noise_scale: center noise in half box sizes.
        split: length of the noise draw beyond which the copy becomes background.
        weight: factor on its losses.
    """

    groups: int = 10
    noise_scale: float = 1.0
    split: float = 0.75
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """Denoising queries of a batch and what they should become.

    Slot s is used by a noised copy of an object of a sample; samples with fewer objects than
    others have slots that are not.

    Attributes:
        reference_points: (B, pad, 3) normalised to [0, 1] by the detection range.
        blocked: (pad + Q + P, pad + Q + M) bool, True where attention is not allowed; denoising
            queries come first.
        sample: (s,) int64 sample index of each used slot.
        slot: (s,) int64 position among the denoising queries.
        labels: (s,) int64 wanted class; the number of classes means background.
        codes: (s, 10) float32 boxes without noise.
    """

    reference_points: Tensor
    blocked: Tensor
    sample: Tensor
    slot: Tensor
    labels: Tensor
    codes: Tensor

    @property
    def pad(self) -> int:
        """Slots of a sample, used or not; 0 if there is no object at all."""
        return self.reference_points.shape[1]


def draw_noise(
    targets: list[Targets], groups: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw uniform noise in [0, 1), (groups * total, 3), group by group, objects inside."""
    total = sum(len(target.labels) for target in targets)
    return torch.rand(groups * total, 3, generator=generator)


def make_denoising(
    targets: list[Targets], noise01: Tensor, config: DenoisingConfig, model: DetectorConfig
) -> Denoising:
    """Build the denoising queries of a batch.

    Args:
        targets: B samples with n_b objects; must be on one device.
        noise01: (groups * sum n_b, 3) draws in [0, 1), see `draw_noise`.
        config: groups and noise.
        model: detection range, classes and number of queries.
    """
    groups, sizes = config.groups, [len(target.labels) for target in targets]
    codes = torch.cat([target.codes for target in targets]).repeat(groups, 1)
    labels = torch.cat([target.labels for target in targets]).repeat(groups)
    noise = noise01.to(codes.device) * 2 - 1
    labels = torch.where(noise.norm(dim=1) > config.split, model.num_classes, labels)
    centers = codes[:, :3] + noise * codes[:, 3:6].exp() / 2 * config.noise_scale
    low, high = codes.new_tensor(model.detection_range).view(2, 3)
    # Copies are ordered by group, sample and object; every group has slots for the most objects.
    sample = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    group = torch.arange(groups).repeat_interleave(len(sample))
    slot = group * max(sizes) + torch.cat([torch.arange(size) for size in sizes]).repeat(groups)
    sample, slot = sample.repeat(groups).to(codes.device), slot.to(codes.device)
    points = codes.new_zeros(len(targets), max(sizes) * groups, 3)
    points[sample, slot] = ((centers - low) / (high - low)).clamp(0, 1)
    blocked = _blocked(groups, max(sizes), model).to(codes.device)
    return Denoising(
        reference_points=points,
        blocked=blocked,
        sample=sample,
        slot=slot,
        labels=labels,
        codes=codes,
    )


def _blocked(groups: int, slots: int, model: DetectorConfig) -> Tensor:
    """Hide denoising queries from the others, and groups from each other."""
    pad = groups * slots
    keys = model.num_queries + (model.memory_length if model.temporal else 0)
    blocked = torch.zeros(pad + model.total_queries, pad + keys, dtype=torch.bool)
    blocked[pad:, :pad] = True
    group = torch.arange(groups).repeat_interleave(slots)
    blocked[:pad, :pad] = group[:, None] != group
    return blocked


def denoising_losses(
    logits: Tensor,
    codes: Tensor,
    denoising: Denoising,
    weights: LossConfig,
    config: DenoisingConfig,
) -> Losses:
    """Compute the losses of the denoising queries of every layer.

    Args:
        logits: (L, B, pad, G).
        codes: (L, B, pad, 10).
        denoising: what they should become.
        weights: of the losses.
        config: of the noise, with a common factor.

    Returns:
        Names as in `detection_losses`, with `dn_` before `loss`.
    """
    losses: Losses = {}
    used = (denoising.sample, denoising.slot)
    count = float(len(denoising.slot))
    kept = max(count * _BALL_VOLUME_FACTOR * config.split**3, 1.0)
    normaliser = max(mean_over_ranks(count, logits.device), 1.0)
    wanted = one_hot(denoising.labels, logits.shape[-1])
    for layer in range(len(logits)):
        focal = sigmoid_focal_loss(logits[layer][used], wanted).sum() / kept
        distance = box_loss(codes[layer][used], denoising.codes, weights) / normaliser
        prefix = layer_prefix(layer, len(logits))
        class_loss = config.weight * weights.class_weight * focal
        losses[f"{prefix}dn_loss_cls"] = class_loss.nan_to_num()
        losses[f"{prefix}dn_loss_bbox"] = (
            config.weight * weights.box_weight * distance
        ).nan_to_num()
    return losses
