"""From the row a ray hits to the face, its colour, and the point on the body."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth.raster import Rows
from streampetr_ros.synth.shading import Hits
from streampetr_ros.synth.shapes import LEFT, TOP
from streampetr_ros.synth.stage import Setup, Stage


class FaceTable(NamedTuple):
    """What painting needs of M rows with K entry planes, packed for one look-up per pixel.

    Attributes:
        planes: (M, 3 * K) inverse depths of the entry planes: constants, x terms, y terms.
        faces: (M * K, 8) colour, normal in the layout frame, 1 on the four sides, 1 if the
            horizontal axis of the face is y.
        bodies: (M, 6) eye minus centre, cosine and sine of the yaw, half the height.
        patterns: (M, 11) as in `PrimitiveTable`: pattern (7), colour (3), 1 if there is one.
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
        count = self.planes.shape[1] // 3
        constant, along_x, along_y = self.planes.index_select(0, rows).split(count, dim=1)
        x, y = slopes[..., None]
        slot = (along_x * x).add_(constant).add_(along_y * y).min(1).indices
        paint = self.faces.index_select(0, slot.add_(rows, alpha=count)).T
        body = self.bodies.index_select(0, rows).T
        x, y, z = offsets.add_(body[:3])
        cosine, sine = body[3], body[4]
        return Hits(
            points=(cosine * x + sine * y, cosine * y - sine * x, z),
            normals=paint[3:6],
            colors=paint[:3].contiguous(),
            heights=z + body[5],
            sides=paint[6],
            across_x=paint[7],
            rows=rows,
        )


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
    has_pattern = table.has_pattern[rows.primitives, None].float()
    patterns = (table.patterns[rows.primitives], table.pattern_colors[rows.primitives], has_pattern)
    return FaceTable(
        planes=rows.entry.mT.flatten(1).contiguous(),
        faces=torch.stack(features, dim=-1).flatten(0, 1),
        bodies=torch.cat([eyes, turns, 0.5 * stage.sizes[rows.bodies, 2:]], dim=1),
        patterns=torch.cat(patterns, dim=1),
    )
