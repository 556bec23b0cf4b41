"""Paints what `raster` found: ground with shadows, sky, bodies, haze; develops the pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth import raster
from streampetr_ros.synth.faces import FaceTable, build_faces
from streampetr_ros.synth.raster import Rows, Visibility
from streampetr_ros.synth.scenery import Lighting
from streampetr_ros.synth.shading import (
    Hits,
    add_pattern,
    ground_color,
    light_bodies,
    sky_color,
)
from streampetr_ros.synth.shadows import ground_shade
from streampetr_ros.synth.stage import Poses, Setup, Stage
from streampetr_ros.synth.tiles import Lenses, untiled


class _Part(NamedTuple):
    """A run of t tiles being painted.

    Attributes:
        rays: (2, t, L) slopes in the camera.
        directions: (3, t, L) rays in the layout frame, 1 along the optical axis.
        lengths: (t, L) of these rays.
        eyes: (3, t, 1) where they start, relative to the origin of the setup.
        focal: (t, 1) pixels.
        depths: (t, L) inverse depth of the nearest surface.
        rows: (t, L) row of that surface.
    """

    rays: Tensor
    directions: Tensor
    lengths: Tensor
    eyes: Tensor
    focal: Tensor
    depths: Tensor
    rows: Tensor

    def selected(self, tiles: Tensor) -> _Part:
        """Return some of the tiles."""
        return _Part(
            self.rays[:, tiles],
            self.directions[:, tiles],
            self.lengths[tiles],
            self.eyes[:, tiles],
            self.focal[tiles],
            self.depths[tiles],
            self.rows[tiles],
        )


class Canvas:
    """All views of one instant.

    Args:
        stage: the scene.
        lenses: of V cameras.
        setup: poses.
    """

    def __init__(self, stage: Stage, lenses: Lenses, setup: Setup) -> None:
        self._stage = stage
        self._lenses = lenses
        self._setup = setup
        views, tiles = lenses.bounds.shape[:2]
        owner = torch.arange(views, device=lenses.rays.device).repeat_interleave(tiles)
        self._eyes = setup.eyes[owner].T[..., None]
        self._focal = lenses.focal_lengths[owner][:, None]
        self._directions = _rotate_rays(setup.rotations[owner], lenses.rays)
        self._lengths = (lenses.rays.square().sum(0) + 1).sqrt_()

    def ground_inverse_depths(self) -> Tensor:
        """Return (V * T, L) inverse depths of the ground; 0 above the horizon."""
        return (-self._directions[2] / self._eyes[2]).clamp_(min=0)

    def paint(self, rows: Rows, seen: Visibility) -> Tensor:
        """Return (3, V * T, L) linear RGB."""
        colors = torch.empty_like(self._directions)
        faces = build_faces(rows, self._stage, self._setup)
        shade = self._shade(seen)
        count, chunk = colors.shape[1], raster.chunk_length(colors)
        for start in range(0, count, chunk):
            part = slice(start, min(start + chunk, count))
            piece = _Part(
                self._lenses.rays[:, part],
                self._directions[:, part],
                self._lengths[part],
                self._eyes[:, part],
                self._focal[part],
                seen.inverse_depths[part],
                seen.rows[part],
            )
            self._paint_ground(colors[:, part], piece, shade[:, part])
            self._paint_sky(colors[:, part], piece)
            if len(rows.views):
                colors[:, part] = self._paint_bodies(colors[:, part].flatten(1), piece, faces)
        return colors

    def _shade(self, seen: Visibility) -> Tensor:
        """Return (2, V * T, L) shares of sunlight and of skylight kept from the ground."""
        tiles = (seen.rows < 0).any(1) & (seen.inverse_depths > 0).any(1)
        depths = seen.inverse_depths.clamp(min=1e-4)
        points = self._eyes[:2] + self._directions[:2] / depths
        return ground_shade(self._stage, self._lenses, self._setup, (points, tiles))

    def _paint_ground(self, colors: Tensor, part: _Part, shade: Tensor) -> None:
        ground = ((part.rows < 0) & (part.depths > 0)).any(1).nonzero()[:, 0]
        if not len(ground):
            return
        piece = part.selected(ground)
        stage, palette = self._stage, self._stage.palette
        depths = piece.depths.clamp(min=1e-4)
        origin = self._setup.origin
        x = piece.eyes[0] + piece.directions[0] / depths + float(origin[0])
        y = piece.eyes[1] + piece.directions[1] / depths + float(origin[1])
        # Between the sharp scale across the view and the foreshortened one along it.
        per_metre = 0.7 * piece.focal * depths
        albedo = ground_color(stage.grid, palette, (x, y), per_metre)
        sunlight, skylight = 1 - shade[:, ground]
        sun = (palette.sun * palette.to_sun[2])[:, None, None]
        light = sun * sunlight + palette.ambient[:, None, None] * skylight
        colors[:, ground] = self._haze(albedo * light, piece.lengths / depths)

    def _paint_sky(self, colors: Tensor, part: _Part) -> None:
        sky = (part.depths <= 0).any(1).nonzero()[:, 0]
        if len(sky):
            directions = part.directions[:, sky] / part.lengths[sky]
            painted = sky_color(self._stage.palette, directions)
            colors[:, sky] = torch.where(part.depths[sky] <= 0, painted, colors[:, sky])

    def _paint_bodies(self, colors: Tensor, part: _Part, faces: FaceTable) -> Tensor:
        """Return (3, t, L) colours, given them flat (3, t * L)."""
        flat = (part.rows >= 0).flatten().nonzero()[:, 0]
        rows, depths = part.rows.take(flat), part.depths.take(flat)
        focal = part.focal.expand_as(part.rows).take(flat)
        slopes = part.rays.flatten(1)[:, flat]
        offsets = part.directions.flatten(1)[:, flat] / depths
        hits, primitives = faces.hits(rows, slopes, offsets, focal * depths)
        self._paint_patterns(hits, primitives)
        lit = light_bodies(hits, self._stage.palette)
        distances = part.lengths.take(flat) / depths
        colors[:, flat] = self._haze(lit, distances)
        return colors.view_as(part.directions)

    def _paint_patterns(self, hits: Hits, primitives: Tensor) -> None:
        table = self._stage.table
        chosen = (table.has_pattern[primitives] & hits.sides).nonzero()[:, 0]
        if len(chosen):
            own = primitives[chosen]
            hits.colors[:, chosen] = add_pattern(
                Hits(*(field[..., chosen] for field in hits)),
                table.patterns[own],
                table.pattern_colors[own].T,
                self._stage.palette.noise,
            )

    def _haze(self, colors: Tensor, distances: Tensor) -> Tensor:
        """Fade (3, ...) colours into the horizon with distance (...), metres."""
        horizon = self._stage.palette.horizon.view(3, *[1] * distances.dim())
        share = 1 - (-self._stage.light.haze * distances).exp_()
        return colors.lerp_(horizon.expand_as(colors), share)


def _rotate_rays(rotations: Tensor, rays: Tensor) -> Tensor:
    """Turn slopes (2, n, L) by (n, 3, 3) -> (3, n, L) directions, 1 along the optical axis."""
    x, y = rays
    return torch.stack(
        [
            rotations[:, axis, 2, None]
            + rotations[:, axis, 0, None] * x
            + rotations[:, axis, 1, None] * y
            for axis in range(3)
        ]
    )


def develop(colors: Tensor, light: Lighting, lenses: Lenses, poses: Poses) -> Tensor:
    """Turn linear colours into pictures: exposure, tone curve, noise.

    Args:
        colors: (3, V * T, L) linear RGB.
        light: exposure and noise.
        lenses: tiling.
        poses: gains and noise seed.

    Returns:
        (V, H, W, 3) uint8.
    """
    tiles = lenses.bounds.shape[1]
    gains = torch.as_tensor(poses.gains * light.exposure, device=colors.device, dtype=colors.dtype)
    # The square root is within 2 % of the sRGB curve and much cheaper.
    levels = (colors * gains.repeat_interleave(tiles)[:, None]).clamp_(min=0).sqrt_()
    generator = torch.Generator(colors.device).manual_seed(poses.noise_seed)
    noise = torch.empty_like(levels).normal_(0.0, light.noise * 255, generator=generator)
    pixels = noise.add_(levels, alpha=255).clamp_(0, 255).to(torch.uint8)
    return untiled(pixels, lenses).permute(1, 2, 3, 0).contiguous()
