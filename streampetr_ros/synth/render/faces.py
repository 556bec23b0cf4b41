"""From the row a ray hits to the face, its color, and the point on the body."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth.render.raster import Rows, where_positive
from streampetr_ros.synth.render.shading import Hits
from streampetr_ros.synth.render.stage import Setup, Stage
from streampetr_ros.synth.world.shapes import LEFT, TOP


class FaceTable(NamedTuple):
    """What painting needs of M rows with K entry planes, column by column.

    Attributes:
        planes: (3 * K, M) inverse depths of the entry planes: constant, x and y term of each.
        faces: (8, M * K) color, normal in the layout frame, 1 on the four sides, 1 if the
            horizontal axis of the face is y.
        bodies: (6, M) eye minus center, cosine and sine of the yaw, half the height.
        patterns: (11, M) as in `PrimitiveTable`: pattern (7), color (3), 1 if there is one.
    """

    planes: Tensor
    faces: Tensor
    bodies: Tensor
    patterns: Tensor

    def hits(self, rows: Tensor, slopes: Tensor, offsets: Tensor) -> Hits:
        """Describe n points on bodies.

        Args:
            rows: (n,) row hit.
            slopes: (2, n) ray in its camera.
            offsets: (3, n) from the eye to the point, layout axes, metres.
        """
        count = len(self.planes) // 3
        slot = self._entered(rows, slopes).long()
        paint = self.faces.index_select(1, slot.add_(rows, alpha=count))
        body = self.bodies.index_select(1, rows)
        x, y, z = offsets.add_(body[:3])
        cosine, sine = body[3], body[4]
        return Hits(
            points=(cosine * x + sine * y, cosine * y - sine * x, z),
            normals=paint[3:6],
            colors=paint[:3],
            heights=body[5].add_(z),
            sides=paint[6],
            across_x=paint[7],
            rows=rows,
        )

    def _entered(self, rows: Tensor, slopes: Tensor) -> Tensor:
        """Return (n,) which of the K planes each ray enters by: the one entered last."""
        x, y = slopes
        planes = self.planes.index_select(1, rows).unflatten(0, (-1, 3))
        slot = torch.zeros_like(x)
        latest = None
        for number, (constant, along_x, along_y) in enumerate(planes):
            depth = along_x.mul_(x).add_(constant).add_(along_y.mul_(y))
            if latest is None:
                latest = depth
                continue
            later = where_positive(latest - depth)
            slot.add_(later.mul_(number - slot))
            latest = torch.minimum(latest, depth)
        return slot


def build_faces(rows: Rows, stage: Stage, setup: Setup) -> FaceTable:
    """Gather what painting needs of the rows."""
    table = stage.table
    turns = setup.turns[rows.views, rows.bodies]
    own = rows.primitives[:, None]
    normals = table.planes[own, rows.entry_faces, :3]
    cosine, sine = turns[:, None, 0], turns[:, None, 1]
    features = [
        *table.colors[own, rows.entry_faces].unbind(-1),
        cosine * normals[..., 0] - sine * normals[..., 1],
        sine * normals[..., 0] + cosine * normals[..., 1],
        normals[..., 2],
        (rows.entry_faces < TOP).float(),
        (rows.entry_faces < LEFT).float(),
    ]
    eyes = setup.eyes[rows.views] - setup.centers[rows.views, rows.bodies]
    half_heights = 0.5 * stage.table.sizes[rows.bodies, 2:]
    has_pattern = table.has_pattern[rows.primitives, None].float()
    patterns = (table.patterns[rows.primitives], table.pattern_colors[rows.primitives], has_pattern)
    return FaceTable(
        planes=rows.entry.flatten(1).T.contiguous(),
        faces=torch.stack(features).flatten(1),
        bodies=torch.cat([eyes, turns, half_heights], dim=1).T.contiguous(),
        patterns=torch.cat(patterns, dim=1).T.contiguous(),
    )
