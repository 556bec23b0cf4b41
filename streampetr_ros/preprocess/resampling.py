"""Pillow's antialiased bicubic resize in integer arithmetic, on any device of PyTorch.

Pillow filters 8 bit images along rows first and along columns second. A resized pixel is a weighted
sum of the pixels around its place; where the image shrinks, the cubic (a = -0.5) is stretched by
the reduction, which is what prevents aliasing. Weights are rounded to 22 fractional bits, and each
of the two passes rounds to whole levels and clips them to 0..255. With the same integers the result
is the same to the pixel, wherever it is computed and in whatever order it is summed.

Pillow 13 filters along columns first where that is less work: where a picture shrinks much more in
height than in width, and if it is more than twice as high as wide. Older versions, and with them
the published weights, know one order only, and so do this module and `image.resize_and_crop`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FRACTION_BITS = 22
#: The cubic is zero from here on, in steps of the coarser grid.
_REACH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taps:
    """Which source pixels make up the pixels of one axis.

    Attributes:
        indices: (k, n) int64 source pixels of each of the n resized pixels, within the image.
        weights: (k, n) int32 in units of 2**-22; 0 where a pixel needs fewer than k.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.int32]

    @property
    def window(self) -> tuple[int, int]:
        """First source pixel that is read, and the one behind the last."""
        return int(self.indices.min()), int(self.indices.max()) + 1

    def behind(self, first: int) -> Taps:
        """Return the taps for a source whose first pixels were removed."""
        return Taps(indices=self.indices - first, weights=self.weights)


def axis_taps(source: int, resized: int, first: int, count: int) -> Taps:
    """Compute the taps of some neighbouring pixels along one axis.

    Args:
        source: pixels of the image.
        resized: pixels after resizing, before any crop.
        first: resized pixel to begin with.
        count: how many resized pixels are wanted.

    Raises:
        ValueError: if the wanted pixels are not within the resized ones.
    """
    if not (source > 0 and count > 0 and 0 <= first <= resized - count):
        raise ValueError(
            f"cannot take {count} pixels from {first} on of {source} resized to {resized}"
        )
    step = source / resized
    stretch = max(step, 1.0)
    centers = (np.arange(first, first + count) + 0.5) * step
    begin = np.maximum(np.trunc(centers - _REACH * stretch + 0.5), 0.0)
    end = np.minimum(np.trunc(centers + _REACH * stretch + 0.5), source)
    indices = begin + np.arange((end - begin).max())[:, None]
    exact = _cubic((indices - centers + 0.5) * (1.0 / stretch))
    exact[indices >= end] = 0.0
    # Added up one after the other as Pillow does: the sum decides the last bit of the weights.
    exact /= np.cumsum(exact, axis=0)[-1]
    fixed = np.trunc(exact * 2.0**_FRACTION_BITS + np.copysign(0.5, exact))
    return Taps(
        indices=np.minimum(indices, source - 1).astype(np.int64), weights=fixed.astype(np.int32)
    )


def _cubic(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the Keys cubic of a = -0.5."""
    a = -0.5
    x = np.abs(offset)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < _REACH, far, 0.0))


class Resampler:
    """Resizes and crops images on one device, reading only what survives the crop.

    Args:
        columns: taps of the columns that are wanted.
        rows: taps of the rows that are wanted.
        device: with the images.

    Attributes:
        rows_read: first source row that is read, and the one behind the last.
    """

    def __init__(self, columns: Taps, rows: Taps, device: torch.device) -> None:
        self.rows_read = rows.window
        self._columns = _on_device(columns, device)
        self._rows = _on_device(rows.behind(self.rows_read[0]), device)

    def __call__(self, images: Tensor) -> Tensor:
        """Resize images of which only the rows `rows_read` are given.

        Args:
            images: (N, rows read, source width, 3) uint8.

        Returns:
            (N, height, width, 3) uint8.
        """
        return _filtered(_filtered(images, self._columns, axis=2), self._rows, axis=1)


def _on_device(taps: Taps, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(taps.indices).to(device), torch.from_numpy(taps.weights).to(device)


def _filtered(images: Tensor, taps: tuple[Tensor, Tensor], axis: int) -> Tensor:
    """Weigh and add up along one axis, round, clip."""
    along = [-1 if dim == axis else 1 for dim in range(images.ndim)]
    shape = list(images.shape)
    shape[axis] = taps[0].shape[1]
    total = torch.full(shape, 1 << (_FRACTION_BITS - 1), dtype=torch.int32, device=images.device)
    for index, weight in zip(*taps, strict=True):
        total += images.index_select(axis, index) * weight.view(along)
    return (total >> _FRACTION_BITS).clamp_(0, 255).to(torch.uint8)
