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

from streampetr_ros.core.types import Array
from streampetr_ros.synth.render import raster
from streampetr_ros.synth.render.canvas import Scene, cut_strip, develop
from streampetr_ros.synth.render.faces import build_faces
from streampetr_ros.synth.render.shadows import Shadows, cast_shadows
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
    with _one_thread_per_operator() as threads:
        setup = place_in_view(poses, lenses.rays.device)
        body_poses = camera_from_body(setup)
        shown = _in_view(body_poses[..., 3], stage.table.radii, lenses)
        shown &= setup.distances - stage.table.radii < _VIEW_RANGE
        rows = raster.place(stage.table, body_poses, shown)
        work = _Work(
            lenses=lenses,
            rows=rows,
            pairs=raster.overlaps(rows.views, rows.bounds, lenses),
            shadows=cast_shadows(stage, lenses, setup),
            scene=Scene(stage, setup, build_faces(rows, stage, setup)),
            plates=_blank_plates(lenses),
            gains=_gains_per_tile(poses.gains * stage.light.exposure, lenses),
            noise_seed=poses.noise_seed,
        )
        coverage = work.expose_all(threads if lenses.rays.device.type == "cpu" else 1)
        return work.pictures(coverage)


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


class _Plates(NamedTuple):
    """Results, filled strip by strip.

    Attributes:
        levels: (3, V * T, L) uint8.
        bodies: (V * T, L) int64.
        inverse_depths: (V * T, L).
    """

    levels: Tensor
    bodies: Tensor
    inverse_depths: Tensor


def _blank_plates(lenses: Lenses) -> _Plates:
    rays = lenses.rays
    return _Plates(
        levels=torch.empty(3, *rays.shape[1:], dtype=torch.uint8, device=rays.device),
        bodies=torch.empty(rays.shape[1:], dtype=torch.int64, device=rays.device),
        inverse_depths=torch.empty_like(rays[0]),
    )


def _gains_per_tile(gains: Array, lenses: Lenses) -> Tensor:
    """(V,) -> (V * T, 1)."""
    factors = torch.as_tensor(np.float32(gains), device=lenses.rays.device)
    return factors.repeat_interleave(lenses.tiles_per_view)[:, None]


class _Work(NamedTuple):
    """One call of `render` after everything has been placed."""

    lenses: Lenses
    rows: raster.Rows
    pairs: raster.Pairs
    shadows: Shadows
    scene: Scene
    plates: _Plates
    gains: Tensor
    noise_seed: int

    def expose_all(self, threads: int) -> Tensor:
        """Render all strips; return the coverage (V * N,)."""
        strips = self.lenses.strips()
        if threads == 1:
            parts = [self.expose(strip) for strip in strips]
        else:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(self.expose, strips))
        return torch.stack(parts).sum(0)

    @torch.no_grad()
    def expose(self, strip_range: tuple[int, int]) -> Tensor:
        """Render the tiles from the first to before the last; return their coverage (V * N,)."""
        first, last = strip_range
        plates, stage = self.plates, self.scene.stage
        strip = cut_strip(self.lenses, self.scene.setup, first, last)
        background = strip.ground_inverse_depths()
        pairs = self.pairs.between(first, last)
        seen = raster.trace(self.rows, strip.rays, background, pairs, len(stage.sizes))
        shade = self.shadows.lost_light(strip.ground_points(background), first, last)
        colors = self.scene.paint(strip, background, seen, shade)
        noise = (stage.light.noise, self.noise_seed + 7919 * first)
        plates.levels[:, first:last] = develop(colors, self.gains[first:last], noise)
        plates.inverse_depths[first:last] = seen.inverse_depths
        body_of_row = torch.cat([self.rows.bodies.new_full((1,), -1), self.rows.bodies])
        plates.bodies[first:last] = body_of_row[seen.rows + 1]
        return seen.coverage

    def pictures(self, coverage: Tensor) -> Pictures:
        """Put the tiles together."""
        plates, views = self.plates, len(self.lenses.focal_lengths)
        count = len(coverage) // views
        return Pictures(
            images=untiled(plates.levels, self.lenses).permute(1, 2, 3, 0).contiguous(),
            bodies=untiled(plates.bodies, self.lenses),
            inverse_depths=untiled(plates.inverse_depths, self.lenses),
            coverage=coverage.view(views, count),
            visible=_count_visible(plates.bodies.view(views, -1), count),
        )


def _count_visible(bodies: Tensor, count: int) -> Tensor:
    """Count pixels (V, n) of body indices per view and body -> (V, count)."""
    shift = torch.arange(len(bodies), device=bodies.device)[:, None] * (count + 1) + 1
    total = len(bodies) * (count + 1)
    counts = torch.bincount((bodies + shift).flatten(), minlength=total)
    return counts.view(len(bodies), -1)[:, 1:].float()
