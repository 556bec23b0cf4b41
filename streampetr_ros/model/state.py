"""What goes into and out of a detector step: inputs, memory, outputs. All explicit, all relative.

The network never sees absolute poses or absolute time. The caller prepares relative quantities in
float64 and hands them over as float32.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ModelInputs(NamedTuple):
    """One frame set, prepared for the network.

    Attributes:
        images: (B, N, 3, H, W) float32, normalised, planes in the order of the model.
        model_from_image: (B, N, 4, 4) float32, takes (u * d, v * d, d, 1), pixels of the network
            image and metres, to the model frame at the reference time; ego motion since exposure is
            included.
        focal_lengths: (B, N, 2) float32, fx and fy of the network image, pixels, positive.
        now_from_previous: (B, 4, 4) float32, model frame at the previous reference time to
            the model frame now; ignored where `continues` is 0.
        elapsed: (B,) float32 seconds since the previous reference time; ignored where `continues`
            is 0.
        continues: (B,) float32, 1 where the memory belongs to the same drive, 0 to start afresh.
        camera_present: (B, N) bool, False for cameras without an image; None when all have one.
    """

    images: Tensor
    model_from_image: Tensor
    focal_lengths: Tensor
    now_from_previous: Tensor
    elapsed: Tensor
    continues: Tensor
    camera_present: Tensor | None = None

    def to(self, device: torch.device | str) -> ModelInputs:
        """Copy to a device."""
        moved = (part if part is None else part.to(device) for part in self)
        return ModelInputs._make(moved)


class MemoryState(NamedTuple):
    """Object memory after a frame, newest first, relative to the model frame of that frame.

    Attributes:
        embedding: (B, M, C) float32 decoder outputs.
        center: (B, M, 3) float32 box centers in the model frame of the last step, metres.
        age: (B, M, 1) float32 seconds between the entry's own frame and the last step.
        last_from_own: (B, M, 4, 4) float32, model frame of the entry's own time to that of the
            last step.
        velocity: (B, M, 2) float32 predicted velocity in the model frame of the entry's own time,
            m/s.
    """

    embedding: Tensor
    center: Tensor
    age: Tensor
    last_from_own: Tensor
    velocity: Tensor


class DetectorOutputs(NamedTuple):
    """Raw predictions of the last decoder layer, or of all with a leading L when asked for.

    Attributes:
        logits: (B, Q + P, G) float32 class logits.
        codes: (B, Q + P, 10) float32 box codes: cx, cy, cz in metres (gravity center, model
            frame), log length, log width, log height, sin yaw, cos yaw, vx, vy in m/s (model
            frame axes).
    """

    logits: Tensor
    codes: Tensor
