"""From the row a ray hits to the face, its colour, and the point on the body."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth.raster import Rows
from streampetr_ros.synth.shading import Hits
from streampetr_ros.synth.shapes import FACE_COUNT, LEFT, TOP
from streampetr_ros.synth.stage import Setup, Stage

_NEVER_NEAREST = 1e30


class FaceTable(NamedTuple):
    """What painting needs of M rows, packed so that a pixel costs one look-up in each.

    Attributes:
        planes: (M, 18) inverse depths of the faces: 6 constants, 6 x terms, 6 y terms.
        faces: (M * 6, 6) colour, and normal in the layout frame.
        bodies: (M, 6) eye minus centre, cosine and sine of the yaw, half the height.
        primitives: (M,) int64 frustum.
    """

    planes: Tensor
    faces: Tensor
    bodies: Tensor
    primitives: Tensor

    def hits(
        self, rows: Tensor, slopes: Tensor, offsets: Tensor, per_metre: Tensor
    ) -> tuple[Hits, Tensor]:
        """Describe n points on bodies.

        Args:
            rows: (n,) row hit.
            slopes: (2, n) ray in its camera.
            offsets: (3, n) from the eye to the point, layout axes, metres.
            per_metre: (n,) pixels per metre there.

        Returns:
            The points, and the (n,) frusta they lie on.
        """
        constant, along_x, along_y = self.planes.index_select(0, rows).T.split(FACE_COUNT)
        face = (constant + along_x * slopes[0] + along_y * slopes[1]).argmin(0)
        paint = self.faces.index_select(0, rows * FACE_COUNT + face).T
        body = self.bodies.index_select(0, rows).T
        x, y, z = body[:3] + offsets
        cosine, sine = body[3], body[4]
        hits = Hits(
            points=torch.stack([cosine * x + sine * y, cosine * y - sine * x, z]),
            normals=paint[3:],
            colors=paint[:3].contiguous(),
            heights=z + body[5],
            sides=face < TOP,
            across_x=face < LEFT,
            per_metre=per_metre,
        )
        return hits, self.primitives[rows]


def build_faces(rows: Rows, stage: Stage, setup: Setup) -> FaceTable:
    """Gather what painting needs of the rows."""
    table = stage.table
    never = rows.coefficients.new_tensor([_NEVER_NEAREST, 0.0, 0.0])
    planes = torch.where(rows.outside[..., None], rows.coefficients, never)
    turns = setup.turns[rows.views, rows.bodies]
    normals = table.planes[rows.primitives, :, :3]
    cosine, sine = turns[:, None, 0], turns[:, None, 1]
    turned = torch.stack(
        [
            cosine * normals[..., 0] - sine * normals[..., 1],
            sine * normals[..., 0] + cosine * normals[..., 1],
            normals[..., 2],
        ],
        dim=-1,
    )
    eyes = setup.eyes[rows.views] - setup.centers[rows.views, rows.bodies]
    half_heights = 0.5 * stage.sizes[rows.bodies, 2:]
    return FaceTable(
        planes=planes.mT.flatten(1).contiguous(),
        faces=torch.cat([table.colors[rows.primitives], turned], dim=-1).flatten(0, 1),
        bodies=torch.cat([eyes, turns, half_heights], dim=1),
        primitives=rows.primitives,
    )
