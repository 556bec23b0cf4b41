"""Colors of what the rays meet: ground, sky, and the faces of bodies, in linear RGB.

Everything works on planes: a color is a (3, n, L) or (3, n) tensor, never interleaved. Widths
that would alias are faded by the footprint of a pixel, so markings and windows do not flicker.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.synth.render.raster import where_positive
from streampetr_ros.synth.world.scenery import GroundPaint, Lighting, RoadGrid

_NOISE_SIZE = 256
_NOISE_ORIGIN = float(1 << 16)
_LAND_SCALE = 1 / 37
_DASH_PERIOD, _DASH_LENGTH = 9.0, 3.0
_CROSSING_NEAR, _CROSSING_FAR, _STOP_NEAR, _STOP_FAR = 0.8, 3.6, 4.4, 4.9


class Palette(NamedTuple):
    """Lighting and ground colors as tensors of the rendering device.

    Attributes:
        to_sun: unit vector towards the sun, layout frame.
        sun, ambient, horizon: (3, 1) as in `Lighting`.
        ground: (3, 7) low and high end of the land, sidewalk, asphalt, kerb, marking, center line.
        sky: (3, 5) horizon, zenith, clouds, sun, hills.
        noise: (65536,) uniform in [-1, 1].
    """

    to_sun: tuple[float, float, float]
    sun: Tensor
    ambient: Tensor
    horizon: Tensor
    ground: Tensor
    sky: Tensor
    noise: Tensor


def build_palette(light: Lighting, paint: GroundPaint, device: torch.device | str) -> Palette:
    """Copy colors to a device."""
    noise = np.random.default_rng(0).uniform(-1, 1, _NOISE_SIZE**2)
    # The kerb is the asphalt brightened.
    kerb = paint.asphalt + 0.16
    ground = (*paint.lots, paint.sidewalk, paint.asphalt, kerb, paint.marking, paint.center)
    sky = (light.horizon, light.zenith, np.full(3, 0.95), light.sun, paint.hills)
    parts = (
        *(light.sun[:, None], light.ambient[:, None], light.horizon[:, None]),
        *(np.stack(ground, axis=1), np.stack(sky, axis=1), noise),
    )
    x, y, z = light.to_sun.tolist()
    return Palette((x, y, z), *(torch.as_tensor(np.float32(part), device=device) for part in parts))


def _mixed(colors: Tensor, weights: list[Tensor]) -> Tensor:
    """Mix (3, k) colors by k weights (n, L) -> (3, n, L)."""
    stacked = torch.stack(weights)
    return (colors @ stacked.flatten(1)).view(3, *stacked.shape[1:])


def _lookup(noise: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return the noise of the unit cells that u, v fall in."""
    # Conversion to integers rounds towards zero, so everything is moved to the positive side.
    column = (u + _NOISE_ORIGIN).to(torch.int32).bitwise_and_(_NOISE_SIZE - 1)
    row = (v + _NOISE_ORIGIN).to(torch.int32).bitwise_and_(_NOISE_SIZE - 1)
    cells = row.mul_(_NOISE_SIZE).add_(column)
    return noise.index_select(0, cells.flatten()).view_as(u)


def _cover(inside: Tensor, per_pixel: Tensor) -> Tensor:
    """Return the share of a pixel covered by where `inside` (metres) is positive."""
    return (inside * per_pixel).add_(0.5).clamp_(0, 1)


class _Band(NamedTuple):
    """Ground points as seen from the nearest street, metres.

    Attributes:
        across: distance from its middle.
        along: position along it.
        crossing: distance from the middle of the street that crosses it.
        incoming: 1 on the lanes that lead to the crossing.
    """

    across: Tensor
    along: Tensor
    crossing: Tensor
    incoming: Tensor


