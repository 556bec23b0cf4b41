"""Colours of what the rays meet: ground, sky, and the faces of bodies, in linear RGB.

Everything works on planes: a colour is a (3, n, L) or (3, n) tensor, never interleaved. Widths
that would alias are faded by the footprint of a pixel, so markings and windows do not flicker.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.synth.scenery import GroundPaint, Lighting, RoadGrid

_NOISE_SIZE = 256
_DASH_PERIOD, _DASH_LENGTH = 9.0, 3.0
_CROSSING_NEAR, _CROSSING_FAR, _STOP_NEAR, _STOP_FAR = 0.8, 3.6, 4.4, 4.9


class Palette(NamedTuple):
    """Lighting and ground colours as tensors of the rendering device.

    Attributes:
        to_sun, sun, ambient, zenith, horizon: (3,) as in `Lighting`.
        asphalt, sidewalk, marking, center: (3,) as in `GroundPaint`.
        lots: (2, 3) as in `GroundPaint`.
        noise: (65536,) uniform in [-1, 1].
    """

    to_sun: Tensor
    sun: Tensor
    ambient: Tensor
    zenith: Tensor
    horizon: Tensor
    asphalt: Tensor
    sidewalk: Tensor
    marking: Tensor
    center: Tensor
    lots: Tensor
    noise: Tensor


def build_palette(light: Lighting, paint: GroundPaint, device: torch.device | str) -> Palette:
    """Copy colours to a device."""
    noise = np.random.default_rng(0).uniform(-1, 1, _NOISE_SIZE**2)
    parts = (
        *(light.to_sun, light.sun, light.ambient, light.zenith, light.horizon),
        *(paint.asphalt, paint.sidewalk, paint.marking, paint.center, paint.lots),
        noise,
    )
    return Palette(*(torch.as_tensor(np.float32(part), device=device) for part in parts))


def _planar(color: Tensor) -> Tensor:
    """(3,) -> (3, 1, 1)."""
    return color[:, None, None]


def _lookup(noise: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return the noise of the unit cells that u, v fall in."""
    column = u.floor().to(torch.int32).bitwise_and_(_NOISE_SIZE - 1)
    row = v.floor().to(torch.int32).bitwise_and_(_NOISE_SIZE - 1)
    return noise.take(row.mul_(_NOISE_SIZE).add_(column).long())


def _cover(inside: Tensor, per_pixel: Tensor) -> Tensor:
    """Return the share of a pixel covered by where `inside` (metres) is positive."""
    return (inside * per_pixel).add_(0.5).clamp_(0, 1)


class _Band(NamedTuple):
    """A street's own coordinates of ground points: across, along, and distance to its crossing."""

    across: Tensor
    along: Tensor
    crossing: Tensor
    incoming: Tensor


def ground_color(
    grid: RoadGrid, palette: Palette, points: tuple[Tensor, Tensor], per_pixel: Tensor
) -> Tensor:
    """Paint the ground.

    Args:
        grid: streets.
        palette: colours.
        points: x and y (n, L) in the layout frame, metres.
        per_pixel: (n, L) pixels per metre on the ground.

    Returns:
        (3, n, L) albedo.
    """
    x, y = points
    column = ((x - grid.origin_x) / grid.spacing_x).round_()
    row = (y / grid.spacing_y).round_()
    from_column = x - grid.origin_x - column * grid.spacing_x
    from_row = y - row * grid.spacing_y
    incoming = ((from_column * from_row > 0) == grid.right_hand).to(x.dtype)
    across_x, across_y = from_row.abs_(), from_column.abs_()
    nearest = torch.minimum(across_x, across_y)
    asphalt = _cover(grid.kerb - nearest, per_pixel)
    paved = _cover(grid.front - nearest, per_pixel)
    kerb = _cover(0.14 - (nearest - grid.kerb).abs_(), per_pixel)
    white, center = _markings(grid, _Band(across_x, x, across_y, incoming), per_pixel)
    white_y, center_y = _markings(grid, _Band(across_y, y, across_x, incoming), per_pixel)
    grain = _grain(palette, x, y, per_pixel)
    land = (_lookup(palette.noise, x / 37.0, y / 37.0) * 0.5).add_(0.5)
    color = _planar(palette.lots[0]) + land * _planar(palette.lots[1] - palette.lots[0])
    color = color.lerp_(_planar(palette.sidewalk).expand_as(color), paved)
    color = color.lerp_(_planar(palette.asphalt).expand_as(color), asphalt).add_(0.16 * kerb)
    color = color.mul_(grain)
    color = color.lerp_(_planar(palette.marking).expand_as(color), torch.maximum(white, white_y))
    return color.lerp_(_planar(palette.center).expand_as(color), torch.maximum(center, center_y))


def _grain(palette: Palette, x: Tensor, y: Tensor, per_pixel: Tensor) -> Tensor:
    """Brightness of gravel and of worn patches, the cue for the motion of the ground."""
    fine = _lookup(palette.noise, x * 8.0, y * 8.0) * (0.125 * 0.16 * per_pixel).clamp_(max=0.16)
    coarse = _lookup(palette.noise, x * 0.8, y * 0.8) * (0.10 * per_pixel).clamp_(max=0.10)
    return fine.add_(coarse).add_(1.0)


