"""Scenes determined by a seed: who is where at every instant, what it looks like, and the light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.catalogue import KINDS, draw_palette
from streampetr_ros.synth.world.crowd import (
    Crowd,
    Placed,
    compatible,
    gathered,
    mirrored,
    near,
    untowed,
)
from streampetr_ros.synth.world.motion import Instant, Motion, knot_count
from streampetr_ros.synth.world.plan import Plan, draw_plan
from streampetr_ros.synth.world.scenery import (
    GroundPaint,
    Lighting,
    RoadGrid,
    random_ground,
    random_lighting,
)
from streampetr_ros.synth.world.streets import Street, StreetSide
from streampetr_ros.synth.world.traffic import ego_and_convoy, sidewalk_traffic, street_traffic

_STREET_RANGE = 60.0
_LEFT_HAND_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """A scene.

    Bodies are the labelled objects first, then unlabelled clutter.

    Attributes:
        duration: seconds for which motion is known.
        manoeuvre: what the ego vehicle does, a name in `plan.MANOEUVRES`.
        class_names: one per labelled object.
        kinds: of every body, names in `catalogue.KINDS`.
        shapes: of every body, names of templates.
        sizes: (N, 3) metres.
        palettes: (N, paints, 3) linear RGB.
        motion: of every body, layout frame.
        ego: motion of the ego vehicle's rear axle.
        grid: streets.
        light: light and air.
        ground: colors of the ground.
        fixed_from_layout: (4, 4) float64; the layout is where streets run along x and y.
    """

    duration: float
    manoeuvre: str
    class_names: tuple[str, ...]
    kinds: tuple[str, ...]
    shapes: tuple[str, ...]
    sizes: Array
    palettes: Array
    motion: Motion
    ego: Motion
    grid: RoadGrid
    light: Lighting
    ground: GroundPaint
    fixed_from_layout: Array

    def layout_from_base(self, seconds: float) -> Array:
        """Return the (4, 4) pose of the ego vehicle at a time since the start, seconds."""
        instant = self.ego.at(np.array([seconds]))
        return geometry.transform_from_parts(
            [*instant.positions[0, 0], 0.0], geometry.rotation_about_z(instant.yaws[0, 0])
        )

    def bodies_at(self, seconds: Array) -> tuple[Array, Instant]:
        """Return gravity centers (v, N, 3) and planar motion at v times, layout frame."""
        instant = self.motion.at(seconds)
        heights = np.broadcast_to(0.5 * self.sizes[:, 2:], (*instant.yaws.shape, 1))
        return np.concatenate([instant.positions, heights], axis=-1), instant


def build_world(seed: int, duration: float = 20.0, manoeuvre: str | None = None) -> World:
    """Build the scene of a seed.

    Args:
        seed: non-negative.
        duration: seconds.
        manoeuvre: name in `plan.MANOEUVRES`; None lets the seed choose.
    """
    rng = np.random.default_rng([seed, 0xD21])
    plan = draw_plan(rng, duration, manoeuvre)
    ego, convoy = ego_and_convoy(plan, rng)
    streets = _streets(plan.grid, ego)
    movers = [convoy, street_traffic(plan, streets, rng), sidewalk_traffic(streets, duration, rng)]
    crowd = gathered([*movers, untowed(_furniture(streets, rng), knot_count(duration))])
    crowd = crowd.selected(near(crowd, ego))
    crowd = crowd.selected(compatible(crowd, ego))
    if rng.random() < _LEFT_HAND_SHARE:
        plan = plan._replace(grid=replace(plan.grid, right_hand=False))
        crowd, ego = crowd._replace(motion=mirrored(crowd.motion)), mirrored(ego)
    return _dress(plan, crowd, ego, rng, duration)


def _streets(grid: RoadGrid, ego: Motion) -> list[Street]:
    """Return the stretches of streets near the way of the ego vehicle."""
    low, high = ego.positions[:, 0].min(0), ego.positions[:, 0].max(0)
    streets = []
    for along_y in (False, True):
        across, ahead = (0, 1) if along_y else (1, 0)
        origin, spacing = (grid.origin_x, grid.spacing_x) if along_y else (0.0, grid.spacing_y)
        first = np.ceil((low[across] - _STREET_RANGE - origin) / spacing)
        last = np.floor((high[across] + _STREET_RANGE - origin) / spacing)
        span = (float(low[ahead] - 80.0), float(high[ahead] + 80.0))
        for index in np.arange(first, last + 1):
            streets.append(Street(grid, along_y, float(origin + index * spacing), span))
    return streets


def _furniture(streets: list[Street], rng: np.random.Generator) -> list[Placed]:
    """Return what stands on both sides of all streets: labelled objects, then clutter."""
    density = rng.uniform(0.2, 0.5)
    sides = [StreetSide(street, side, rng) for street in streets for side in (1, -1)]
    for side in sides:
        side.fill(density)
    return [
        *(thing for side in sides for thing in side.objects),
        *(thing for side in sides for thing in side.clutter),
    ]


def _dress(
    plan: Plan, crowd: Crowd, ego: Motion, rng: np.random.Generator, duration: float
) -> World:
    """Give everything its looks."""
    records = [KINDS[kind] for kind in crowd.kinds]
    shapes = tuple(record.shapes[rng.integers(len(record.shapes))] for record in records)
    origin = [*rng.uniform(-500, 500, 2), 0.0]
    return World(
        duration=duration,
        manoeuvre=plan.manoeuvre,
        class_names=tuple(record.class_name for record in records if record.class_name),
        kinds=crowd.kinds,
        shapes=shapes,
        sizes=crowd.sizes,
        palettes=np.stack([draw_palette(kind, rng) for kind in crowd.kinds]),
        motion=crowd.motion,
        ego=ego,
        grid=plan.grid,
        light=random_lighting(rng),
        ground=random_ground(rng),
        fixed_from_layout=geometry.transform_from_parts(
            origin, geometry.rotation_about_z(rng.uniform(-np.pi, np.pi))
        ),
    )
