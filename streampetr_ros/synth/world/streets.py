"""What stands along the streets: parked vehicles, people, building sites, trees and houses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.catalogue import draw_size
from streampetr_ros.synth.world.crowd import Placed
from streampetr_ros.synth.world.scenery import RoadGrid


class Street(NamedTuple):
    """A straight street with its own coordinates: `a` along it, `b` to the left of it.

    Attributes:
        grid: widths.
        along_y: the street runs along the y axis of the layout, else along x.
        offset: its y (or x) in the layout, metres.
        span: part of `a` that matters, metres.
    """

    grid: RoadGrid
    along_y: bool
    offset: float
    span: tuple[float, float]

    @property
    def heading(self) -> float:
        """Direction of growing `a` in the layout."""
        return np.pi / 2 if self.along_y else 0.0

    def point(self, a: float, b: float) -> tuple[float, float]:
        """Return the layout position of street coordinates."""
        return (self.offset - b, a) if self.along_y else (a, self.offset + b)

    def crossings(self) -> Array:
        """Return `a` of the streets that cross within the span, and one beyond at either end."""
        grid = self.grid
        origin, spacing = (0.0, grid.spacing_y) if self.along_y else (grid.origin_x, grid.spacing_x)
        first = np.floor((self.span[0] - origin) / spacing)
        last = np.ceil((self.span[1] - origin) / spacing)
        return origin + spacing * np.arange(first, last + 1)

    def is_open(self, a: float, half_length: float) -> bool:
        """Tell whether something along the kerb keeps clear of the crossings."""
        distance = np.abs(self.crossings() - a).min()
        return bool(distance > self.grid.kerb + 6.0 + half_length)


_KERBSIDE = {"car": 0.56, "truck": 0.10, "trailer": 0.15, "bus": 0.06, "motorcycle": 0.13}
_LOT = {"car": 0.46, "truck": 0.15, "trailer": 0.16, "construction_vehicle": 0.17, "bus": 0.06}


def _choose(shares: dict[str, float], rng: np.random.Generator) -> str:
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))


class StreetSide:
    """One side of a street, filled from the kerb to the houses.

    Args:
        street: the street.
        side: +1 for the left side (growing b), -1 for the right.
        rng: source of randomness.
    """

    def __init__(self, street: Street, side: int, rng: np.random.Generator) -> None:
        self._street = street
        self._side = side
        self._rng = rng
        # Right-hand traffic: what is parked on the right faces along the street.
        self._yaw = street.heading + (0.0 if side < 0 else np.pi)
        self.objects: list[Placed] = []
        self.clutter: list[Placed] = []

    def fill(self, density: float) -> None:
        """Put everything; `density` is the share of kerb that is parked at."""
        sites = [
            a
            for a in self._every(55.0, self._rng.uniform(0, 40))
            if self._rng.random() < 0.5 and self._street.is_open(a, 12.0)
        ]
        for site in sites:
            self._building_site(site)
        self._parking(density, sites)
        self._sidewalk()
        self._houses()

    def _every(self, spacing: float, start: float) -> list[float]:
        """Return places along the street, `start` metres after the beginning of its span."""
        places: list[float] = (np.arange(*self._street.span, spacing) + start).tolist()
        return places

    def _placed(self, kind: str, size: Array, a: float, b: float, yaw: float) -> Placed:
        """Return a thing at `a` along the street and `b` to this side of its middle."""
        return Placed(kind, size, self._street.point(a, self._side * b), yaw)

    def _put(self, kind: str, a: float, b: float, turn: float = 0.0) -> None:
        size = draw_size(kind, self._rng)
        self.objects.append(self._placed(kind, size, a, b, self._yaw + turn))

    def _parking(self, density: float, sites: list[float]) -> None:
        rng, grid = self._rng, self._street.grid
        a, end = self._street.span
        while a < end:
            kind = _choose(_KERBSIDE, rng)
            size = draw_size(kind, rng)
            half = 0.5 * size[0]
            center = a + half
            clear = self._street.is_open(center, half)
            clear &= all(abs(center - site) > 15.0 + half for site in sites)
            if clear and rng.random() < density:
                b = grid.kerb - 0.15 - 0.5 * size[1]
                turn = np.pi if rng.random() < 0.04 else rng.normal(0, 0.02)
                if kind == "motorcycle":
                    b, turn = grid.kerb - 1.3, self._side * rng.uniform(0.9, 1.5)
                self.objects.append(self._placed(kind, size, center, b, self._yaw + turn))
            a = center + half + rng.uniform(0.9, 3.0)

    def _building_site(self, site: float) -> None:
        """Close the parking strip over some 20 m with barriers and cones around a machine."""
        rng, grid = self._rng, self._street.grid
        edge = grid.kerb - grid.parking_width + 0.95
        count = int(rng.integers(3, 8))
        fence = "barrier" if rng.random() < 0.7 else "traffic_cone"
        for index in range(count):
            a = site + (index - (count - 1) / 2) * 2.75
            turn = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.04)
            self._put(fence, a, edge + rng.normal(0, 0.04), turn)
        for end in (-1, 1):
            for step in range(int(rng.integers(1, 4))):
                a = site + end * (count * 1.4 + 1.3 * (step + 0.8))
                self._put("traffic_cone", a, edge + 0.1 + 0.5 * step, rng.uniform(-3, 3))
        if rng.random() < 0.9:
            turn = rng.normal(0, 0.3) + rng.choice([0, np.pi])
            self._put("construction_vehicle", site + rng.uniform(-3, 3), grid.kerb + 0.6, turn)
        for _ in range(int(rng.integers(0, 3))):
            a = site + rng.uniform(-9, 9)
            self._put("pedestrian", a, grid.kerb + rng.uniform(-0.6, 3.5), rng.uniform(-3, 3))

    def _sidewalk(self) -> None:
        rng, kerb = self._rng, self._street.grid.kerb
        for a in self._every(rng.uniform(13, 20), rng.uniform(0, 10)):
            if self._street.is_open(a, -4.0):
                kind = "lamp_post" if rng.random() < 0.4 else "tree"
                b = kerb + (0.7 if kind == "lamp_post" else 1.9)
                yaw = self._street.heading + np.pi / 2
                self.clutter.append(self._placed(kind, draw_size(kind, rng), a, b, yaw))
        for a in self._every(9.0, rng.uniform(0, 9)):
            if not self._street.is_open(a, -4.0):
                continue
            draw = rng.random()
            if draw < 0.07:
                self._put("bicycle", a, kerb + 1.0, rng.normal(0, 0.3))
                self._put("bicycle", a + 1.9, kerb + 1.0, rng.normal(0, 0.3))
            elif draw < 0.18:
                self._put("pedestrian", a, kerb + rng.uniform(2, 3.8), rng.uniform(-3, 3))
            elif draw < 0.21:
                self._put("traffic_cone", a, kerb + rng.uniform(1.4, 3.5), rng.uniform(-3, 3))

    def _houses(self) -> None:
        rng, front, heading = self._rng, self._street.grid.front, self._street.heading
        a, end = self._street.span
        while a < end:
            width, depth = rng.uniform(9, 24), rng.uniform(8, 14)
            center = a + 0.5 * width
            from_crossing = np.abs(self._street.crossings() - center).min()
            room = from_crossing > front + 0.5 * width + 1.0
            draw = rng.random()
            if room and draw < 0.62:
                b = front + rng.uniform(0.5, 6.0) + 0.5 * depth
                size = np.array([width, depth, rng.uniform(4, 17)])
                self.clutter.append(self._placed("building", size, center, b, heading))
            elif room and draw < 0.84:
                self._lot(center, width)
            elif room:
                size = draw_size("wall", rng)
                self.clutter.append(self._placed("wall", size, center, front + 0.6, heading))
            a += width + rng.uniform(0.5, 9.0)

    def _lot(self, center: float, width: float) -> None:
        """Park a row of vehicles off the street, at any angle to it."""
        rng = self._rng
        angle = rng.uniform(-np.pi, np.pi)
        a = center - 0.5 * width
        while a < center + 0.5 * width:
            kind = _choose(_LOT, rng)
            turn = angle + rng.normal(0, 0.06) + (np.pi if rng.random() < 0.3 else 0.0)
            self._put(kind, a, self._street.grid.front + rng.uniform(4.5, 8.0), turn)
            a += rng.uniform(3.5, 8.0)
