"""Two-dimensional auxiliary head on the stride-16 map; used while training, dropped afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from streampetr_ros.model.position import STRIDE, token_centers
from streampetr_ros.training.data.targets import ImageTargets
from streampetr_ros.training.losses.loss import Losses, mean_over_ranks
from streampetr_ros.training.losses.matcher import (
    ImagePredictions,
    centered_from_corners,
    corners_from_centered,
    intersection_over_union,
    located,
    match_image,
)

#: Of class logits at the start: a probability of 0.01.
PRIOR_BIAS = -4.59512


def conv_block(channels: int) -> nn.Sequential:
    """Return what auxiliary heads begin with: a convolution, a norm, a rectifier."""
    convolution = nn.Conv2d(channels, channels, 3, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(32, channels), nn.ReLU())


class ImageHead(nn.Module):
    """Classes, center-ness, boxes and projected 3D centers from image features (FocalHead).

    Args:
        channels: of the feature map.
        num_classes: classes G.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.shared_cls = conv_block(channels)
        self.shared_reg = conv_block(channels)
        self.cls = nn.Conv2d(channels, num_classes, 1)
        self.centerness = nn.Conv2d(channels, 1, 1)
        self.ltrb = nn.Conv2d(channels, 4, 1)
        self.center2d = nn.Conv2d(channels, 2, 1)
        for layer in (self.cls, self.centerness):
            nn.init.constant_(layer.get_parameter("bias"), PRIOR_BIAS)

    def forward(self, features: Tensor) -> ImagePredictions:
        """Predict on every token.

        Args:
            features: (I, C, h, w) maps of I images.

        Returns:
            Predictions with t = h * w tokens, row by row.
        """
        classes, boxes = self.shared_cls(features), self.shared_reg(features)
        height, width = features.shape[-2:]
        size = features.new_tensor([width * STRIDE, height * STRIDE])
        place = token_centers(height, width).to(features) / size
        sides = per_token(self.ltrb(boxes)).sigmoid()
        corners = torch.cat([place - sides[..., :2], place + sides[..., 2:]], dim=-1).clamp(0, 1)
        offset = per_token(self.center2d(boxes))
        return ImagePredictions(
            logits=per_token(self.cls(classes)),
            centerness=per_token(self.centerness(classes))[..., 0],
            boxes=centered_from_corners(corners),
            centers=(offset + place.logit()).sigmoid(),
        )


def per_token(maps: Tensor) -> Tensor:
    """(I, c, h, w) -> (I, h * w, c)."""
    return maps.flatten(2).transpose(1, 2)


def quality_focal_loss(logits: Tensor, labels: Tensor, quality: Tensor) -> Tensor:
    """Return the summed quality focal loss (beta 2).

    Args:
        logits: (t, G).
        labels: (t,) class, G for background.
        quality: (t,) IoU of matched tokens.
    """
    probability = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits
    loss = entropy(logits, torch.zeros_like(logits), reduction="none") * probability.square()
    row = (labels < logits.shape[-1]).nonzero().squeeze(1)
    column = labels[row]
    error = (quality[row] - probability[row, column]).square()
    positive = entropy(logits[row, column], quality[row], reduction="none") * error
    return loss.index_put((row, column), positive).sum()


def heat_map(targets: ImageTargets, height: int, width: int) -> Tensor:
    """Draw a Gaussian at the projected center of every object.

    Args:
        targets: objects of one image, pixels.
        height: rows of the map (stride 16).
        width: columns.

    Returns:
        (height, width) in [0, 1].
    """
    device = targets.boxes.device
    drawn = torch.zeros(height, width, device=device)
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)[None, :]
    for box, center in zip(targets.boxes, targets.centers, strict=True):
        sides = torch.cat([center - box[:2], box[2:] - center]) / STRIDE
        radius = max(int(sides.min().ceil()), 1)
        column, row = (int(value) for value in (center / STRIDE).to(torch.int64))
        spread = 2 * ((2 * radius + 1) / 6) ** 2
        distance = (rows - row) ** 2 + (columns - column) ** 2
        inside = ((rows - row).abs() <= radius) & ((columns - column).abs() <= radius)
        drawn = torch.maximum(drawn, (-distance / spread).exp() * inside)
    return drawn


def gaussian_focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the summed Gaussian focal loss (alpha 2, gamma 4) of center-ness logits."""
    probability = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    positive = -(probability + 1e-12).log() * (1 - probability).square() * wanted.eq(1)
    negative = -(1 - probability + 1e-12).log() * probability.square() * (1 - wanted).pow(4)
    return (positive + negative).sum()


def image_losses(
    predictions: ImagePredictions, targets: list[ImageTargets], map_size: tuple[int, int]
) -> Losses:
    """Match tokens with visible objects and compute the five losses of the auxiliary head.

    Args:
        predictions: of I images.
        targets: I.
        map_size: rows and columns of the feature map.
    """
    logits = predictions.logits
    size = logits.new_tensor([map_size[1] * STRIDE, map_size[0] * STRIDE])
    images = [ImagePredictions(*parts) for parts in zip(*predictions, strict=True)]
    matches = [match_image(p, t, size) for p, t in zip(images, targets, strict=True)]
    image, token = located(matches)
    pairs = list(zip(targets, matches, strict=True))
    wanted_px = torch.cat([target.boxes[match.objects] for target, match in pairs])
    centers_px = torch.cat([target.centers[match.objects] for target, match in pairs])
    boxes, size4 = predictions.boxes[image, token], size.repeat(2)
    iou, generalised = intersection_over_union(corners_from_centered(boxes) * size4, wanted_px)
    labels = torch.full(logits.shape[:2], logits.shape[-1], device=logits.device)
    labels[image, token] = torch.cat([target.labels[match.objects] for target, match in pairs])
    quality = torch.zeros(logits.shape[:2], device=logits.device)
    quality[image, token] = iou.detach().to(quality.dtype)
    heat = torch.stack([heat_map(target, *map_size).flatten() for target in targets])
    local = max(float(len(token)), 1.0)
    shared = max(mean_over_ranks(float(len(token)), logits.device), 1.0)
    classes = quality_focal_loss(logits.flatten(0, 1), labels.flatten(), quality.flatten())
    box_error = (boxes - centered_from_corners(wanted_px / size4)).abs().sum()
    center_error = (predictions.centers[image, token] - centers_px / size).abs().sum()
    return {
        "enc_loss_cls": 2.0 * classes / local,
        "enc_loss_bbox": 5.0 * box_error / shared,
        "enc_loss_iou": 2.0 * (1 - generalised).sum() / local,
        "centers2d_losses": 10.0 * center_error / shared,
        "centerness_losses": gaussian_focal_loss(predictions.centerness, heat) / shared,
    }
