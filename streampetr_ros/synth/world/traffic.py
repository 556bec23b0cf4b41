"""Everything that moves: traffic in the lanes, cyclists beside it, people on the sidewalks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.catalogue import draw_size
from streampetr_ros.synth.world.crowd import Crowd, Placed, untowed
from streampetr_ros.synth.world.motion import Motion, along, drive, joined, knot_count
from streampetr_ros.synth.world.paths import Path, Piece, build_path
from streampetr_ros.synth.world.plan import LEAD_IN, Plan
from streampetr_ros.synth.world.streets import Street

_MIX = {"car": 0.60, "truck": 0.14, "bus": 0.09, "motorcyclist": 0.17}
_TOWING_SHARE = 0.6
_EGO_LENGTH = 4.6
_STOP_LINE = 6.0
_TRAILER_SIZE = (9.0, 2.6, 3.6)
# How much longer a truck becomes by its trailer, metres.
_TRAILER_REACH = 10.5


class _Convoy(NamedTuple):
    """Vehicles on one path, the first in front.

    Attributes:
        path: they follow.
        kinds: names in `catalogue.KINDS`.
        sizes: (m, 3) metres.
        starts: (m,) distance along the path, metres.
        desired: (k, m) speeds, m/s.
        stop: distance of a stop line; infinite for none.
        tows: (m,) bool, has a trailer.
    """

    path: Path
    kinds: tuple[str, ...]
    sizes: Array
    starts: Array
    desired: Array
    stop: float
    tows: NDArray[np.bool_]


def ego_and_convoy(plan: Plan, rng: np.random.Generator) -> tuple[Motion, Crowd]:
    """Drive the ego vehicle among others on the same path.

    Returns:
        The motion of the ego vehicle (n = 1, its rear axle) and the others.
    """
    ahead = LEAD_IN + np.cumsum(rng.uniform(12, 45, 3))[::-1]
    behind = LEAD_IN - np.cumsum(rng.uniform(11, 35, 3))
    starts = np.concatenate([ahead, [LEAD_IN], behind])
    ego = len(ahead)
    desired = plan.desired[:, None] * rng.uniform(0.92, 1.1, len(starts))
    desired[:, ego] = plan.desired
    convoy = _convoy(plan.path, starts, desired, plan.stop, rng)
    sizes = convoy.sizes.copy()
    sizes[ego] = (_EGO_LENGTH, 1.9, 1.7)
    tows = convoy.tows.copy()
    tows[[ego - 1, ego]] = False
    movers = _drive_convoys([convoy._replace(sizes=sizes, tows=tows)])
    is_ego = np.arange(len(movers.kinds)) == ego
    return movers.motion.selected(is_ego), movers.selected(~is_ego)


def street_traffic(plan: Plan, streets: list[Street], rng: np.random.Generator) -> Crowd:
    """Fill the lanes of all streets but the one the ego vehicle starts in."""
    convoys = []
    for street in streets:
        for direction in (1, -1):
            for lane in range(plan.grid.lanes):
                on_ego_street = not street.along_y and street.offset == 0.0
                if not (on_ego_street and direction == 1 and lane == plan.lane):
                    convoys.append(_lane_convoy(plan, street, direction, lane, rng))
    return _drive_convoys([convoy for convoy in convoys if len(convoy.kinds)])


def _convoy(
    path: Path, starts: Array, desired: Array, stop: float, rng: np.random.Generator
) -> _Convoy:
    kinds = tuple(rng.choice(list(_MIX), p=list(_MIX.values()), size=len(starts)).tolist())
    trucks = np.array([kind == "truck" for kind in kinds], bool)
    tows = trucks & (rng.random(len(kinds)) < _TOWING_SHARE)
    sizes = np.array([draw_size(kind, rng) for kind in kinds]).reshape(-1, 3)
    return _Convoy(path, kinds, sizes, starts, desired, stop, tows)


def _lane_convoy(
    plan: Plan, street: Street, direction: int, lane: int, rng: np.random.Generator
) -> _Convoy:
    knots = len(plan.desired)
    on_main = not street.along_y and street.offset == 0.0
    waits = plan.manoeuvre == "wait"
    fastest = float(plan.desired.max()) if on_main else 14.0
    speed = rng.uniform(0.55, 1.05) * max(fastest, 6.0)
    reach = min(speed * 0.1 * knots, 250.0)
    first, last = street.span[0] - reach, street.span[1] + reach
    begin = first if direction > 0 else last
    heading = street.heading + (0.0 if direction > 0 else np.pi)
    start = street.point(begin, -direction * street.grid.lane_offset(lane))
    path = build_path(start, heading, [Piece(last - first)])
    gaps = 10.0 + rng.exponential(rng.uniform(16, 45), int((last - first) / 20))
    starts = (last - first - 5.0) - np.cumsum(gaps)
    starts = starts[starts > 5.0]
    stop = np.inf
    if street.along_y != waits and (street.along_y or on_main):
        # The main street has right of way, unless the ego vehicle waits at its stop line.
        crossing = plan.grid.origin_x if waits else 0.0
        stop = direction * (crossing - begin) - street.grid.kerb - _STOP_LINE
    desired = np.broadcast_to(speed * rng.uniform(0.95, 1.05, len(starts)), (knots, len(starts)))
    return _convoy(path, starts, desired, stop, rng)


def _drive_convoys(convoys: list[_Convoy]) -> Crowd:
    """Drive all convoys at once and hang trailers on those that tow."""
    counts = [len(convoy.kinds) for convoy in convoys]
    row = np.arange(sum(counts))
    is_first = np.isin(row, np.cumsum([0, *counts]))
    sizes = np.concatenate([convoy.sizes for convoy in convoys])
    tows = np.concatenate([convoy.tows for convoy in convoys])
    paths = [convoy.path for convoy in convoys for _ in convoy.kinds]
    distances, speeds = drive(
        paths,
        starts=np.concatenate([convoy.starts for convoy in convoys]),
        desired=np.concatenate([convoy.desired for convoy in convoys], axis=1),
        stops=np.repeat([convoy.stop for convoy in convoys], counts) - 0.5 * sizes[:, 0],
        leaders=np.where(is_first, -1, row - 1),
        # A follower must keep clear of the trailer too.
        lengths=sizes[:, 0] + 2 * _TRAILER_REACH * tows,
    )
    kinds = tuple(kind for convoy in convoys for kind in convoy.kinds)
    movers = Crowd(kinds, sizes, along(paths, distances, speeds), np.full(len(kinds), -1))
    towers = np.flatnonzero(tows)
    if not len(towers):
        return movers
    towed = [paths[index] for index in towers]
    behind = 0.5 * (sizes[towers, 0] + _TRAILER_SIZE[0]) + 0.6
    trailers = along(towed, distances[:, towers] - behind, speeds[:, towers])
    return Crowd(
        (*kinds, *("trailer" for _ in towers)),
        np.concatenate([sizes, np.tile(_TRAILER_SIZE, (len(towers), 1))]),
        joined([movers.motion, trailers]),
        np.concatenate([movers.towers, towers]),
    )


def sidewalk_traffic(streets: list[Street], duration: float, rng: np.random.Generator) -> Crowd:
    """Let people walk on the sidewalks, across side streets too, and cyclists ride by the lanes."""
    walks = []
    for street in streets:
        grid = street.grid
        for side in (1, -1):
            for a in np.arange(*street.span, rng.uniform(18, 42)) + rng.uniform(0, 20):
                yaw = street.heading + (0.0 if rng.choice([-1, 1]) > 0 else np.pi)
                for _ in range(1 + int(rng.random() < 0.3)):
                    b = grid.kerb + rng.uniform(2.5, grid.sidewalk_width - 0.4)
                    point = street.point(a + rng.uniform(-1, 1), side * b)
                    walks.append(("pedestrian", point, yaw, rng.uniform(0.8, 1.7)))
            for a in np.arange(*street.span, rng.uniform(70, 130)) + rng.uniform(0, 60):
                point = street.point(a, side * (grid.lanes * grid.lane_width + 0.12))
                yaw = street.heading + (0.0 if side < 0 else np.pi)
                walks.append(("cyclist", point, yaw, rng.uniform(2.8, 6.5)))
    placed = [
        Placed(kind, draw_size(kind, rng), point, yaw, speed) for kind, point, yaw, speed in walks
    ]
    return untowed(placed, knot_count(duration))
