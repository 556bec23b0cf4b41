"""Shade that bodies cast on the ground, taking every body as the box around it.

A ground point lies in the shadow of a box if the way from it towards the sun, cut at the height of
the box, crosses the footprint of the box: a segment against a rectangle in the plane.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth.render import raster
from streampetr_ros.synth.render.stage import Setup, Stage
from streampetr_ros.synth.render.tiles import Lenses

_RANGE = 75.0
_SUN_EDGE = 0.25
_CONTACT_REACH = 0.35
_CONTACT_STRENGTH = 0.6


class Shadows(NamedTuple):
    """Bodies that cast shade, one row per view, C in all.

    Attributes:
        frames: (C, 8) center x y, cosine and sine of yaw, half length and width, way to the sun
            (2) in body axes from the ground to the top of the body.
        pairs: tiles that a shade may reach.
    """

    frames: Tensor
    pairs: raster.Pairs

    def lost_light(self, points: Tensor, first: int, last: int) -> Tensor:
        """Return the light that bodies keep from the ground.

        Args:
            points: (2, t, L) on the ground, relative to the origin of the setup.
            first: first tile of the points, counted through all views.
            last: past their last tile.

        Returns:
            (2, t, L) shares in [0, 1] of sunlight and of skylight lost.
        """
        lost = torch.zeros_like(points)
        pairs = self.pairs.between(first, last)
        for start, end in pairs.steps(points.shape[2]):
            own, frames = pairs.tiles[start:end], self.frames[pairs.members[start:end]]
            x, y = points[0].index_select(0, own), points[1].index_select(0, own)
            for layer, shade in enumerate(_shade_of_boxes(frames, x, y)):
                raster.amax_rows(lost[layer], own, shade)
        return lost


def cast_shadows(stage: Stage, lenses: Lenses, setup: Setup) -> Shadows:
    """Find where the bodies around the cameras may keep light from the ground."""
    views, bodies = (setup.distances < _RANGE).nonzero(as_tuple=True)
    centers, turns = setup.centers[views, bodies], setup.turns[views, bodies]
    sizes = stage.table.sizes[bodies]
    x, y, z = stage.palette.to_sun
    way = sizes[:, 2:] * sizes.new_tensor([x / z, y / z])
    cosine, sine = turns.unbind(1)
    way_body = torch.stack(
        [cosine * way[:, 0] + sine * way[:, 1], cosine * way[:, 1] - sine * way[:, 0]], dim=1
    )
    outline = _outline(centers, turns, 0.5 * sizes[:, :2] + _CONTACT_REACH, way)
    camera_from_layout = setup.rotations.mT[views]
    vertices = (outline - setup.eyes[views][:, None]) @ camera_from_layout.mT
    frames = torch.cat([centers[:, :2], turns, 0.5 * sizes[:, :2], way_body], dim=1)
    front = (vertices[..., 2] > raster.NEAR).any(1).nonzero()[:, 0]
    bounds = raster.outline_bounds(vertices[front])
    return Shadows(frames[front], raster.overlaps(views[front], bounds, lenses))


def _outline(centers: Tensor, turns: Tensor, halves: Tensor, way: Tensor) -> Tensor:
    """Return (C, 8, 3): the footprint and the footprint moved away from the sun, on the ground."""
    signs = halves.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    corners = halves[:, None] * signs
    cosine, sine = turns[:, None, 0], turns[:, None, 1]
    x = cosine * corners[..., 0] - sine * corners[..., 1] + centers[:, None, 0]
    y = sine * corners[..., 0] + cosine * corners[..., 1] + centers[:, None, 1]
    foot = torch.stack([x, y], dim=-1)
    ring = torch.cat([foot, foot - way[:, None]], dim=1)
    return torch.cat([ring, torch.zeros_like(ring[..., :1])], dim=-1)


def _shade_of_boxes(frames: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return (P, L) lost sunlight and lost skylight at points (P, L) below boxes (P, 8)."""
    center_x, center_y, cosine, sine, *extent = frames[..., None].unbind(1)
    half_u, half_v, way_u, way_v = extent
    x, y = x - center_x, y - center_y
    u, v = x * cosine + y * sine, y * cosine - x * sine
    # Dividing by the way makes 1 the top of the body; a vanishing way never leaves the footprint.
    from_u, to_u = _crossing(u, half_u, way_u)
    from_v, to_v = _crossing(v, half_v, way_v)
    inside = torch.minimum(to_u, to_v).clamp_(max=1) - torch.maximum(from_u, from_v).clamp_(min=0)
    sunlight = inside.mul_((way_u.square() + way_v.square()).sqrt() / _SUN_EDGE).clamp_(0, 1)
    contact_u = (half_u - u.abs_()).div_(_CONTACT_REACH).add_(1).clamp_(0, 1)
    contact_v = (half_v - v.abs_()).div_(_CONTACT_REACH).add_(1).clamp_(0, 1)
    return sunlight, contact_u.mul_(contact_v).mul_(_CONTACT_STRENGTH)


def _crossing(position: Tensor, half: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Return where ``position + t * way`` enters and leaves ``[-half, half]``."""
    inverse = 1 / torch.where(way.abs() < 1e-4, torch.full_like(way, 1e-4), way)
    middle = position * -inverse
    reach = half * inverse.abs()
    return middle - reach, middle + reach
