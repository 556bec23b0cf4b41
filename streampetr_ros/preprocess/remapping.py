"""Bilinear look-up through OpenCV's integer tables, in the same integers, on any device of PyTorch.

The tables name for every wanted pixel a source pixel and how far, in 32nds of a pixel, the wanted
place lies to the right of it and below. Products of two such distances are 1024ths, so the sum of
four weighted pixels is exact and its rounding is OpenCV's. What lies outside the source is black.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.preprocess.undistort import MapTables

_STEPS = 32
_FRACTION_BITS = 10


class Remapper:
    """Looks up some rows of the pictures of one lens on one device.

    Args:
        tables: of the whole picture, whose size is that of the source.
        rows: first row that is wanted, and the one behind the last.
        device: with the pictures.

    Attributes:
        rows_read: first source row that is needed, and the one behind the last.
    """

    def __init__(self, tables: MapTables, rows: tuple[int, int], device: torch.device) -> None:
        height, width = tables[1].shape
        self._shape = (rows[1] - rows[0], width, 3)
        places = tables[0][slice(*rows)].reshape(-1, 2).astype(np.int32).T
        below, right = np.divmod(tables[1][slice(*rows)].reshape(-1).astype(np.int32), _STEPS)
        corners = [_corner(places, (right, below), at, (width, height)) for at in _CORNERS]
        x, y, weights = (np.stack(part) for part in zip(*corners, strict=True))
        seen = y[weights > 0]
        self.rows_read = (int(seen.min()), int(seen.max()) + 1) if seen.size else (0, 1)
        y = np.clip(y, self.rows_read[0], self.rows_read[1] - 1) - self.rows_read[0]
        self._indices = torch.from_numpy(y * width + x).to(device)
        self._weights = torch.from_numpy(weights).to(device)

    def __call__(self, rows: Tensor) -> Tensor:
        """Look up from the source rows `rows_read`.

        Args:
            rows: (rows read, source width, 3) uint8.

        Returns:
            (wanted rows, source width, 3) uint8.
        """
        pixels = rows.reshape(-1, 3)
        half = 1 << (_FRACTION_BITS - 1)
        total = torch.full((self._indices.shape[1], 3), half, dtype=torch.int32, device=rows.device)
        for index, weight in zip(self._indices, self._weights, strict=True):
            total += pixels.index_select(0, index) * weight[:, None]
        return (total >> _FRACTION_BITS).to(torch.uint8).view(self._shape)


#: Steps (right, below) to the four pixels around a place.
_CORNERS = tuple(product((0, 1), (0, 1)))

_Integers = NDArray[np.int32]


def _corner(
    places: _Integers,
    distances: tuple[_Integers, _Integers],
    at: tuple[int, int],
    size: tuple[int, int],
) -> tuple[_Integers, _Integers, _Integers]:
    """Return column, row and weight of one of the four pixels around every place.

    Pixels outside the source weigh nothing; their column and row are moved inside.
    """
    weight = np.ones_like(distances[0])
    inside = []
    for place, distance, step, length in zip(places, distances, at, size, strict=True):
        weight *= distance if step else _STEPS - distance
        weight *= (place + step >= 0) & (place + step < length)
        inside.append(np.clip(place + step, 0, length - 1))
    return inside[0], inside[1], weight
