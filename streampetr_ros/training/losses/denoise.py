"""Denoising queries: noised copies of the annotated boxes that bypass matching (training only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.losses.loss import DenoisingTargets


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingConfig:
    """Size and noise of the denoising part.

    Attributes:
        groups: copies of every object; 0 switches denoising off.
        noise_scale: centre noise in half box sizes.
        split: length of the noise draw beyond which the copy becomes background.
        weight: factor on its losses.
    """

    groups: int = 10
    noise_scale: float = 1.0
    split: float = 0.75
    weight: float = 1.0


class QueryCounts(NamedTuple):
    """Sizes that shape the self-attention mask.

    Attributes:
        queries: decoder queries Q + P.
        keys: self-attention keys Q + M.
    """

    queries: int
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """Denoising queries of a batch and what they should become.

    Attributes:
        reference_points: (B, pad, 3) normalised to [0, 1] by the detection range.
        blocked: (pad + Q + P, pad + Q + M) bool, True where attention is not allowed.
        targets: used slots.
    """

    reference_points: Tensor
    blocked: Tensor
    targets: DenoisingTargets


def attention_mask(pad: int, groups: int, counts: QueryCounts, device: torch.device) -> Tensor:
    """Return the mask that hides denoising queries from the others and groups from each other.

    Args:
        pad: number of denoising slots, a multiple of `groups`.
        groups: number of groups.
        counts: sizes without denoising.
        device: where to put it.

    Returns:
        (pad + Q + P, pad + Q + M) bool, True = blocked; denoising slots come first.
    """
    blocked = torch.zeros(pad + counts.queries, pad + counts.keys, dtype=torch.bool, device=device)
    blocked[pad:, :pad] = True
    group = torch.arange(pad, device=device) // max(pad // groups, 1)
    blocked[:pad, :pad] = group[:, None] != group[None, :]
    return blocked


def draw_noise(
    targets: list[Targets], groups: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw uniform noise in [0, 1), (groups * total, 3), group by group, objects inside."""
    total = sum(len(target.labels) for target in targets)
    return torch.rand(groups * total, 3, generator=generator)


def make_denoising(
    targets: list[Targets],
    noise01: Tensor,
    config: DenoisingConfig,
    detection_range: tuple[float, ...],
    counts: QueryCounts,
    num_classes: int,
) -> Denoising | None:
    """Build the denoising queries of a batch.

    Args:
        targets: B samples with n_b objects; must be on one device.
        noise01: (groups * sum n_b, 3) draws in [0, 1), see `draw_noise`.
        config: groups and noise.
        detection_range: x, y, z minimum then maximum, metres.
        counts: sizes of the self-attention without denoising.
        num_classes: the label of background.

    Returns:
        None when there is no object at all.
    """
    sizes = [len(target.labels) for target in targets]
    if not sum(sizes) or not config.groups:
        return None
    codes = torch.cat([target.codes for target in targets]).repeat(config.groups, 1)
    labels = torch.cat([target.labels for target in targets]).repeat(config.groups)
    noise = noise01.to(codes.device) * 2 - 1
    labels = torch.where(noise.norm(dim=1) > config.split, num_classes, labels)
    centers = codes[:, :3] + noise * codes[:, 3:6].exp() / 2 * config.noise_scale
    low, high = codes.new_tensor(detection_range).view(2, 3)
    sample, slot = _slots(sizes, config.groups, codes.device)
    pad = max(sizes) * config.groups
    points = codes.new_zeros(len(targets), pad, 3)
    points[sample, slot] = ((centers - low) / (high - low)).clamp(0, 1)
    return Denoising(
        reference_points=points,
        blocked=attention_mask(pad, config.groups, counts, codes.device),
        targets=DenoisingTargets(
            sample=sample, slot=slot, labels=labels, codes=codes, split=config.split
        ),
    )


def _slots(sizes: list[int], groups: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give every replica (group-major, samples inside) its sample and its slot."""
    sample = torch.cat([torch.full((size,), b) for b, size in enumerate(sizes)])
    index = torch.cat([torch.arange(size) for size in sizes])
    group = torch.arange(groups).repeat_interleave(len(index))
    slot = group * max(sizes) + index.repeat(groups)
    return sample.repeat(groups).to(device), slot.to(device)
