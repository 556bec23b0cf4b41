"""Everything that moves: traffic in the lanes, cyclists beside it, people on the sidewalks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Array
from streampetr_ros.synth.world.catalogue import draw_size
from streampetr_ros.synth.world.motion import (
    Drivers,
    Motion,
    along,
    drive,
    joined,
    knot_count,
    straight,
)
from streampetr_ros.synth.world.paths import Path, Piece, build_path
from streampetr_ros.synth.world.plan import LEAD_IN, Plan
from streampetr_ros.synth.world.streets import Street

_MIX = {"car": 0.60, "truck": 0.14, "bus": 0.09, "motorcyclist": 0.17}
_TOWING_SHARE = 0.6
_EGO_LENGTH = 4.6
_STOP_LINE = 6.0


class Movers(NamedTuple):
    """Things that move, n of them.

    Attributes:
        kinds: names in `catalogue.KINDS`.
        sizes: (n, 3) metres.
        motion: of the n things.
        towers: (n,) int64, which of them tows this one; -1 for none.
    """

    kinds: tuple[str, ...]
    sizes: Array
    motion: Motion
    towers: NDArray[np.int64]


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


def ego_and_convoy(plan: Plan, rng: np.random.Generator) -> tuple[Motion, Movers]:
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
    others = np.arange(len(movers.kinds)) != ego
    towers = np.where(movers.towers > ego, movers.towers - 1, movers.towers)[others]
    kinds = tuple(kind for index, kind in enumerate(movers.kinds) if index != ego)
    rest = Movers(kinds, movers.sizes[others], movers.motion.selected(others), towers)
    return movers.motion.selected(~others), rest


def street_traffic(plan: Plan, streets: list[Street], rng: np.random.Generator) -> Movers:
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


def _drive_convoys(convoys: list[_Convoy]) -> Movers:
    """Drive all convoys at once and hang trailers on those that tow."""
    counts = [len(convoy.kinds) for convoy in convoys]
    first_of = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    row = np.arange(sum(counts))
    sizes = np.concatenate([convoy.sizes for convoy in convoys])
    tows = np.concatenate([convoy.tows for convoy in convoys])
    paths = [
        convoy.path for convoy, count in zip(convoys, counts, strict=True) for _ in range(count)
    ]
    stops = np.repeat([convoy.stop for convoy in convoys], counts) - 0.5 * sizes[:, 0]
    drivers = Drivers(
        paths=paths,
        starts=np.concatenate([convoy.starts for convoy in convoys]),
        desired=np.concatenate([convoy.desired for convoy in convoys], axis=1),
        stops=stops,
        leaders=np.where(row > first_of, row - 1, -1),
        # A follower must keep clear of the trailer too.
        lengths=sizes[:, 0] + np.where(tows, 2 * _trailer_reach(sizes), 0.0),
    )
    distances, speeds = drive(drivers)
    motion = along(paths, distances, speeds)
    kinds = tuple(kind for convoy in convoys for kind in convoy.kinds)
    return _with_trailers(
        Movers(kinds, sizes, motion, np.full(len(kinds), -1)), tows, (paths, distances, speeds)
    )


def _trailer_reach(sizes: Array) -> Array:
    """Return how much longer a truck becomes by its trailer, metres."""
    return np.full(len(sizes), 10.5)


def _with_trailers(
    movers: Movers, tows: NDArray[np.bool_], course: tuple[list[Path], Array, Array]
) -> Movers:
    """Append a trailer behind every vehicle that tows."""
    paths, distances, speeds = course
    towers = np.flatnonzero(tows)
    if not len(towers):
        return movers
    size = np.array([9.0, 2.6, 3.6])
    sizes = np.tile(size, (len(towers), 1))
    behind = 0.5 * (movers.sizes[towers, 0] + sizes[:, 0]) + 0.6
    trailers = along(
        [paths[index] for index in towers], distances[:, towers] - behind, speeds[:, towers]
    )
    return Movers(
        movers.kinds + ("trailer",) * len(towers),
        np.concatenate([movers.sizes, sizes]),
        joined([movers.motion, trailers]),
        np.concatenate([movers.towers, towers]),
    )


def sidewalk_traffic(streets: list[Street], duration: float, rng: np.random.Generator) -> Movers:
    """Let people walk on the sidewalks, across side streets too, and cyclists ride by the lanes."""
    kinds, points, yaws, speeds = [], [], [], []
    for street in streets:
        for side in (1, -1):
            for a in np.arange(*street.span, rng.uniform(18, 42)) + rng.uniform(0, 20):
                direction = int(rng.choice([-1, 1]))
                for _ in range(1 + int(rng.random() < 0.3)):
                    b = street.grid.kerb + rng.uniform(2.5, street.grid.sidewalk_width - 0.4)
                    kinds.append("pedestrian")
                    points.append(street.point(a + rng.uniform(-1, 1), side * b))
                    yaws.append(street.heading + (0.0 if direction > 0 else np.pi))
                    speeds.append(rng.uniform(0.8, 1.7))
            for a in np.arange(*street.span, rng.uniform(70, 130)) + rng.uniform(0, 60):
                kinds.append("cyclist")
                edge = street.grid.lanes * street.grid.lane_width
                points.append(street.point(a, side * (edge + 0.12)))
                yaws.append(street.heading + (0.0 if side < 0 else np.pi))
                speeds.append(rng.uniform(2.8, 6.5))
    motion = straight(
        np.array(points).reshape(-1, 2), np.array(yaws), np.array(speeds), knot_count(duration)
    )
    sizes = np.array([draw_size(kind, rng) for kind in kinds]).reshape(-1, 3)
    return Movers(tuple(kinds), sizes, motion, np.full(len(kinds), -1))
