"""Losses of the 3D predictions of the learned and the propagated queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import functional

from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.losses.matcher import FOCAL_ALPHA, located, match_boxes

#: Named scalar losses; their plain sum is minimised.
Losses = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """Weights of the 3D losses.

    Attributes:
        class_weight: factor of the focal loss.
        box_weight: factor of the L1 loss.
        code_weights: factors on the ten entries of the box code, in loss and matching.
        velocity_weight: replaces the last two of `code_weights` in the loss (0.2 for PETR).
        memory_bonus: taken off the matching cost of queries that come from the memory, so that
            they keep their objects where a learned query would do as well. 0 as published; needed
            where single frames were trained first and learned queries are better at everything.
    """

    class_weight: float = 2.0
    box_weight: float = 0.25
    code_weights: tuple[float, ...] = (2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    velocity_weight: float = 1.0
    memory_bonus: float = 0.0

    def __post_init__(self) -> None:
        if len(self.code_weights) != 10:
            raise ValueError(f"code_weights needs 10 numbers, got {len(self.code_weights)}")


def mean_over_ranks(count: float, device: torch.device) -> float:
    """Average a count over the processes of a distributed run; the identity outside of one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return count
    value = torch.tensor([count], dtype=torch.float64, device=device)
    distributed.all_reduce(value)
    return float(value) / distributed.get_world_size()


def sigmoid_focal_loss(logits: Tensor, one_hot: Tensor) -> Tensor:
    """Return the elementwise focal loss (alpha 0.25, gamma 2) in the shape of `logits`."""
    probability = logits.sigmoid()
    error = probability * (1 - one_hot) + (1 - probability) * one_hot
    balance = FOCAL_ALPHA * one_hot + (1 - FOCAL_ALPHA) * (1 - one_hot)
    entropy = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
    return entropy * balance * error.square()


def box_loss(codes: Tensor, wanted: Tensor, config: LossConfig) -> Tensor:
    """Return the summed, weighted L1 distance of matched boxes.

    Rows whose target is not finite (unknown velocity, degenerate size) do not count.

    Args:
        codes: (m, 10) predictions.
        wanted: (m, 10) encoded targets.
        config: weights.
    """
    weights = codes.new_tensor(config.code_weights)
    weights[8:] = weights[8:] * config.velocity_weight
    usable = wanted.isfinite().all(dim=-1)
    return ((codes[usable] - wanted[usable]).abs() * weights).sum()


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Encode labels; `num_classes` itself means background and gives zeros."""
    return functional.one_hot(labels, num_classes + 1)[..., :num_classes].float()


def layer_prefix(layer: int, num_layers: int) -> str:
    """Return what stands before the names of the losses of a decoder layer."""
    return "" if layer == num_layers - 1 else f"d{layer}."


def memory_bonus(config: LossConfig, continues: Tensor, queries: int, propagated: int) -> Tensor:
    """Return what is taken off the matching cost of every query.

    Args:
        config: weights.
        continues: (B,) 1 where the memory belongs to the drive.
        queries: learned queries Q.
        propagated: queries from the memory P.

    Returns:
        (B, Q + P).
    """
    bonus = continues.new_zeros(len(continues), queries + propagated)
    bonus[:, queries:] = config.memory_bonus * continues[:, None]
    return bonus


def detection_losses(
    logits: Tensor,
    codes: Tensor,
    targets: list[Targets],
    config: LossConfig,
    bonus: Tensor | None = None,
) -> Losses:
    """Match and compute the losses of every decoder layer.

    Args:
        logits: (L, B, Q + P, G).
        codes: (L, B, Q + P, 10).
        targets: B.
        config: weights.
        bonus: (B, Q + P), see `memory_bonus`.

    Returns:
        `loss_cls` and `loss_bbox` of the last layer, the same with prefix `d0.` ... of the others.
    """
    losses: Losses = {}
    weights = codes.new_tensor(config.code_weights)
    extra_cost = logits.new_zeros(logits.shape[1:3]) if bonus is None else -bonus
    classes = logits.shape[-1]
    for layer in range(len(logits)):
        matches = [
            match_boxes(logits[layer, b], codes[layer, b], target, weights, extra_cost[b])
            for b, target in enumerate(targets)
        ]
        sample, query = located(matches)
        pairs = list(zip(targets, matches, strict=True))
        labels = torch.full(logits.shape[1:3], classes, device=logits.device)
        labels[sample, query] = torch.cat([t.labels[match.objects] for t, match in pairs])
        wanted = torch.cat([t.codes[match.objects] for t, match in pairs])
        count = float(len(query))
        focal = sigmoid_focal_loss(logits[layer], one_hot(labels, classes)).sum()
        distance = box_loss(codes[layer][sample, query], wanted, config)
        normaliser = max(mean_over_ranks(count, logits.device), 1.0)
        prefix = layer_prefix(layer, len(logits))
        losses[f"{prefix}loss_cls"] = (config.class_weight * focal / max(count, 1.0)).nan_to_num()
        losses[f"{prefix}loss_bbox"] = (config.box_weight * distance / normaliser).nan_to_num()
    return losses
