"""Exact visibility of convex frusta, evaluated only where their image rectangles fall.

A ray leaves the camera as ``d = (x, y, 1)`` and meets the plane ``n . X = e`` at inverse depth
``(n . d) / e``, which is *linear* in the ray slopes x and y. Seen from the camera, a plane with
e < 0 is crossed from outside to inside, so a convex body is hit where the smallest inverse depth of
these entry planes exceeds the largest of the others, and that smallest value is the inverse depth
of the surface: two products, two sums and one comparison per plane and ray, and no division.

Shapes: V views, tiles of L rays, M frusta rows (one per view in which a frustum may show), P
(tile, row) pairs. Every view has the same number of tiles.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streampetr_ros.synth.primitives import EDGES, PrimitiveTable

#: Nothing nearer than this to the image plane of a camera is drawn, metres.
NEAR = 0.1
_BIG = 1e30
_LEAST_INVERSE_DEPTH = 1e-4
# Temporaries of a chunk should stay in the second-level cache of one core.
_CHUNK_ELEMENTS = {"cpu": 1 << 17, "cuda": 1 << 25}
_Counts = tuple[int, int]


class Rows(NamedTuple):
    """Frusta placed in camera frames.

    Attributes:
        views: (M,) int64.
        primitives: (M,) int64 index into the table.
        bodies: (M,) int64 body index.
        coefficients: (M, 6, 3) inverse depth of each face: constant, per x, per y.
        outside: (M, 6) bool, the camera is on the outer side of the face.
        bounds: (M, 4) least x, y, greatest x, y of the outline, ray slopes.
    """

    views: Tensor
    primitives: Tensor
    bodies: Tensor
    coefficients: Tensor
    outside: Tensor
    bounds: Tensor

    def selected(self, index: Tensor) -> Rows:
        """Return the rows at an index."""
        return Rows(*(part[index] for part in self))


class Visibility(NamedTuple):
    """What every ray meets first.

    Attributes:
        inverse_depths: (V * tiles, L) of the nearest surface, 1/m along the optical axis; 0 is sky.
        rows: (V * tiles, L) int64 row of that surface; -1 where ground or sky shows.
        coverage: (V, N) float32 rays that would meet each body if nothing stood in front of it.
    """

    inverse_depths: Tensor
    rows: Tensor
    coverage: Tensor


def place(table: PrimitiveTable, camera_from_body: Tensor, shown: Tensor) -> Rows:
    """Move frusta into the camera frames and drop those behind the cameras.

    Args:
        table: frusta of N bodies.
        camera_from_body: (V, N, 3, 4) float32.
        shown: (V, N) bool, bodies worth looking at.
    """
    views, primitives = shown[:, table.owners].nonzero(as_tuple=True)
    bodies = table.owners[primitives]
    pose = camera_from_body[views, bodies]
    rotation, origin = pose[:, :, :3], pose[:, :, 3]
    vertices = table.vertices[primitives] @ rotation.mT + origin[:, None]
    normals = table.planes[primitives, :, :3] @ rotation.mT
    offsets = table.planes[primitives, :, 3] + (normals * origin[:, None]).sum(-1)
    # A plane through the camera is seen edge-on; keep its side and avoid dividing by zero.
    outside = offsets < 0
    offsets = torch.where(outside, offsets.clamp(max=-1e-4), offsets.clamp(min=1e-4))
    rows = Rows(
        views=views,
        primitives=primitives,
        bodies=bodies,
        coefficients=(normals / offsets[..., None])[..., [2, 0, 1]],
        outside=outside,
        bounds=outline_bounds(vertices),
    )
    # Inside a body no plane is crossed from outside: there is nothing to see of it.
    return rows.selected(((vertices[..., 2] > NEAR).any(1) & outside.any(1)).nonzero()[:, 0])


def outline_bounds(vertices: Tensor) -> Tensor:
    """Bound the slopes of (M, 8, 3) vertices after cutting the edges at the near plane."""
    edges = torch.tensor(EDGES, device=vertices.device)
    start, end = vertices[:, edges[:, 0]], vertices[:, edges[:, 1]]
    z_start, z_end = start[..., 2:], end[..., 2:]
    fraction = ((NEAR - z_start) / (z_end - z_start + 1e-9)).clamp(0, 1)
    cut = start + fraction * (end - start)
    points = torch.cat([vertices, cut], dim=1)
    depth = points[..., 2:]
    usable = depth > NEAR * 0.99
    slopes = points[..., :2] / depth.clamp(min=NEAR * 0.99)
    low = slopes.masked_fill(~usable, _BIG).amin(1)
    high = slopes.masked_fill(~usable, -_BIG).amax(1)
    return torch.cat([low, high], dim=1)


def overlaps(views: Tensor, bounds: Tensor, tile_bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Pair every tile with the rows whose outline may reach it.

    Args:
        views: (M,) view of each row.
        bounds: (M, 4) least x, y, greatest x, y of each outline, ray slopes.
        tile_bounds: (V, tiles, 4) least x, y, greatest x, y of the rays of each tile.

    Returns:
        Tiles (P,) counted through all views, ascending, and rows (P,), ascending within a tile.
    """
    count = tile_bounds.shape[1]
    tiles, members = [], []
    for view in range(len(tile_bounds)):
        own = (views == view).nonzero()[:, 0]
        tile, bound = tile_bounds[view], bounds[own]
        hit = tile[:, None, 0] <= bound[:, 2]
        hit &= tile[:, None, 2] >= bound[:, 0]
        hit &= tile[:, None, 1] <= bound[:, 3]
        hit &= tile[:, None, 3] >= bound[:, 1]
        where, which = hit.nonzero(as_tuple=True)
        tiles.append(where + view * count)
        members.append(own[which])
    return torch.cat(tiles), torch.cat(members)


