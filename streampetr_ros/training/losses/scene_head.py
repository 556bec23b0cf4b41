"""What every aligned token says of its object in the model frame; used while training alone.

`TokenHead` asks image features for what an image shows by itself. Where an object is in the scene
and which way it heads depends on the token's ray as well, which the spatial alignment brings in
(docs/model.md 4.5). One linear layer reads it off the aligned tokens, as the decoder's projections
do, so the decoder finds it there ready for use.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.losses.loss import Losses

#: Centre, log size, sine and cosine of the heading: the box code without velocity.
_CODE_SIZE = 8
_CENTER_UNIT = 10.0
_NEAREST = 5.0


class SceneHead(nn.Module):
    """Linear reading of box codes off aligned tokens.

    Args:
        channels: C of a token.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.codes = nn.Linear(channels, _CODE_SIZE)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, C) tokens to (B, T, 8) codes: metres, log metres, sine and cosine of the yaw."""
        center, rest = self.codes(tokens).split([3, _CODE_SIZE - 3], dim=-1)
        return torch.cat([center * _CENTER_UNIT, rest], dim=-1)


def scene_targets(objects: Tensor, targets: list[Targets]) -> Tensor:
    """Look up the code of the object that every token shows.

    Args:
        objects: (B * N, t) of the images, see `TokenTargets`.
        targets: of B samples.

    Returns:
        (B, N * t, 8), of no meaning on background.
    """
    places = objects.view(len(targets), -1)
    codes = []
    for place, target in zip(places, targets, strict=True):
        padded = torch.cat([target.codes, target.codes.new_zeros(1, target.codes.shape[1])])
        codes.append(padded[place, :_CODE_SIZE])
    return torch.stack(codes)


def scene_losses(predictions: Tensor, codes: Tensor, weights: Tensor) -> Losses:
    """Return the named losses: ``scene_center`` (of the distance), ``scene_size``, ``scene_yaw``.

    Args:
        predictions: (B, T, 8).
        codes: (B, T, 8) wanted.
        weights: (B, T), 0 on background.
    """
    distances = codes[..., :2].norm(dim=-1, keepdim=True).clamp(min=_NEAREST)
    error = (predictions - codes).abs() * weights[..., None]
    center, size, yaw = error.split([3, 3, 2], dim=-1)
    total = weights.sum().clamp(min=1.0)
    return {
        "scene_center": (center / distances).sum() / total,
        "scene_size": size.sum() / total / 3,
        "scene_yaw": yaw.sum() / total / 2,
    }
