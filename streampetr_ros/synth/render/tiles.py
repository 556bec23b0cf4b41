"""Images cut into square tiles, the unit of work of the renderer.

Shapes: V views, T tiles per view, L rays per tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration

# Some planes of this many float32 values fit the second-level cache of a core.
_STRIP_RAYS = 1 << 16


class Lenses(NamedTuple):
    """Rays of a set of cameras of one image size, cut into square tiles, row by row.

    Attributes:
        rays: (2, V * T, L) slopes.
        columns: (V, columns, 2) least and greatest x of the columns of tiles.
        rows: (V, rows, 2) least and greatest y of the rows of tiles.
        focal_lengths: (V,) pixels.
        size: image height and width.
        tile: edge of a tile, pixels.
    """

    rays: Tensor
    columns: Tensor
    rows: Tensor
    focal_lengths: Tensor
    size: tuple[int, int]
    tile: int

    @property
    def tiles_per_view(self) -> int:
        """T."""
        return self.columns.shape[1] * self.rows.shape[1]

    def strips(self) -> list[tuple[int, int]]:
        """Return runs of tiles to work on at a time: first, past last.

        On a CPU a run stays within one view and within the cache; a GPU takes everything at once.
        """
        total, per_view = self.rays.shape[1], self.tiles_per_view
        if self.rays.device.type != "cpu":
            return [(0, total)]
        columns = self.columns.shape[1]
        step = max(1, _STRIP_RAYS // (columns * self.rays.shape[2])) * columns
        return [
            (start, min(start + step, view + per_view))
            for view in range(0, total, per_view)
            for start in range(view, view + per_view, step)
        ]


def build_lenses(
    calibrations: Sequence[CameraCalibration], device: torch.device | str = "cpu"
) -> Lenses:
    """Precompute the rays of cameras of equal image size."""
    size = (calibrations[0].height, calibrations[0].width)
    tile = 8 if size[1] <= 512 else 16
    rays = torch.from_numpy(np.stack([pixel_rays(calibration) for calibration in calibrations]))
    x, y = _tiled(rays.permute(3, 0, 1, 2), tile).to(device)
    shape = (-(-size[0] // tile), -(-size[1] // tile))
    x_grid, y_grid = x.unflatten(1, shape), y.unflatten(1, shape)
    focal = torch.tensor([calibration.intrinsic[0, 0] for calibration in calibrations])
    return Lenses(
        rays=torch.stack([x, y]).flatten(1, 2),
        columns=torch.stack([x_grid.amin((1, 3)), x_grid.amax((1, 3))], dim=-1),
        rows=torch.stack([y_grid.amin((2, 3)), y_grid.amax((2, 3))], dim=-1),
        focal_lengths=focal.to(device, torch.float32),
        size=size,
        tile=tile,
    )


def pixel_rays(calibration: CameraCalibration) -> NDArray[np.float32]:
    """Return where every pixel of an ideal lens looks.

    Pixel ``(i, j)`` covers ``[i, i + 1) x [j, j + 1)`` of the continuous image plane, so its ray
    leaves through ``(i + 0.5, j + 0.5)``; scaling an image by s scales the camera matrix by s.

    Returns:
        (height, width, 2) float32 ray slopes x / z and y / z in the optical frame.
    """
    pixels = np.stack(np.meshgrid(*map(np.arange, (calibration.width, calibration.height))), -1)
    k = calibration.intrinsic
    rays: Array = (pixels + 0.5 - k[:2, 2]) / (k[0, 0], k[1, 1])
    return rays.astype(np.float32)


def _tiled(images: Tensor, tile: int) -> Tensor:
    """(C, V, H, W) -> (C, V, T, L), repeating the last rows and columns to full tiles."""
    height, width = images.shape[2:]
    pad = (0, -width % tile, 0, -height % tile)
    padded = torch.nn.functional.pad(images, pad, mode="replicate")
    rows, columns = padded.shape[2] // tile, padded.shape[3] // tile
    parts: Tensor = padded.unflatten(3, (columns, tile)).unflatten(2, (rows, tile))
    return parts.permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(2, 3)


def untiled(tiles: Tensor, lenses: Lenses) -> Tensor:
    """(..., V * T, L) -> (..., V, H, W)."""
    height, width = lenses.size
    tile = lenses.tile
    rows, columns = -(-height // tile), -(-width // tile)
    parts = tiles.unflatten(-1, (tile, tile)).unflatten(-3, (-1, rows, columns))
    images: Tensor = parts.transpose(-3, -2).flatten(-2).flatten(-3, -2)
    return images[..., :height, :width]