def trace(
    rows: Rows, rays: Tensor, background: Tensor, pairs: tuple[Tensor, Tensor], counts: _Counts
) -> Visibility:
    """Find the nearest surface along every ray.

    Args:
        rows: M rows.
        rays: (2, V * tiles, L) slopes x and y.
        background: (V * tiles, L) inverse depth of the ground, 0 above the horizon.
        pairs: tiles and rows as `overlaps` returns them.
        counts: V and N.
    """
    tiles, members = pairs
    nearest = background.clone()
    winners = torch.full_like(background, -1.0)
    coverage = background.new_zeros(counts[0] * counts[1])
    entry, leave = _ordered_planes(rows)
    owners = rows.views * counts[1] + rows.bodies
    for start, end in chunks(tiles, background):
        first, last = int(tiles[start]), int(tiles[end - 1]) + 1
        own_tiles, own_rows = tiles[start:end] - first, members[start:end]
        x, y = (rays[axis, first:last].index_select(0, own_tiles) for axis in (0, 1))
        hits = _hits(entry.index_select(0, own_rows), leave.index_select(0, own_rows), x, y)
        grouped, groups = _nearest_per_body(hits, own_tiles, owners[own_rows])
        coverage.index_add_(0, groups[1], (grouped > 0).sum(1, dtype=coverage.dtype))
        surface = nearest[first:last]
        amax_rows(surface, groups[0], grouped)
        wins = hits == surface.index_select(0, own_tiles)
        candidates = torch.where(wins, own_rows[:, None].to(hits.dtype), -1.0)
        amax_rows(winners[first:last], own_tiles, candidates)
    return Visibility(nearest, winners.long(), coverage.view(counts))


def amax_rows(target: Tensor, index: Tensor, source: Tensor) -> None:
    """Raise rows of `target` to the maxima of the rows of `source` sent to them, in place."""
    target.scatter_reduce_(0, index[:, None].expand_as(source), source, "amax")


def _hits(entry: Tensor, leave: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (P, L) inverse depths where rays meet their frustum, -1 where they miss."""
    surface = _inverse_depth(entry[:, 0], x, y)
    for plane in range(1, entry.shape[1]):
        torch.minimum(surface, _inverse_depth(entry[:, plane], x, y), out=surface)
    behind = torch.full_like(surface, _LEAST_INVERSE_DEPTH)
    for plane in range(leave.shape[1]):
        torch.maximum(behind, _inverse_depth(leave[:, plane], x, y), out=behind)
    return surface.masked_fill_(surface < behind, -1.0)


def _inverse_depth(coefficients: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate (P, 3) constant, per-x and per-y terms at (P, L) slopes."""
    return (x * coefficients[:, 1:2]).add_(coefficients[:, :1]).add_(y * coefficients[:, 2:])


def _nearest_per_body(
    hits: Tensor, tiles: Tensor, owners: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Merge the frusta of one body within one tile.

    Returns:
        (G, L) inverse depths, -1 where missed; and the (G,) tiles and owners they belong to.
    """
    changed = (tiles[1:] != tiles[:-1]) | (owners[1:] != owners[:-1])
    group = torch.cat([changed.new_zeros(1), changed]).cumsum(0)
    firsts = torch.cat([changed.new_ones(1), changed]).nonzero()[:, 0]
    merged = hits.new_full((len(firsts), hits.shape[1]), -1.0)
    amax_rows(merged, group, hits)
    return merged, (tiles[firsts], owners[firsts])


def chunk_length(example: Tensor) -> int:
    """Return how many rows of (..., L) tensors like `example` to work on at a time."""
    return _CHUNK_ELEMENTS.get(example.device.type, 1 << 22) // example.shape[-1]


def chunks(tiles: Tensor, background: Tensor) -> list[tuple[int, int]]:
    """Cut pairs into runs that fit the cache, never inside a tile."""
    if not len(tiles):
        return []
    goal = chunk_length(background)
    ends = torch.bincount(tiles, minlength=len(background)).cumsum(0).unique().tolist()
    chunks, start = [], 0
    for previous, end in zip([0, *ends], [*ends, ends[-1]], strict=False):
        if end - start > goal and previous > start:
            chunks.append((start, previous))
            start = previous
    return [*chunks, (start, len(tiles))] if start < len(tiles) else chunks


def _ordered_planes(rows: Rows) -> tuple[Tensor, Tensor]:
    """Split coefficients into entry (M, k, 3) and other planes (M, m, 3), padded harmlessly."""
    order = rows.outside.int().argsort(dim=1, descending=True, stable=True)
    outside = rows.outside.gather(1, order)[..., None]
    planes = rows.coefficients.gather(1, order[..., None].expand(-1, -1, 3))
    counts = rows.outside.sum(1)
    most, least = (int(counts.max()), int(counts.min())) if len(counts) else (1, 0)
    never_nearest = planes.new_tensor([_BIG, 0.0, 0.0])
    entry = torch.where(outside, planes, never_nearest)[:, :most]
    leave = torch.where(outside, planes.new_zeros(3), planes)[:, least:]
    return entry.contiguous(), leave.contiguous()
