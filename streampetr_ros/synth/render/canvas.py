"""Paints what `raster` found: ground with shadows, sky, bodies, haze; develops the pictures.

Shapes: t tiles of a strip, L rays per tile.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth.render.faces import FaceTable
from streampetr_ros.synth.render.raster import SKY, Seen, where_positive
from streampetr_ros.synth.render.shading import add_pattern, ground_color, light_bodies, sky_color
from streampetr_ros.synth.render.stage import Setup, Stage
from streampetr_ros.synth.render.tiles import Lenses

# Without a limit the ground at the horizon would be infinitely far.
_LEAST_INVERSE_DEPTH = 1e-4
_NOISE_LENGTH = 1 << 20


class Strip(NamedTuple):
    """A run of tiles.

    Attributes:
        rays: (2, t, L) slopes in the camera.
        directions: (3, t, L) rays in the layout frame, 1 along the optical axis.
        lengths: (t, L) of these rays.
        eyes: (3, t, 1) where they start, relative to the origin of the setup.
        focal: (t, 1) pixels.
    """

    rays: Tensor
    directions: Tensor
    lengths: Tensor
    eyes: Tensor
    focal: Tensor

    def between(self, first: int, last: int) -> Strip:
        """Return some of the tiles."""
        return Strip(*(part[..., first:last, :] for part in self))

    def ground_inverse_depths(self) -> Tensor:
        """Return (t, L) inverse depths of the ground; `SKY` above the horizon."""
        return (self.directions[2] / -self.eyes[2]).clamp_(min=SKY)

    def ground_points(self, inverse_depths: Tensor) -> Tensor:
        """Return (2, t, L) ground points relative to the origin of the setup, metres."""
        depths = 1 / inverse_depths.clamp(min=_LEAST_INVERSE_DEPTH)
        return (self.directions[:2] * depths).add_(self.eyes[:2])


def cut_strip(lenses: Lenses, setup: Setup, first: int, last: int) -> Strip:
    """Prepare the tiles from `first` to before `last`, counted through all views."""
    views = torch.arange(first, last, device=lenses.rays.device) // lenses.tiles_per_view
    rays = lenses.rays[:, first:last]
    rotations = setup.rotations[views]
    directions = [
        (rays[0] * rotations[:, axis, 0, None])
        .add_(rays[1] * rotations[:, axis, 1, None])
        .add_(rotations[:, axis, 2, None])
        for axis in range(3)
    ]
    return Strip(
        rays=rays,
        directions=torch.stack(directions),
        lengths=(rays[0].square() + rays[1].square()).add_(1).sqrt_(),
        eyes=setup.eyes[views].T[..., None],
        focal=lenses.focal_lengths[views][:, None],
    )


class Scene(NamedTuple):
    """What painting looks things up in.

    Attributes:
        stage: the scene.
        setup: poses.
        faces: of the rows.
    """

    stage: Stage
    setup: Setup
    faces: FaceTable

    def paint(self, strip: Strip, background: Tensor, seen: Seen, shade: Tensor) -> Tensor:
        """Paint a strip.

        Args:
            strip: of t tiles.
            background: (t, L) inverse depth of the ground.
            seen: what the rays meet.
            shade: (2, t, L) shares of sunlight and skylight kept from the ground.

        Returns:
            (3, t, L) linear RGB.
        """
        colors = torch.zeros_like(strip.directions)
        start, end = _run(background.amax(1) > SKY)
        if start < end:
            part = slice(start, end)
            colors[:, part] = self._ground(
                strip.between(start, end), background[part], shade[:, part]
            )
        start, end = _run(background.amin(1) <= SKY)
        if start < end:
            piece = strip.between(start, end)
            sky = sky_color(self.stage.palette, piece.directions / piece.lengths)
            is_ground = where_positive(background[start:end] - SKY)
            colors[:, start:end].lerp_(sky, 1 - is_ground)
        return self._add_bodies(colors.flatten(1), strip, seen).view_as(colors)

    def _ground(self, strip: Strip, background: Tensor, shade: Tensor) -> Tensor:
        palette, origin = self.stage.palette, self.setup.origin
        depths = background.clamp(min=_LEAST_INVERSE_DEPTH)
        x, y = strip.ground_points(background)
        # Between the sharp scale across the view and the foreshortened one along it.
        per_metre = (0.7 * strip.focal) * depths
        points = (x + float(origin[0]), y + float(origin[1]))
        color = ground_color(self.stage.grid, palette, points, per_metre)
        lit = 1 - shade.flatten(1)
        # (3, 2) @ (2, t * L): sunlight and skylight that the ground gets.
        direct = palette.sun * palette.to_sun[2]
        light = torch.cat([direct, palette.ambient], dim=1) @ lit
        color.mul_(light.view_as(color))
        return self._haze(color.flatten(1), (strip.lengths / depths).flatten()).view_as(color)

    def _add_bodies(self, colors: Tensor, strip: Strip, seen: Seen) -> Tensor:
        """Return the (3, t * L) colors with the bodies painted over them."""
        flat = (seen.rows >= 0).flatten().nonzero()[:, 0]
        if not len(flat):
            return colors
        rows = seen.rows.flatten().index_select(0, flat)
        depths = seen.inverse_depths.flatten().index_select(0, flat)
        focal = strip.focal.flatten().index_select(0, flat // seen.rows.shape[1])
        offsets = strip.directions.flatten(1).index_select(1, flat).div_(depths)
        hits = self.faces.hits(rows, strip.rays.flatten(1).index_select(1, flat), offsets)
        hits = add_pattern(hits, self.faces.patterns, focal * depths, self.stage.palette.noise)
        lit = light_bodies(hits, self.stage.palette)
        distances = strip.lengths.flatten().index_select(0, flat).div_(depths)
        return colors.index_copy_(1, flat, self._haze(lit, distances))

    def _haze(self, colors: Tensor, distances: Tensor) -> Tensor:
        """Fade (3, n) colors into the horizon with distance (n,), metres, in place."""
        left = distances.mul_(-self.stage.light.haze).exp_()
        return colors.mul_(left).add_(self.stage.palette.horizon * (1 - left))


def _run(tiles: Tensor) -> tuple[int, int]:
    """Return the shortest run that holds all tiles that are True: first, past last."""
    where = tiles.nonzero()[:, 0]
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)


def develop(colors: Tensor, gains: Tensor, noise: tuple[float, int]) -> Tensor:
    """Turn linear colors into levels: exposure, tone curve, noise.

    Args:
        colors: (3, t, L) linear RGB, overwritten.
        gains: (t, 1) brightness.
        noise: standard deviation, of full scale, and where to begin in the table of noise.

    Returns:
        (3, t, L) uint8.
    """
    strength, offset = noise
    # The square root is within 2 % of the sRGB curve and much cheaper.
    levels = colors.mul_(gains).clamp_(min=0).sqrt_().mul_(255)
    table = _noise_table(colors.device)
    start = offset % _NOISE_LENGTH
    # The three planes read the table at places that never line up.
    for plane, shift in zip(levels, (0, 5003, 10007), strict=True):
        count, begin = plane.numel(), (start + shift) % _NOISE_LENGTH
        repeats = -(-(begin + count) // _NOISE_LENGTH)
        grains = table if repeats == 1 else table.repeat(repeats)
        plane.add_(grains[begin : begin + count].view_as(plane), alpha=255 * strength)
    return levels.clamp_(0, 255).to(torch.uint8)


@cache
def _noise_table(device: torch.device) -> Tensor:
    """Return normal deviates, drawn once: drawing them for every picture would cost a tenth."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_NOISE_LENGTH, generator=generator).to(device)