def _nearest_street(grid: RoadGrid, x: Tensor, y: Tensor) -> _Band:
    """Describe ground points by the nearer of the two streets around them.

    Markings lie on a street and off the one that crosses it, so the nearer one has them all.
    """
    from_column = _offset_from_multiple(x - grid.origin_x, grid.spacing_x)
    from_row = _offset_from_multiple(y, grid.spacing_y)
    side = where_positive((from_column * from_row).mul_(1.0 if grid.right_hand else -1.0))
    from_column.abs_()
    from_row.abs_()
    on_column = where_positive(from_row - from_column)
    return _Band(
        across=torch.minimum(from_row, from_column),
        along=x.lerp(y, on_column),
        crossing=torch.maximum(from_row, from_column),
        incoming=side,
    )


def _offset_from_multiple(value: Tensor, period: float) -> Tensor:
    return value - (value / period).round_().mul_(period)


def ground_color(
    grid: RoadGrid, palette: Palette, points: tuple[Tensor, Tensor], per_pixel: Tensor
) -> Tensor:
    """Paint the ground.

    Args:
        grid: streets.
        palette: colors.
        points: x and y (n, L) in the layout frame, metres.
        per_pixel: (n, L) pixels per metre on the ground.

    Returns:
        (3, n, L) albedo.
    """
    x, y = points
    band = _nearest_street(grid, x, y)
    from_kerb = grid.kerb - band.across
    asphalt = _cover(from_kerb, per_pixel)
    paved = _cover(from_kerb + grid.sidewalk_width, per_pixel)
    kerb = _cover(0.14 - from_kerb.abs_(), per_pixel)
    white, center = _markings(grid, band, per_pixel)
    land = _lookup(palette.noise, x * _LAND_SCALE, y * _LAND_SCALE).mul_(0.5).add_(0.5)
    # Every layer hides the ones below it; what is left of the light goes on to the next.
    white.mul_(1 - center)
    left = (1 - center).sub_(white).mul_(_grain(palette, x, y, per_pixel))
    kerb.mul_(left)
    left.sub_(kerb)
    asphalt.mul_(left)
    left.sub_(asphalt)
    paved.mul_(left)
    left.sub_(paved)
    high = land.mul_(left)
    weights = [left.sub_(high), high, paved, asphalt, kerb, white, center]
    return _mixed(palette.ground, weights)


def _grain(palette: Palette, x: Tensor, y: Tensor, per_pixel: Tensor) -> Tensor:
    """Brightness of gravel and of worn patches, the cue for the motion of the ground."""
    fine = _lookup(palette.noise, x * 8.0, y * 8.0) * (per_pixel * 0.014).clamp_(max=0.11)
    coarse = _lookup(palette.noise, x * 0.8, y * 0.8) * (per_pixel * 0.08).clamp_(max=0.08)
    return fine.add_(coarse).add_(1.0)


