"""All frusta of a scene as flat tensors, ready for the renderer.

Shapes: B frusta, N bodies (labelled objects first, clutter after them), 6 faces, 8 vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.bodies import template
from streampetr_ros.synth.world.shapes import FACE_COUNT

#: Vertex pairs that form the twelve edges of a frustum (bottom ring, top ring, uprights).
EDGES: tuple[tuple[int, int], ...] = (
    *((i, (i + 1) % 4) for i in range(4)),
    *((4 + i, 4 + (i + 1) % 4) for i in range(4)),
    *((i, i + 4) for i in range(4)),
)


class PrimitiveTable(NamedTuple):
    """Frusta in the frames of the bodies they belong to (origin at the gravity center).

    Attributes:
        owners: (B,) int64 body of each frustum, ascending.
        planes: (B, 6, 4) a, b, c, d of each face: inside is ``a x + b y + c z <= d``.
        vertices: (B, 8, 3) metres.
        colors: (B, 6, 3) linear RGB of each face.
        patterns: (B, 7) periods u v, duties u v, slant, varied, height of the pattern's origin.
        pattern_colors: (B, 3) linear RGB of the pattern.
        has_pattern: (B,) bool.
        sizes: (N, 3) of the bodies, metres.
    """

    owners: Tensor
    planes: Tensor
    vertices: Tensor
    colors: Tensor
    patterns: Tensor
    pattern_colors: Tensor
    has_pattern: Tensor
    sizes: Tensor

    def to(self, device: torch.device | str) -> PrimitiveTable:
        """Copy to a device."""
        return PrimitiveTable(*(part.to(device) for part in self))


def build_primitives(shapes: Sequence[str], sizes: Array, palettes: Array) -> PrimitiveTable:
    """Stretch the templates of all bodies to their sizes and paint them.

    Args:
        shapes: N names of templates.
        sizes: (N, 3) length, width, height, metres.
        palettes: (N, paints, 3) linear RGB of each paint role.
    """
    templates = [template(name) for name in shapes]
    owners = np.repeat(np.arange(len(shapes)), [len(part) for part in templates])
    frusta = (frustum for part in templates for frustum in part)
    bottoms, tops, paints, patterns = map(np.array, zip(*frusta, strict=True))
    scale = sizes[owners][:, [0, 0, 1, 1, 2]]
    bottoms, tops = bottoms * scale, tops * scale
    roles = patterns[:, 0].astype(np.int64)
    heights = bottoms[:, 4:] + patterns[:, 5:6]
    return PrimitiveTable(
        owners=torch.from_numpy(owners),
        planes=_tensor(_planes(bottoms, tops)),
        vertices=_tensor(_vertices(bottoms, tops)),
        colors=_tensor(palettes[owners[:, None], paints]),
        patterns=_tensor(np.concatenate([patterns[:, [1, 2, 3, 4, 6, 7]], heights], axis=1)),
        pattern_colors=_tensor(palettes[owners, np.maximum(roles, 0)]),
        has_pattern=torch.from_numpy(roles >= 0),
        sizes=_tensor(sizes),
    )


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _vertices(bottoms: Array, tops: Array) -> Array:
    """Return (B, 8, 3): bottom ring then top ring, both counter-clockwise from x1, y1."""
    rings = [
        np.stack([rectangle[:, [1, 0, 0, 1]], rectangle[:, [3, 3, 2, 2]]], axis=-1)
        for rectangle in (bottoms, tops)
    ]
    heights = np.stack([bottoms[:, 4], tops[:, 4]], axis=1)
    return np.concatenate(
        [np.concatenate(rings, axis=1), np.repeat(heights, 4, axis=1)[..., None]], axis=2
    )


def _planes(bottoms: Array, tops: Array) -> Array:
    """Return (B, 6, 4) unit normals and offsets of the faces, in the order of `shapes`."""
    z = bottoms[:, 4]
    slopes = (tops[:, :4] - bottoms[:, :4]) / (tops[:, 4] - z)[:, None]
    planes = np.zeros((len(z), FACE_COUNT, 4))
    for face, (column, axis, sign) in enumerate(((1, 0, 1), (0, 0, -1), (3, 1, 1), (2, 1, -1))):
        planes[:, face, axis] = sign
        planes[:, face, 2] = -sign * slopes[:, column]
        planes[:, face, 3] = sign * (bottoms[:, column] - slopes[:, column] * z)
    planes[:, 4, 2:] = np.stack([np.ones_like(z), tops[:, 4]], axis=1)
    planes[:, 5, 2:] = np.stack([-np.ones_like(z), -z], axis=1)
    planes /= np.linalg.norm(planes[..., :3], axis=-1, keepdims=True)
    return planes
