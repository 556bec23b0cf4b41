"""AdamW, its schedule, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from streampetr_ros.training.config import OptimiserConfig


def build_optimiser(
    parameters: Iterable[tuple[str, nn.Parameter]], config: OptimiserConfig
) -> torch.optim.AdamW:
    """Build the optimiser.

    Args:
        parameters: trainable parameters by name; names that contain "backbone" get the lower rate.
        config: rates and decay.
    """
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in parameters:
        if parameter.requires_grad:
            (backbone if "backbone" in name else rest).append(parameter)
    groups = [
        {"params": rest, "multiplier": 1.0},
        {"params": backbone, "multiplier": config.backbone_multiplier},
    ]
    rate = config.learning_rate
    return torch.optim.AdamW(groups, lr=rate, weight_decay=config.weight_decay)


def learning_rate(step: int, config: OptimiserConfig) -> float:
    """Return the rate of a step: cosine decay, lowered linearly during warm-up.

    Args:
        step: from 0.
        config: schedule.
    """
    progress = min(step / config.steps, 1.0)
    span = 1.0 - config.final_ratio
    rate = config.learning_rate * (
        config.final_ratio + span * (1 + math.cos(math.pi * progress)) / 2
    )
    if step < config.warmup_steps:
        rate *= 1 - (1 - step / config.warmup_steps) * 2 / 3
    return rate


class AveragedWeights:
    """Exponential moving average of a module's parameters and buffers.

    Attributes:
        values: by name.

    Args:
        module: its present values start the average.
        decay: of the average; small at the start so that random weights are forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards the present values."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)
