"""What every image token shows: dense supervision of the image features, in training alone.

A token inside the visible box of an object says its class, its depth, where its center is, how
large it looks and which side of it one sees. Nothing is matched, so backbone and neck learn to see
long before a decoder asks them, as with the published weights whose backbones were trained for
monocular detection first (FCOS3D, DD3D). Depths are asked for as at one focal length, because an
image does not show it.

Where an object is in the scene and which way it heads depends on the token's ray as well, which the
spatial alignment brings in (docs/model.md 4.5): `SceneHead` reads it off the aligned tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from streampetr_ros.model.position import STRIDE, token_centers
from streampetr_ros.training.data.targets import ImageTargets, Targets
from streampetr_ros.training.losses.image_head import PRIOR_BIAS, conv_block, per_token
from streampetr_ros.training.losses.loss import Losses, one_hot, sigmoid_focal_loss

_CORE = 0.7
_OFFSET_UNIT = 4 * STRIDE
_CLASS_WEIGHT = 2.0
# Center, log size, sine and cosine of the heading: the box code without velocity.
_CODE_SIZE = 8
_CENTER_UNIT = 10.0
_NEAREST = 5.0


class TokenPredictions(NamedTuple):
    """What the t tokens of I images say.

    Attributes:
        logits: (I, t, G).
        measures: (I, t, 5): log depth at a focal length of one image width, offset of the
            projected center in units of 64 pixels, log width and height in pixels.
        headings: (I, t, 4), see `seen_headings`.
    """

    logits: Tensor
    measures: Tensor
    headings: Tensor


class TokenTargets(NamedTuple):
    """What they should say.

    Attributes:
        labels: (I, t) class, G for background.
        measures: (I, t, 5) as predicted; of no meaning on background.
        weights: (I, t), of every object the same in sum but for a square root; 0 on background.
        objects: (I, t) place of the object in the `Targets` of its sample; 0 on background.
    """

    labels: Tensor
    measures: Tensor
    weights: Tensor
    objects: Tensor


class TokenHead(nn.Module):
    """Class, measures and heading of the object that a token shows.

    Args:
        channels: of the feature map.
        num_classes: classes G.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.shared = conv_block(channels)
        self.cls = nn.Conv2d(channels, num_classes, 1)
        self.measures = nn.Conv2d(channels, 5, 1)
        self.headings = nn.Conv2d(channels, 4, 1)
        nn.init.constant_(self.cls.get_parameter("bias"), PRIOR_BIAS)

    def forward(self, features: Tensor) -> TokenPredictions:
        """Predict from (I, C, h, w) maps."""
        shared = self.shared(features)
        parts = (self.cls, self.measures, self.headings)
        return TokenPredictions(*(per_token(part(shared)) for part in parts))


def token_targets(
    targets: list[ImageTargets], focal_lengths: Tensor, map_size: tuple[int, int], num_classes: int
) -> TokenTargets:
    """Give every token the nearest object whose box, shrunk to its core, holds the token's center.

    The token at the projected center of an object counts whatever its size.

    Args:
        targets: of I images.
        focal_lengths: (I,) pixels.
        map_size: rows and columns of the feature map.
        num_classes: classes G.
    """
    height, width = map_size
    centers = token_centers(height, width).to(focal_lengths)
    parts = [
        _image_tokens(target, centers, float(focal) / (width * STRIDE), num_classes)
        for target, focal in zip(targets, focal_lengths, strict=True)
    ]
    return TokenTargets(*(torch.stack(values) for values in zip(*parts, strict=True)))


def _image_tokens(
    target: ImageTargets, centers: Tensor, focal: float, num_classes: int
) -> TokenTargets:
    count = len(centers)
    if not len(target.labels):
        labels = torch.full((count,), num_classes, device=centers.device)
        nothing = centers.new_zeros(count)
        return TokenTargets(labels, centers.new_zeros(count, 5), nothing, nothing.long())
    middle = (target.boxes[:, :2] + target.boxes[:, 2:]) / 2
    sides = target.boxes[:, 2:] - target.boxes[:, :2]
    away = (centers[:, None] - middle).abs()
    held = (away < _CORE * sides / 2).all(dim=-1)
    held |= ((centers[:, None] - target.centers).abs() <= STRIDE / 2).all(dim=-1)
    depths = torch.where(held, target.depths.expand_as(held), torch.inf)
    depth, chosen = depths.min(dim=1)
    shown = depth.isfinite()
    tokens_of = functional.one_hot(chosen, len(sides)).float() * shown[:, None]
    share = tokens_of.sum(dim=0).clamp(min=1).rsqrt()[chosen]
    measures = torch.cat(
        [
            (depth / focal).where(shown, torch.ones_like(depth)).log()[:, None],
            (target.centers[chosen] - centers) / _OFFSET_UNIT,
            sides[chosen].clamp(min=1).log(),
        ],
        dim=1,
    )
    labels = target.labels[chosen].where(shown, torch.full_like(chosen, num_classes))
    return TokenTargets(labels, measures, share * shown, target.objects[chosen] * shown)


def seen_headings(codes: Tensor, rays: Tensor) -> Tensor:
    """Return the heading of objects as it shows on an image: relative to the ray that meets them.

    Args:
        codes: (..., 8 or more) box codes.
        rays: (..., 2) directions of the rays along the ground, of any length, same frame.

    Returns:
        (..., 4) sine and cosine of the angle from ray to heading, and of its double: along which
        line an object stands shows long before which end of it is the front.
    """
    sine, cosine = codes[..., 6], codes[..., 7]
    right, ahead = functional.normalize(rays, dim=-1).unbind(dim=-1)
    # sin(a - b) and cos(a - b) with the heading a and the ray's direction b = atan2(ahead, right)
    across = sine * right - cosine * ahead
    along = cosine * right + sine * ahead
    double = (2 * across * along, along.square() - across.square())
    return torch.stack([across, along, *double], dim=-1)


def token_losses(predictions: TokenPredictions, targets: TokenTargets, headings: Tensor) -> Losses:
    """Return the named losses: ``token_cls``, ``token_depth``, ``token_place``, ``token_heading``.

    Args:
        predictions: of I images.
        targets: of the same.
        headings: (I, t, 4) wanted, see `seen_headings`; of no meaning on background.
    """
    classes = predictions.logits.shape[-1]
    total = targets.weights.sum().clamp(min=1.0)
    focal = sigmoid_focal_loss(predictions.logits, one_hot(targets.labels, classes))
    background = (targets.labels == classes).float()
    error = (predictions.measures - targets.measures).abs() * targets.weights[..., None]
    depth, *place = (error.sum(dim=(0, 1)) / total).unbind()
    heading = (predictions.headings - headings).abs().mean(dim=-1) * targets.weights
    weights = (targets.weights + background)[..., None]
    return {
        "token_cls": _CLASS_WEIGHT * (focal * weights).sum() / total,
        "token_depth": depth,
        "token_place": torch.stack(place).sum() / 2,
        "token_heading": heading.sum() / total,
    }


class SceneHead(nn.Module):
    """Linear reading of box codes off aligned tokens.

    The decoder's projections are linear too, so the decoder finds it there ready for use.

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