def _markings(grid: RoadGrid, band: _Band, per_pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cover (n, L) by white paint and by the center line."""
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
    stripes = _stripes(band.across / 1.2, 0.5, 1.2 * per_pixel)
    middle, half = (_CROSSING_NEAR + _CROSSING_FAR) / 2, (_CROSSING_FAR - _CROSSING_NEAR) / 2
    crossing = _cover(half - (beyond - middle).abs_(), per_pixel).mul_(stripes)
    middle, half = (_STOP_NEAR + _STOP_FAR) / 2, (_STOP_FAR - _STOP_NEAR) / 2
    stop = _cover(half - (beyond - middle).abs_(), per_pixel).mul_(band.incoming)
    return torch.maximum(white, torch.maximum(crossing, stop).mul_(on_road)), center


def sky_color(palette: Palette, directions: Tensor) -> Tensor:
    """Return (3, n, L) colors of the sky along (3, n, L) unit directions."""
    x, y, z = directions
    height = z.clamp(min=0.0)
    spread = 1 / (height + 0.12)
    clouds = _clouds(x * spread, y * spread).mul_((height * 3).clamp_(max=0.55))
    sun_x, sun_y, sun_z = palette.to_sun
    glow = (x * sun_x).add_(y, alpha=sun_y).add_(z, alpha=sun_z).clamp_(0, 1).pow_(48)
    hills = _hills(directions)
    left = 1 - hills
    glow.mul_(left).mul_(0.5)
    clouds.mul_(left)
    left.sub_(clouds)
    zenith = height.mul_(1.6).clamp_(max=1).sqrt_().mul_(left)
    return _mixed(palette.sky, [left.sub_(zenith), zenith, clouds, glow, hills])


def _clouds(u: Tensor, v: Tensor) -> Tensor:
    """Return how cloudy (n, L) it is at places on a plane overhead, from a few bent waves."""
    cloud = (1.9 * u + (1.3 * v).sin_()).sin_() * (1.6 * v + (1.7 * u + 0.9).sin_()).sin_()
    cloud.add_((4.3 * u + 2.0 * cloud).sin_().mul_((3.7 * v).sin_()).mul_(0.4))
    return cloud.mul_(0.9).sub_(0.25).clamp_(0, 1)


def _hills(directions: Tensor) -> Tensor:
    """Return the cover (n, L) by hills at the horizon."""
    x, y, z = directions.unbind()
    top = (5.0 * x + 2.0).sin_().mul_((4.0 * y + 1.0).sin_()).mul_(0.014)
    top.add_((13.0 * x - 9.0 * y).sin_().mul_(0.006)).add_(0.022)
    return (top - z).mul_(400.0).clamp_(0, 1)


class Hits(NamedTuple):
    """Points on bodies, n of them.

    Attributes:
        points: x, y, z (n,) in the frame of the body, metres.
        normals: (3, n) outward, layout frame.
        colors: (3, n) albedo.
        heights: (n,) above the foot of the body, metres.
        sides: (n,) 1 on the four sides, 0 above and below.
        across_x: (n,) 1 if the side faces along x, so that its horizontal axis is y.
        rows: (n,) row each point belongs to.
    """

    points: tuple[Tensor, Tensor, Tensor]
    normals: Tensor
    colors: Tensor
    heights: Tensor
    sides: Tensor
    across_x: Tensor
    rows: Tensor


def add_pattern(hits: Hits, patterns: Tensor, per_metre: Tensor, noise: Tensor) -> Hits:
    """Paint grids of windows and stripes.

    Args:
        hits: n points.
        patterns: (11, M) of the rows, as in `FaceTable`.
        per_metre: (n,) pixels per metre at the points.
        noise: (65536,) table.
    """
    own = patterns.index_select(1, hits.rows)
    period_u, period_v, duty_u, duty_v, slant, varied, origin, _, _, _, exists = own
    x, y, z = hits.points
    level = z - origin
    u = (x.lerp(y, hits.across_x) + slant * level).div_(period_u).add_(0.5)
    v = level / period_v
    cover = _stripes(u, duty_u, per_metre * period_u)
    cover.mul_(_stripes(v - 0.5 * (duty_v - 1), duty_v, per_metre * period_v))
    cover.mul_(hits.sides).mul_(exists)
    brightness = _lookup(noise, u, v).mul_(varied).mul_(0.75).add_(1)
    hits.colors.lerp_(own[7:10].mul_(brightness), cover.expand(3, -1))
    return hits


def _stripes(position: Tensor, duty: Tensor | float, pixels: Tensor) -> Tensor:
    """Return the cover by stripes centered in unit cells, `pixels` wide each.

    Args:
        position: in cells.
        duty: share of a cell that is painted.
        pixels: width of a cell in the picture; below two the stripes fade into their mean.
    """
    distance = (position - position.floor()).sub_(0.5).abs_()
    cover = (0.5 * duty - distance).mul_(pixels).add_(0.5).clamp_(0, 1)
    fade = (pixels * -0.5).add_(1.5).clamp_(0, 1)
    return cover.add_((duty - cover).mul_(fade))


def light_bodies(hits: Hits, palette: Palette) -> Tensor:
    """Return (3, n) light reflected by points on bodies."""
    sun_x, sun_y, sun_z = palette.to_sun
    x, y, z = hits.normals
    direct = (x * sun_x).add_(y, alpha=sun_y).add_(z, alpha=sun_z).clamp_(min=0)
    # The street darkens what stands near to it.
    from_sky = hits.heights.clamp(0, 1).mul_(0.38).add_(0.62).mul_((z * 0.28).add_(0.72))
    return hits.colors.mul_((palette.sun * direct).add_(palette.ambient * from_sky))