def _markings(grid: RoadGrid, band: _Band, per_pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cover (n, L) by white paint and by the centre line."""
    beyond = band.crossing - grid.kerb
    open_road = _cover(beyond - _STOP_FAR, per_pixel)
    thin = (0.14 * per_pixel).clamp(max=1.0).mul_(open_road)
    center = _cover(0.14 - band.across, per_pixel) * thin
    edge = _cover(0.07 - (band.across - grid.lanes * grid.lane_width).abs_(), per_pixel)
    white = edge * thin
    if grid.lanes > 1:
        phase = (band.along / _DASH_PERIOD).frac().abs_().mul_(_DASH_PERIOD)
        dash = _cover(_DASH_LENGTH - phase, per_pixel) * thin
        line = _cover(0.07 - (band.across - grid.lane_width).abs_(), per_pixel)
        white = torch.maximum(white, line.mul_(dash))
    on_road = _cover(grid.kerb - 0.4 - band.across, per_pixel)
    stripes = ((band.across / 1.2).frac() < 0.5).to(white.dtype)
    stripes.lerp_(torch.full_like(stripes, 0.5), (1.2 - 0.6 * per_pixel).clamp_(0, 1))
    middle, half = (_CROSSING_NEAR + _CROSSING_FAR) / 2, (_CROSSING_FAR - _CROSSING_NEAR) / 2
    crossing = _cover(half - (beyond - middle).abs_(), per_pixel).mul_(stripes)
    middle, half = (_STOP_NEAR + _STOP_FAR) / 2, (_STOP_FAR - _STOP_NEAR) / 2
    stop = _cover(half - (beyond - middle).abs_(), per_pixel).mul_(band.incoming)
    return torch.maximum(white, torch.maximum(crossing, stop).mul_(on_road)), center


def sky_color(palette: Palette, directions: Tensor) -> Tensor:
    """Return (3, n, L) colours of the sky along (3, n, L) unit directions."""
    height = directions[2].clamp(min=0.0)
    color = _planar(palette.horizon).lerp(
        _planar(palette.zenith), (height * 1.6).clamp_(max=1).sqrt_()
    )
    u, v = (directions[axis] / (height + 0.12) for axis in (0, 1))
    cloud = (1.9 * u + (1.3 * v).sin_()).sin_() * (1.6 * v + (1.7 * u + 0.9).sin_()).sin_()
    cloud += 0.4 * (4.3 * u + 2.0 * cloud).sin_() * (3.7 * v).sin_()
    cloud = (cloud * 0.9 - 0.25).clamp_(0, 1) * (height * 3).clamp_(max=0.55)
    color = color.lerp_(torch.full_like(color[:1], 0.95), cloud)
    glow = (directions * _planar(palette.to_sun)).sum(0).clamp_(0, 1).pow_(48)
    return color + glow * _planar(palette.sun) * 0.5


class Hits(NamedTuple):
    """Points on bodies, n of them.

    Attributes:
        points: (3, n) in the frame of the body, metres.
        normals: (3, n) outward, layout frame.
        colors: (3, n) albedo.
        heights: (n,) above the foot of the body, metres.
        sides: (n,) bool, on one of the four sides.
        across_x: (n,) bool, the side faces along x, so that its horizontal axis is y.
        per_metre: (n,) pixels per metre.
    """

    points: Tensor
    normals: Tensor
    colors: Tensor
    heights: Tensor
    sides: Tensor
    across_x: Tensor
    per_metre: Tensor


def add_pattern(hits: Hits, patterns: Tensor, colors: Tensor, noise: Tensor) -> Tensor:
    """Paint grids of windows and stripes.

    Args:
        hits: n points of patterned frusta.
        patterns: (n, 7) as in `PrimitiveTable`.
        colors: (3, n) of the grid cells.
        noise: (65536,) table.

    Returns:
        (3, n) albedo.
    """
    period_u, period_v, duty_u, duty_v, slant, varied, origin = patterns.unbind(1)
    x, y, z = hits.points
    level = z - origin
    u = (torch.where(hits.across_x, y, x) + slant * level) / period_u + 0.5
    v = level / period_v
    cover = _stripes(u, duty_u, hits.per_metre * period_u)
    cover = cover * _stripes(v - 0.5 * (duty_v - 1), duty_v, hits.per_metre * period_v)
    cover = cover * hits.sides
    brightness = 1 + varied * 0.75 * _lookup(noise, u, v)
    return hits.colors.lerp(colors * brightness, cover)


def _stripes(position: Tensor, duty: Tensor, pixels: Tensor) -> Tensor:
    """Return the cover by stripes centred in unit cells, `pixels` wide each."""
    distance = (position - position.floor() - 0.5).abs_()
    cover = ((0.5 * duty - distance) * pixels).add_(0.5).clamp_(0, 1)
    return cover.lerp_(duty, (1.5 - 0.5 * pixels).clamp_(0, 1))


def light_bodies(hits: Hits, palette: Palette) -> Tensor:
    """Return (3, n) light reflected by points on bodies."""
    direct = (hits.normals * palette.to_sun[:, None]).sum(0).clamp_(min=0)
    facing_sky = 0.72 + 0.28 * hits.normals[2]
    # The street darkens what stands near to it.
    facing_sky *= 0.62 + 0.38 * hits.heights.clamp(0, 1)
    light = direct * palette.sun[:, None] + facing_sky * palette.ambient[:, None]
    return hits.colors * light
