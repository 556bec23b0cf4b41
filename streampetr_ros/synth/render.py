"""Pictures of a scene from many cameras at once, each at its own time.

One call renders all cameras of a rig (or of several instants): bodies are culled per camera, their
frusta rasterised exactly (`raster`), shadows cast on the ground and everything shaded (`canvas`).
The same code runs on CPU and GPU in float32; poses are taken relative to a nearby origin before
they are rounded to float32.

Shapes: V views, T tiles per view, L rays per tile, N bodies.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth import raster
from streampetr_ros.synth.canvas import Canvas, develop
from streampetr_ros.synth.stage import Poses, Stage, camera_from_body, place_in_view
from streampetr_ros.synth.tiles import Lenses, untiled

_VIEW_RANGE = 170.0


class Pictures(NamedTuple):
    """Rendered views.

    Attributes:
        images: (V, H, W, 3) uint8 RGB.
        bodies: (V, H, W) int64 body behind each pixel; -1 for ground and sky.
        inverse_depths: (V, H, W) float32, 1/m along the optical axis; 0 for the sky.
        coverage: (V, N) float32 pixels each body would cover if it stood alone.
        visible: (V, N) float32 pixels in which it is seen.
    """

    images: Tensor
    bodies: Tensor
    inverse_depths: Tensor
    coverage: Tensor
    visible: Tensor


def _in_view(centers_camera: Tensor, radii: Tensor, lenses: Lenses) -> Tensor:
    """Tell which bounding spheres (V, N, 3), (N,) may touch the image of each view."""
    low, high = lenses.bounds[..., :2].amin(1), lenses.bounds[..., 2:].amax(1)
    x, y, z = centers_camera.unbind(-1)
    inside = z > -radii
    for value, axis in ((x, 0), (y, 1)):
        for slope, sign in ((low[:, axis], -1.0), (high[:, axis], 1.0)):
            beyond = sign * (value - slope[:, None] * z) / (1 + slope**2).sqrt()[:, None]
            inside &= beyond < radii
    return inside


def render(stage: Stage, lenses: Lenses, poses: Poses) -> Pictures:
    """Render V views.

    Args:
        stage: the scene.
        lenses: of V cameras.
        poses: of V instants.
    """
    setup = place_in_view(poses, lenses.rays.device)
    body_poses = camera_from_body(setup)
    shown = _in_view(body_poses[..., 3], stage.table.radii, lenses)
    shown &= setup.distances - stage.table.radii < _VIEW_RANGE
    rows = raster.place(stage.table, body_poses, shown)
    views = len(lenses.bounds)
    canvas = Canvas(stage, lenses, setup)
    background = canvas.ground_inverse_depths()
    pairs = raster.overlaps(rows.views, rows.bounds, lenses.bounds)
    seen = raster.trace(rows, lenses.rays, background, pairs, (views, len(stage.sizes)))
    colors = canvas.paint(rows, seen)
    bodies = torch.where(seen.rows >= 0, rows.bodies[seen.rows.clamp(min=0)], -1)
    return Pictures(
        images=develop(colors, stage.light, lenses, poses),
        bodies=untiled(bodies, lenses),
        inverse_depths=untiled(seen.inverse_depths, lenses),
        coverage=seen.coverage,
        visible=_count_visible(bodies.view(views, -1), len(stage.sizes)),
    )


def _count_visible(bodies: Tensor, count: int) -> Tensor:
    """Count pixels (V, n) of body indices per view and body -> (V, count)."""
    slots = bodies.new_zeros(len(bodies), count + 1)
    slots.scatter_add_(1, bodies + 1, torch.ones_like(bodies))
    return slots[:, 1:].float()
