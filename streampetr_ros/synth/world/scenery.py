"""Light, air and the painted ground: everything a ray can meet that is not a body.

The ground is the plane z = 0 of the layout frame, in which roads run along x and y on a regular
grid. All colors are linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streampetr_ros.core.geometry import Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoadGrid:
    """Streets of equal width on a grid.

    Attributes:
        spacing_x: distance between streets that run along y, metres.
        spacing_y: distance between streets that run along x, metres.
        origin_x: x of one street that runs along y; one street along x lies at y = 0.
        lanes: driving lanes per direction.
        lane_width: metres.
        parking_width: strip between the outer lane and the kerb, metres.
        sidewalk_width: metres.
        right_hand: traffic keeps to the right.
    """

    spacing_x: float
    spacing_y: float
    origin_x: float
    lanes: int
    lane_width: float = 3.5
    parking_width: float = 3.2
    sidewalk_width: float = 4.2
    right_hand: bool = True

    @property
    def kerb(self) -> float:
        """Distance from the middle of a street to its kerb."""
        return self.lanes * self.lane_width + self.parking_width

    @property
    def front(self) -> float:
        """Distance from the middle of a street to the building line."""
        return self.kerb + self.sidewalk_width

    def lane_offset(self, lane: int) -> float:
        """Distance of a lane's center from the middle of the street; lane 0 is the inner one."""
        return (lane + 0.5) * self.lane_width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lighting:
    """Sun, sky and air of a scene.

    Attributes:
        to_sun: (3,) unit vector towards the sun, layout frame.
        sun: (3,) strength of direct light.
        ambient: (3,) strength of light from the sky.
        zenith: (3,) sky color overhead.
        horizon: (3,) sky color at the horizon, also of the haze.
        haze: extinction per metre.
        exposure: brightness factor of the cameras.
        noise: standard deviation of the pixel noise, of full scale.
    """

    to_sun: Array
    sun: Array
    ambient: Array
    zenith: Array
    horizon: Array
    haze: float
    exposure: float
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundPaint:
    """Colors of the ground.

    Attributes:
        asphalt: (3,)
        sidewalk: (3,)
        lots: (2, 3) extremes of the land between the streets, mixed block by block.
        marking: (3,) lane markings.
        center: (3,) line between the directions.
        hills: (3,) what lies at the horizon.
    """

    asphalt: Array
    sidewalk: Array
    lots: Array
    marking: Array
    center: Array
    hills: Array


def random_lighting(rng: np.random.Generator) -> Lighting:
    """Draw the weather of a scene: from a clear noon to an overcast or low sun."""
    elevation = rng.uniform(0.35, 1.25)
    azimuth = rng.uniform(-np.pi, np.pi)
    overcast = rng.uniform(0.0, 0.75) ** 1.5
    warmth = np.clip(1.2 - elevation, 0.0, 1.0)
    blue = np.array([0.20, 0.42, 0.80])
    gray = np.array([0.55, 0.60, 0.66])
    zenith = (1 - overcast) * blue + overcast * gray
    horizon = (1 - overcast) * np.array([0.66, 0.77, 0.88]) + overcast * np.array(
        [0.70, 0.72, 0.74]
    )
    sun = (1 - 0.85 * overcast) * np.array([1.0, 1.0 - 0.16 * warmth, 1.0 - 0.36 * warmth])
    return Lighting(
        to_sun=np.array(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ]
        ),
        sun=1.05 * sun,
        ambient=(0.44 + 0.32 * overcast) * (0.5 * zenith + 0.5),
        zenith=zenith,
        horizon=horizon + warmth * np.array([0.06, 0.0, -0.08]),
        haze=rng.uniform(0.0008, 0.004),
        exposure=rng.uniform(0.85, 1.2),
        noise=rng.uniform(0.004, 0.018),
    )


def random_ground(rng: np.random.Generator) -> GroundPaint:
    """Draw the colors of the ground."""
    shade = rng.uniform(0.8, 1.2)
    lots = np.array([[0.10, 0.20, 0.05], [0.27, 0.25, 0.19]])
    return GroundPaint(
        asphalt=shade * np.array([0.105, 0.107, 0.113]),
        sidewalk=rng.uniform(0.85, 1.15) * np.array([0.33, 0.32, 0.30]),
        lots=lots * rng.uniform(0.8, 1.2, (2, 1)),
        marking=np.array([0.80, 0.80, 0.78]),
        hills=np.array([0.34, 0.42, 0.46]) * rng.uniform(0.8, 1.2),
        center=np.array([0.75, 0.52, 0.08]) if rng.random() < 0.6 else np.array([0.8, 0.8, 0.78]),
    )
