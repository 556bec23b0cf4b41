"""What a frame is trained towards: encoded 3D boxes, and boxes on each camera image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.core.types import Boxes


class Targets(NamedTuple):
    """Objects of one sample in the model frame.

    Attributes:
        codes: (n, 10) float32 box codes as in `DetectorOutputs.codes`; unknown velocity is NaN.
        labels: (n,) int64 class indices.
    """

    codes: Tensor
    labels: Tensor

    def to(self, device: torch.device | str) -> Targets:
        """Copy to a device."""
        return Targets(self.codes.to(device), self.labels.to(device))


class ImageTargets(NamedTuple):
    """Objects visible on one image.

    Attributes:
        boxes: (n, 4) float32 left, top, right, bottom, pixels.
        centers: (n, 2) float32 projected centers of the 3D boxes, pixels.
        depths: (n,) float32 depth of these centers, metres.
        labels: (n,) int64 class indices.
        objects: (n,) int64 place in the `Targets` of the sample.
    """

    boxes: Tensor
    centers: Tensor
    depths: Tensor
    labels: Tensor
    objects: Tensor

    def to(self, device: torch.device | str) -> ImageTargets:
        """Copy to a device."""
        return ImageTargets(*(part.to(device) for part in self))

    def selected(self, index: Tensor) -> ImageTargets:
        """Return the objects at an integer or boolean index."""
        return ImageTargets(*(part[index] for part in self))


def encode_boxes(boxes: Boxes) -> NDArray[np.float32]:
    """Turn boxes into regression targets.

    Args:
        boxes: n boxes in the model frame.

    Returns:
        (n, 10) float32: center, log size, sin and cos of yaw, velocity.
    """
    yaws = boxes.yaws[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_sizes = np.log(boxes.sizes)
    parts = (boxes.centers, log_sizes, np.sin(yaws), np.cos(yaws), boxes.velocities)
    targets: NDArray[np.float32] = np.concatenate(parts, axis=1, dtype=np.float32)
    return targets
