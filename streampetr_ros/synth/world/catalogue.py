"""Sizes, shapes and paints of everything that can stand in a scene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.world.shapes import PAINTS


class Kind(NamedTuple):
    """A sort of body.

    Attributes:
        class_name: nuScenes class, empty for unlabelled clutter.
        shapes: templates to choose from.
        size: typical length, width, height, metres.
        spread: relative standard deviation of the size.
    """

    class_name: str
    shapes: tuple[str, ...]
    size: tuple[float, float, float]
    spread: float


KINDS: dict[str, Kind] = {
    "car": Kind("car", ("car", "car", "car", "van"), (4.5, 1.9, 1.65), 0.07),
    "truck": Kind("truck", ("truck",), (7.0, 2.5, 2.9), 0.12),
    "construction_vehicle": Kind(
        "construction_vehicle", ("construction_vehicle",), (6.4, 2.7, 3.1), 0.10
    ),
    "bus": Kind("bus", ("bus",), (11.2, 2.9, 3.4), 0.06),
    "trailer": Kind("trailer", ("trailer",), (11.5, 2.7, 3.8), 0.10),
    "barrier": Kind("barrier", ("barrier",), (0.55, 2.4, 1.0), 0.05),
    "motorcycle": Kind("motorcycle", ("motorcycle",), (2.1, 0.8, 1.25), 0.07),
    "motorcyclist": Kind("motorcycle", ("motorcyclist",), (2.1, 0.8, 1.65), 0.05),
    "bicycle": Kind("bicycle", ("bicycle",), (1.7, 0.6, 1.1), 0.06),
    "cyclist": Kind("bicycle", ("cyclist",), (1.75, 0.6, 1.75), 0.05),
    "pedestrian": Kind("pedestrian", ("pedestrian", "pedestrian", "hiker"), (0.7, 0.7, 1.74), 0.07),
    "traffic_cone": Kind("traffic_cone", ("traffic_cone",), (0.42, 0.42, 0.95), 0.10),
    "building": Kind("", ("building",), (16.0, 12.0, 10.0), 0.0),
    "wall": Kind("", ("wall",), (9.0, 0.35, 1.7), 0.05),
    "tree": Kind("", ("tree",), (3.6, 3.6, 6.0), 0.18),
    "lamp_post": Kind("", ("lamp_post",), (3.0, 0.24, 7.5), 0.05),
}

_CAR_PAINTS = (
    (0.80, 0.80, 0.80),
    (0.72, 0.72, 0.74),
    (0.035, 0.035, 0.04),
    (0.09, 0.095, 0.10),
    (0.40, 0.41, 0.43),
    (0.45, 0.03, 0.03),
    (0.03, 0.08, 0.32),
    (0.05, 0.18, 0.42),
    (0.03, 0.16, 0.09),
    (0.48, 0.38, 0.24),
    (0.55, 0.16, 0.03),
    (0.62, 0.48, 0.05),
)
_BUS_PAINTS = (
    (0.70, 0.08, 0.06),
    (0.72, 0.42, 0.03),
    (0.07, 0.22, 0.52),
    (0.10, 0.38, 0.20),
    (0.75, 0.75, 0.72),
)
_CARGO_PAINTS = (
    (0.78, 0.78, 0.76),
    (0.62, 0.64, 0.66),
    (0.20, 0.30, 0.45),
    (0.50, 0.14, 0.08),
    (0.68, 0.58, 0.36),
    (0.14, 0.32, 0.24),
)
_CLOTHES = (
    (0.55, 0.06, 0.06),
    (0.06, 0.12, 0.40),
    (0.60, 0.55, 0.45),
    (0.04, 0.04, 0.05),
    (0.75, 0.74, 0.70),
    (0.70, 0.48, 0.06),
    (0.10, 0.32, 0.16),
    (0.40, 0.12, 0.34),
)
_FACADES = (
    (0.52, 0.42, 0.33),
    (0.40, 0.22, 0.16),
    (0.58, 0.56, 0.52),
    (0.44, 0.46, 0.48),
    (0.60, 0.48, 0.30),
    (0.34, 0.36, 0.40),
    (0.52, 0.30, 0.22),
)
_LEAVES = ((0.06, 0.17, 0.03), (0.10, 0.22, 0.04), (0.05, 0.12, 0.04), (0.22, 0.20, 0.04))
_SKINS = ((0.62, 0.40, 0.28), (0.42, 0.25, 0.15), (0.18, 0.10, 0.06), (0.70, 0.48, 0.36))
_TROUSERS = ((0.03, 0.04, 0.09), (0.05, 0.05, 0.05), (0.22, 0.19, 0.14), (0.08, 0.12, 0.22))

_BODIES = {
    "truck": _CAR_PAINTS,
    "bus": _BUS_PAINTS,
    "trailer": _CARGO_PAINTS,
    "construction_vehicle": ((0.78, 0.46, 0.02), (0.80, 0.34, 0.02), (0.76, 0.55, 0.06)),
    "barrier": ((0.62, 0.62, 0.60), (0.78, 0.78, 0.76)),
    "traffic_cone": ((0.90, 0.22, 0.02),),
    "pedestrian": _CLOTHES,
    "building": _FACADES,
    "wall": ((0.40, 0.38, 0.35), (0.34, 0.20, 0.15), (0.52, 0.50, 0.46)),
    "tree": _LEAVES,
}
_ACCENTS = {
    "truck": _CARGO_PAINTS,
    "trailer": _CARGO_PAINTS,
    "bus": ((0.75, 0.75, 0.72), (0.10, 0.10, 0.11)),
    "barrier": ((0.85, 0.20, 0.02), (0.70, 0.04, 0.03)),
    "traffic_cone": ((0.85, 0.85, 0.85),),
    "pedestrian": _CLOTHES,
    "cyclist": _CLOTHES,
    "motorcyclist": _CLOTHES,
    "building": ((0.25, 0.24, 0.23), (0.45, 0.44, 0.42)),
    "wall": ((0.28, 0.27, 0.25),),
    "tree": ((0.10, 0.07, 0.04),),
}


def draw_size(kind: str, rng: np.random.Generator) -> Array:
    """Draw length, width and height of a body; the three grow together for the most part."""
    record = KINDS[kind]
    deviation = 0.8 * rng.normal() + 0.6 * rng.normal(size=3)
    size: Array = np.array(record.size) * (1 + record.spread * np.clip(deviation, -2, 2))
    return size


def draw_palette(kind: str, rng: np.random.Generator) -> Array:
    """Draw the colors of a body: (paints, 3) linear RGB in the order of `PAINTS`."""
    chosen = {
        "body": _pick(_BODIES.get(kind, _CAR_PAINTS), rng),
        "accent": _pick(_ACCENTS.get(kind, _CARGO_PAINTS), rng),
        "glass": np.array([0.035, 0.055, 0.075]) * rng.uniform(0.8, 1.6),
        "dark": np.full(3, 0.022),
        "lamp": np.array([0.95, 0.93, 0.82]),
        "tail": np.array([0.60, 0.01, 0.01]),
        "skin": _pick(_SKINS, rng),
        "chrome": np.array([0.36, 0.37, 0.39]),
        "trousers": _pick(_TROUSERS, rng),
        "hair": _pick(((0.02, 0.015, 0.01), (0.12, 0.07, 0.03), (0.35, 0.26, 0.12)), rng),
    }
    if kind == "building":
        chosen["glass"] = np.array([0.10, 0.13, 0.17]) * rng.uniform(0.7, 1.3)
    return np.stack([chosen[name] for name in PAINTS])


def _pick(choices: tuple[tuple[float, float, float], ...], rng: np.random.Generator) -> Array:
    return np.array(choices[rng.integers(len(choices))]) * rng.uniform(0.85, 1.15)
