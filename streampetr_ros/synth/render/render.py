"""Pictures of a scene from many cameras at once, each at its own time.

One call renders all cameras of a rig (or of several instants): bodies are culled per camera, their
frusta rasterised exactly (`raster`), shadows cast on the ground and everything shaded (`canvas`).
The same code runs on CPU and GPU in float32; poses are taken relative to a nearby origin before
they are rounded to float32.

Shapes: V views, T tiles per view, L rays per tile, N bodies.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.synth.render import raster
from streampetr_ros.synth.render.canvas import Scene, cut_strip, develop
from streampetr_ros.synth.render.faces import build_faces
from streampetr_ros.synth.render.shadows import cast_shadows
from streampetr_ros.synth.render.stage import Poses, Stage, camera_from_body, place_in_view
from streampetr_ros.synth.render.tiles import Lenses, untiled

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


@torch.no_grad()
def render(stage: Stage, lenses: Lenses, poses: Poses) -> Pictures:
    """Render V views.

    Args:
        stage: the scene.
        lenses: of V cameras.
        poses: of V instants.
    """
    views, count = len(lenses.focal_lengths), len(stage.table.sizes)
    with _one_thread_per_operator() as threads:
        setup = place_in_view(poses, lenses.rays.device)
        body_poses = camera_from_body(setup)
        radii = 0.5 * stage.table.sizes.norm(dim=1)
        shown = _in_view(body_poses[..., 3], radii, lenses)
        shown &= setup.distances - radii < _VIEW_RANGE
        rows = raster.place(stage.table, body_poses, shown)
        body_of_row = torch.cat([rows.bodies.new_full((1,), -1), rows.bodies])
        pairs = raster.overlaps(rows.views, rows.bounds, lenses)
        shadows = cast_shadows(stage, lenses, setup)
        scene = Scene(stage, setup, build_faces(rows, stage, setup))
        factors = np.float32(poses.gains * stage.light.exposure)
        gains = torch.as_tensor(factors, device=lenses.rays.device)
        gains = gains.repeat_interleave(lenses.tiles_per_view)[:, None]

        @torch.no_grad()  # every thread has a mode of its own
        def expose(tiles: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            """Return levels, bodies, inverse depths and coverage of a run of tiles."""
            first, last = tiles
            strip = cut_strip(lenses, setup, first, last)
            background = strip.ground_inverse_depths()
            seen = raster.trace(rows, strip.rays, background, pairs.between(first, last), count)
            shade = shadows.lost_light(strip.ground_points(background), first, last)
            colors = scene.paint(strip, background, seen, shade)
            noise = (stage.light.noise, poses.noise_seed + 7919 * first)
            levels = develop(colors, gains[first:last], noise)
            return levels, body_of_row[seen.rows + 1], seen.inverse_depths, seen.coverage

        with ThreadPoolExecutor(threads if lenses.rays.device.type == "cpu" else 1) as pool:
            *plates, coverages = zip(*pool.map(expose, lenses.strips()), strict=True)
        levels, bodies, inverse_depths = (torch.cat(parts, dim=-2) for parts in plates)
        return Pictures(
            images=untiled(levels, lenses).permute(1, 2, 3, 0).contiguous(),
            bodies=untiled(bodies, lenses),
            inverse_depths=untiled(inverse_depths, lenses),
            coverage=torch.stack(coverages).sum(0).view(views, count),
            visible=_count_visible(bodies.view(views, -1), count),
        )


@contextmanager
def _one_thread_per_operator() -> Iterator[int]:
    """Keep PyTorch from sharing operators between threads; yields how many there were.

    The operators work on strips that fit the cache of one core. Sharing them costs more than it
    gains, and ten times more on a busy machine; strips are shared between threads instead.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _in_view(centers_camera: Tensor, radii: Tensor, lenses: Lenses) -> Tensor:
    """Tell which bounding spheres (V, N, 3), (N,) may touch the image of each view."""
    x, y, z = centers_camera.unbind(-1)
    inside = z > -radii
    for value, intervals in ((x, lenses.columns), (y, lenses.rows)):
        low, high = intervals[..., 0].amin(1), intervals[..., 1].amax(1)
        for slope, sign in ((low, -1.0), (high, 1.0)):
            beyond = sign * (value - slope[:, None] * z) / (1 + slope**2).sqrt()[:, None]
            inside &= beyond < radii
    return inside


def _count_visible(bodies: Tensor, count: int) -> Tensor:
    """Count pixels (V, n) of body indices per view and body -> (V, count)."""
    shift = torch.arange(len(bodies), device=bodies.device)[:, None] * (count + 1) + 1
    total = len(bodies) * (count + 1)
    counts = torch.bincount((bodies + shift).flatten(), minlength=total)
    return counts.view(len(bodies), -1)[:, 1:].float()
