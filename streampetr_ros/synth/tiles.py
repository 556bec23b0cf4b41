"""Images cut into square tiles, the unit of work of the renderer.

Shapes: V views, T tiles per view, L rays per tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.synth.lens import pixel_rays
from streampetr_ros.types import CameraCalibration


class Lenses(NamedTuple):
    """Rays of a set of cameras of one image size, cut into square tiles.

    Attributes:
        rays: (2, V * T, L) slopes.
        bounds: (V, T, 4) least x, y, greatest x, y per tile.
        focal_lengths: (V,) pixels.
        size: image height and width.
        tile: edge of a tile, pixels.
    """

    rays: Tensor
    bounds: Tensor
    focal_lengths: Tensor
    size: tuple[int, int]
    tile: int


def build_lenses(
    calibrations: Sequence[CameraCalibration], device: torch.device | str = "cpu"
) -> Lenses:
    """Precompute the rays of cameras of equal image size."""
    size = (calibrations[0].height, calibrations[0].width)
    tile = 8 if size[1] <= 512 else 16
    rays = torch.from_numpy(np.stack([pixel_rays(calibration) for calibration in calibrations]))
    tiled = _tiled(rays.permute(3, 0, 1, 2), tile).to(device)
    bounds = torch.cat([tiled.amin(-1), tiled.amax(-1)])
    focal = torch.tensor([calibration.intrinsic[0, 0] for calibration in calibrations])
    return Lenses(
        rays=tiled.flatten(1, 2).contiguous(),
        bounds=bounds.permute(1, 2, 0).contiguous(),
        focal_lengths=focal.to(device, torch.float32),
        size=size,
        tile=tile,
    )


def _tiled(images: Tensor, tile: int) -> Tensor:
    """(C, V, H, W) -> (C, V, T, L), repeating the last rows and columns to full tiles."""
    height, width = images.shape[2:]
    pad = (0, -width % tile, 0, -height % tile)
    padded = torch.nn.functional.pad(images, pad, mode="replicate")
    rows, columns = padded.shape[2] // tile, padded.shape[3] // tile
    parts = padded.unflatten(3, (columns, tile)).unflatten(2, (rows, tile))
    return parts.permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(2, 3)


def untiled(tiles: Tensor, lenses: Lenses) -> Tensor:
    """(..., V * T, L) -> (..., V, H, W)."""
    height, width = lenses.size
    tile = lenses.tile
    rows, columns = -(-height // tile), -(-width // tile)
    parts = tiles.unflatten(-1, (tile, tile)).unflatten(-3, (-1, rows, columns))
    images = parts.transpose(-3, -2).flatten(-2).flatten(-3, -2)
    return images[..., :height, :width]
