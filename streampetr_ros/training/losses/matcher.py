"""One-to-one assignment of predictions to annotated objects, in 3D and on images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from streampetr_ros.training.data.targets import ImageTargets, Targets

FOCAL_ALPHA = 0.25
_CLASS_COST = 2.0
_BOX_COST = 0.25
_IMAGE_BOX_COST = 5.0
_IMAGE_IOU_COST = 2.0
_IMAGE_CENTER_COST = 10.0


class Match(NamedTuple):
    """Matched pairs of one sample or image.

    Attributes:
        queries: (m,) int64 indices of predictions.
        objects: (m,) int64 indices of annotated objects.
    """

    queries: Tensor
    objects: Tensor


class ImagePredictions(NamedTuple):
    """Dense predictions on images; a leading image axis is dropped for one image.

    Attributes:
        logits: (I, t, G) class logits of each token.
        centerness: (I, t) logits of being an object center.
        boxes: (I, t, 4) center x, center y, width, height as fractions of the image.
        centers: (I, t, 2) projected 3D center as fractions of the image.
    """

    logits: Tensor
    centerness: Tensor
    boxes: Tensor
    centers: Tensor


def focal_cost(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the (q, n) classification cost of giving each object to each query (weight 2)."""
    probability = logits.sigmoid()
    epsilon = 1e-12
    positive = -(probability + epsilon).log() * FOCAL_ALPHA * (1 - probability).square()
    negative = -(1 - probability + epsilon).log() * (1 - FOCAL_ALPHA) * probability.square()
    return _CLASS_COST * (positive - negative)[:, labels]


def box_cost(codes: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the (q, n) L1 cost between weighted box codes without velocity (weight 0.25)."""
    scale = weights[:8]
    return _BOX_COST * torch.cdist(codes[:, :8] * scale, targets[:, :8] * scale, p=1)


def assign(cost: Tensor) -> Match:
    """Solve the assignment problem.

    Args:
        cost: (q, n); non-finite entries count as very expensive (-inf: very cheap).

    Returns:
        min(q, n) pairs, ordered by query.
    """
    finite = torch.nan_to_num(cost.detach(), nan=100.0, posinf=100.0, neginf=-100.0)
    rows, columns = linear_sum_assignment(finite.cpu().numpy().astype(np.float64))
    device = cost.device
    return Match(torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device))


def located(matches: list[Match]) -> tuple[Tensor, Tensor]:
    """Return sample (or image) and query of the matched pairs of all, (m,) each."""
    samples = [torch.full_like(match.queries, index) for index, match in enumerate(matches)]
    return torch.cat(samples), torch.cat([match.queries for match in matches])


@torch.no_grad()
def match_boxes(
    logits: Tensor,
    codes: Tensor,
    targets: Targets,
    weights: Tensor,
    extra_cost: Tensor | None = None,
) -> Match:
    """Match the queries of one sample and one decoder layer with the annotated boxes.

    Args:
        logits: (q, G) class logits.
        codes: (q, 10) box codes, metres.
        targets: n objects.
        weights: (10,) factors on the entries of the code.
        extra_cost: (q,) added to the cost of every query; None adds nothing.

    Returns:
        min(q, n) pairs.
    """
    cost = focal_cost(logits.float(), targets.labels)
    cost = cost + box_cost(codes.float(), targets.codes, weights)
    if extra_cost is not None:
        cost = cost + extra_cost[:, None]
    return assign(cost)


def corners_from_centered(boxes: Tensor) -> Tensor:
    """Turn (..., 4) center, width, height into left, top, right, bottom."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], dim=-1)


def centered_from_corners(boxes: Tensor) -> Tensor:
    """Turn (..., 4) left, top, right, bottom into center, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection_over_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Compute IoU and generalised IoU of boxes that broadcast against each other.

    Args:
        first: (..., 4) left, top, right, bottom.
        second: (..., 4) likewise.

    Returns:
        IoU and GIoU, each (...).
    """
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    union = (_area(first) + _area(second) - overlap).clamp(min=1e-6)
    outer_low = torch.minimum(first[..., :2], second[..., :2])
    outer_high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (outer_high - outer_low).clamp(min=0).prod(dim=-1).clamp(min=1e-6)
    iou = overlap / union
    return iou, iou - (hull - union) / hull


@torch.no_grad()
def match_image(predictions: ImagePredictions, targets: ImageTargets, size: Tensor) -> Match:
    """Match the tokens of one image with the objects visible on it.

    Args:
        predictions: of one image, without the image axis.
        targets: n objects.
        size: (2,) width and height of the image, pixels.

    Returns:
        n pairs.
    """
    size4 = size.repeat(2)
    wanted = centered_from_corners(targets.boxes / size4)
    cost = focal_cost(predictions.logits, targets.labels)
    cost = cost + _IMAGE_BOX_COST * torch.cdist(predictions.boxes, wanted, p=1)
    pixels = corners_from_centered(predictions.boxes) * size4
    overlap = intersection_over_union(pixels[:, None], targets.boxes[None])[1]
    cost = cost - _IMAGE_IOU_COST * overlap
    centers = torch.cdist(predictions.centers, targets.centers / size, p=1)
    return assign(cost + _IMAGE_CENTER_COST * centers)
