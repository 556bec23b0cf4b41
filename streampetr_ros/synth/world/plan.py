"""What happens in a scene: the streets, and how the ego vehicle drives through them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.motion import KNOT_INTERVAL, MARGIN, knot_count
from streampetr_ros.synth.world.paths import Path, Piece, build_path, corner_reach
from streampetr_ros.synth.world.scenery import RoadGrid

#: Manoeuvres of the ego vehicle and how often they are drawn.
MANOEUVRES: dict[str, float] = {
    "cruise": 0.18,
    "fast": 0.12,
    "left": 0.18,
    "right": 0.18,
    "wait": 0.10,
    "stop_and_go": 0.12,
    "lane_change": 0.12,
}

#: The path of the ego vehicle begins this far behind where it starts, metres.
LEAD_IN = 140.0
_LEAD_OUT = 320.0
_STOP_LINE = 6.2
_TURN_LENGTHS = {"left": 28.0, "right": 20.0}


class Plan(NamedTuple):
    """A scene before anything is put into it.

    Attributes:
        manoeuvre: name in `MANOEUVRES`.
        grid: streets.
        lane: lane the ego vehicle starts in, on the street along x at y = 0.
        path: of the ego vehicle, beginning `LEAD_IN` before its start.
        desired: (k,) speed it wants, m/s.
        stop: distance along the path where it waits at a stop line; infinite for none.
    """

    manoeuvre: str
    grid: RoadGrid
    lane: int
    path: Path
    desired: Array
    stop: float


def draw_plan(rng: np.random.Generator, duration: float, manoeuvre: str | None = None) -> Plan:
    """Draw streets and a drive through them.

    Args:
        rng: source of randomness.
        duration: seconds.
        manoeuvre: name in `MANOEUVRES`; None draws one.
    """
    drawn = str(rng.choice(list(MANOEUVRES), p=list(MANOEUVRES.values())))
    name = manoeuvre or drawn
    lanes = 2 if name in ("fast", "lane_change") else int(rng.integers(1, 3))
    spacing = rng.uniform(180, 320) if name == "fast" else rng.uniform(75, 170)
    speed = _cruising_speed(name, rng)
    seconds_to_corner = rng.uniform(0.1, 0.45) * duration
    # Slowing down for a bend costs time, so the corner lies nearer than at constant speed.
    to_corner = 24.0 + 0.6 * speed * seconds_to_corner
    if name == "wait":
        to_corner = rng.uniform(24.0, 40.0)
    grid = RoadGrid(
        spacing_x=spacing, spacing_y=rng.uniform(75, 170), origin_x=to_corner, lanes=lanes
    )
    lane = {"left": 0, "right": lanes - 1}.get(name, int(rng.integers(lanes)))
    return Plan(
        manoeuvre=name,
        grid=grid,
        lane=lane,
        path=_ego_path(name, grid, lane, rng),
        desired=_desired_speed(name, speed, duration, rng),
        stop=LEAD_IN + to_corner - grid.kerb - _STOP_LINE if name == "wait" else np.inf,
    )


def _cruising_speed(name: str, rng: np.random.Generator) -> float:
    low, high = {
        "fast": (15.0, 25.0),
        "left": (5.0, 10.0),
        "right": (5.0, 10.0),
        "lane_change": (6.0, 16.0),
        "stop_and_go": (4.0, 9.0),
    }.get(name, (5.0, 14.0))
    return float(rng.uniform(low, high))


def _ego_path(name: str, grid: RoadGrid, lane: int, rng: np.random.Generator) -> Path:
    start = (-LEAD_IN, -grid.lane_offset(lane))
    if name in _TURN_LENGTHS:
        side = 1 if name == "left" else -1
        length = _TURN_LENGTHS[name]
        exit_x = grid.origin_x + side * grid.lane_offset(lane)
        straight = exit_x - corner_reach(length) + LEAD_IN
        pieces = [Piece(straight), Piece(length, side * np.pi / 2), Piece(_LEAD_OUT)]
        return build_path(start, 0.0, pieces)
    if name == "lane_change":
        side = 1 if lane else -1
        length = rng.uniform(22.0, 34.0)
        swerve = side * grid.lane_width / length
        pieces = [
            Piece(LEAD_IN + rng.uniform(5, 50)),
            Piece(length, swerve),
            Piece(length, -swerve),
            Piece(_LEAD_OUT),
        ]
        return build_path(start, 0.0, pieces)
    return build_path(start, 0.0, [Piece(LEAD_IN + 2 * _LEAD_OUT)])


def _desired_speed(name: str, speed: float, duration: float, rng: np.random.Generator) -> Array:
    """Return (k,) speeds wanted at the knots."""
    seconds = KNOT_INTERVAL * np.arange(knot_count(duration)) - MARGIN
    wave: Array = speed * (1 + 0.1 * np.sin(seconds * rng.uniform(0.2, 0.6) + rng.uniform(0, 6)))
    if name == "wait" and rng.random() < 0.5:
        return np.where(seconds > rng.uniform(0.4, 0.9) * duration, speed, 0.0)
    if name == "wait":
        return wave
    if name == "stop_and_go":
        rhythm = np.sin(seconds * rng.uniform(0.5, 0.8) + rng.uniform(0, 6))
        return np.where(rhythm > -0.35, wave, 0.0)
    return wave
