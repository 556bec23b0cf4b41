"""Bodies of everything in a scene: class, heading and size must show at a glance.

Every body fills its box exactly, so that the box of the truth is the tight one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from streampetr_ros.synth.world.shapes import Frustum, Pattern, Sculptor


def _add_wheels(s: Sculptor, axles: tuple[float, ...], length: float, height: float) -> None:
    """Add axles as wide as the vehicle: seen from the side wheels, from the end the dark below."""
    for axle in axles:
        s.add((axle - length, axle + length), 0.48, (0.0, height), "dark")


def _add_lamps(s: Sculptor, z: tuple[float, float]) -> None:
    """Add white lamps at the front and red ones at the back, 1 % proud of the body."""
    for y in ((-0.47, -0.30), (0.30, 0.47)):
        s.add((0.48, 0.5), y, z, "lamp")
        s.add((-0.5, -0.48), y, z, "tail")


def _car(s: Sculptor) -> None:
    _add_wheels(s, (-0.31, 0.30), 0.075, 0.38)
    s.add((-0.5, 0.49), 0.5, (0.16, 0.40), "body")
    s.add((-0.5, 0.49), 0.5, (0.40, 0.60), "body", top=((-0.49, 0.44), 0.47))
    cabin = {"all": "glass", "top": "body"}
    s.add((-0.44, 0.24), 0.46, (0.60, 0.97), cabin, top=((-0.34, 0.06), 0.37))
    s.add((-0.35, 0.07), 0.38, (0.95, 1.0), "body")
    s.add((0.48, 0.5), 0.27, (0.26, 0.46), "dark")
    _add_lamps(s, (0.38, 0.52))


def _van(s: Sculptor) -> None:
    _add_wheels(s, (-0.31, 0.31), 0.07, 0.32)
    s.add(0.5, 0.5, (0.14, 0.50), "body")
    upper = {"all": "body", "front": "glass"}
    windows = Pattern(paint="glass", period=(1.3, 9.0), duty=(0.85, 0.07), phase=0.08)
    s.add((-0.5, 0.44), 0.5, (0.50, 1.0), upper, top=((-0.48, 0.24), 0.44), pattern=windows)
    s.add((-0.5, -0.46), 0.4, (0.58, 0.88), "glass")
    _add_lamps(s, (0.32, 0.46))


def _truck(s: Sculptor) -> None:
    _add_wheels(s, (-0.36, -0.22, 0.34), 0.06, 0.32)
    s.add((-0.48, 0.47), 0.35, (0.14, 0.30), "dark")
    s.add((0.24, 0.5), 0.47, (0.14, 0.52), "body")
    cab = {"all": "glass", "top": "body", "back": "body"}
    s.add((0.24, 0.5), 0.47, (0.52, 0.80), cab, top=((0.24, 0.46), 0.44))
    s.add((0.24, 0.46), 0.44, (0.80, 0.86), "body")
    s.add((-0.5, 0.21), 0.5, (0.28, 1.0), {"all": "accent", "back": "chrome"})
    _add_lamps(s, (0.24, 0.32))
    s.add((0.485, 0.5), 0.3, (0.34, 0.48), "dark")


def _bus(s: Sculptor) -> None:
    _add_wheels(s, (-0.30, 0.33), 0.045, 0.26)
    windows = Pattern(paint="glass", period=(1.5, 99.0), duty=(0.88, 0.011), phase=0.15)
    s.add((-0.5, 0.49), 0.5, (0.10, 0.42), "body")
    s.add((-0.5, 0.49), 0.5, (0.42, 0.93), "body", pattern=windows)
    s.add((-0.45, 0.42), 0.42, (0.93, 1.0), "accent")
    s.add((0.47, 0.5), 0.46, (0.38, 0.84), "glass")
    s.add((-0.5, 0.492), 0.5, (0.36, 0.42), "accent")
    _add_lamps(s, (0.16, 0.24))


def _trailer(s: Sculptor) -> None:
    _add_wheels(s, (-0.40, -0.30, -0.20), 0.04, 0.26)
    s.add((0.22, 0.25), 0.3, (0.0, 0.28), "dark")
    s.add((-0.5, 0.45), 0.34, (0.20, 0.29), "dark")
    ribs = Pattern(paint="chrome", period=(1.2, 99.0), duty=(0.12, 1.0))
    s.add(0.5, 0.5, (0.29, 1.0), {"all": "accent", "back": "chrome"}, pattern=ribs)
    for y in ((-0.48, -0.34), (0.34, 0.48)):
        s.add((-0.5, -0.49), y, (0.22, 0.29), "tail")


def _construction_vehicle(s: Sculptor) -> None:
    for y in ((0.28, 0.5), (-0.5, -0.28)):
        s.add((-0.5, 0.16), y, (0.0, 0.24), "dark", top=((-0.46, 0.12), y))
    s.add((-0.48, 0.10), 0.42, (0.26, 0.56), "body")
    s.add((-0.5, -0.32), 0.40, (0.30, 0.66), {"all": "body", "back": "dark"})
    s.add((-0.20, 0.08), (0.05, 0.42), (0.56, 0.96), {"all": "glass", "top": "body"})
    arm = (-0.20, -0.02)
    s.add((-0.05, 0.08), arm, (0.50, 1.0), "body", top=((0.20, 0.28), arm))
    s.add((0.40, 0.47), arm, (0.28, 1.0), "body", top=((0.20, 0.28), arm))
    s.add((0.34, 0.5), (-0.28, 0.06), (0.04, 0.32), "dark", top=((0.38, 0.5), (-0.28, 0.06)))


def _barrier(s: Sculptor) -> None:
    stripes = Pattern(paint="accent", period=(0.8, 99.0), duty=(0.5, 1.0), slant=0.8)
    s.add(0.5, 0.5, (0.0, 0.28), "body", top=(0.4, 0.5))
    s.add(0.4, 0.5, (0.28, 1.0), "body", top=(0.2, 0.49), pattern=stripes)


def _cone(s: Sculptor) -> None:
    s.add(0.5, 0.5, (0.0, 0.06), "dark")
    for low, high, paint in ((0.06, 0.4, "body"), (0.4, 0.66, "accent"), (0.66, 1.0, "body")):
        bottom, top = (0.42 - 0.34 * (level - 0.06) / 0.94 for level in (low, high))
        s.add(bottom, bottom, (low, high), paint, top=(top, top))


def _pedestrian(s: Sculptor, backpack: bool) -> None:
    s.add((0.0, 0.5), (-0.30, -0.04), (0.0, 0.05), "dark")
    s.add((-0.5, -0.05), (0.04, 0.30), (0.0, 0.05), "dark")
    for foot, y in (((0.05, 0.30), (-0.28, -0.04)), ((-0.42, -0.17), (0.04, 0.28))):
        s.add(foot, y, (0.03, 0.49), "trousers", top=(0.14, y))
    s.add(0.20, 0.34, (0.47, 0.83), "body", top=(0.2, 0.4))
    for hand, y in (((-0.30, -0.10), (-0.5, -0.36)), ((0.10, 0.30), (0.36, 0.5))):
        s.add(hand, y, (0.44, 0.82), "body", top=(0.13, y))
    head = {"all": "hair", "front": "skin"}
    s.add((-0.05, 0.17), 0.13, (0.83, 0.955), {"all": "skin", "back": "hair"})
    s.add((-0.18, 0.15), 0.15, (0.88, 1.0), head, top=((-0.15, 0.10), 0.12))
    if backpack:
        s.add((-0.45, -0.18), 0.26, (0.54, 0.82), "accent")


def _add_rider(s: Sculptor, seat: float) -> None:
    """Add somebody sitting at x = -0.08 and leaning forward, from the seat height to 1."""
    s.add((-0.16, 0.02), 0.36, (seat, 0.84), "accent", top=((0.0, 0.14), 0.42))
    for y in ((-0.5, -0.34), (0.34, 0.5)):
        s.add((0.16, 0.26), y, (seat + 0.10, 0.80), "accent", top=((0.02, 0.12), y))
    for y in ((-0.30, -0.10), (0.10, 0.30)):
        s.add((-0.04, 0.07), y, (0.12, seat + 0.06), "trousers", top=((-0.12, 0.06), y))
    s.add((0.03, 0.15), 0.2, (0.84, 0.93), {"all": "skin", "back": "hair"})
    s.add((0.0, 0.16), 0.22, (0.90, 1.0), "hair", top=((0.03, 0.13), 0.15))


def _bicycle(s: Sculptor, rider: bool) -> None:
    wheel, bar, post = (0.40, 0.58, 0.50) if rider else (0.66, 1.0, 0.86)
    for low, high in ((-0.5, -0.16), (0.16, 0.5)):
        inset = (low + 0.07, high - 0.07)
        s.add(inset, 0.06, (0.0, wheel / 2), "dark", top=((low, high), 0.06))
        s.add((low, high), 0.06, (wheel / 2, wheel), "dark", top=(inset, 0.06))
    s.add((-0.06, 0.02), 0.06, (wheel * 0.4, post), "body", top=((-0.20, -0.13), 0.06))
    s.add((-0.04, 0.03), 0.06, (wheel * 0.45, bar - 0.06), "body", top=((0.22, 0.28), 0.06))
    s.add((-0.17, 0.25), 0.06, (post - 0.13, post - 0.05), "body")
    s.add((0.24, 0.30), 0.5, (bar - 0.06, bar), "body")
    s.add((-0.22, -0.08), 0.16, (post, post + 0.05), "dark")
    if rider:
        _add_rider(s, post)


def _motorcycle(s: Sculptor, rider: bool) -> None:
    wheel, bar, seat = (0.36, 0.60, 0.46) if rider else (0.54, 1.0, 0.76)
    for low, high in ((-0.5, -0.22), (0.22, 0.5)):
        inset = (low + 0.06, high - 0.06)
        s.add(inset, 0.13, (0.0, wheel / 2), "dark", top=((low, high), 0.13))
        s.add((low, high), 0.13, (wheel / 2, wheel), "dark", top=(inset, 0.13))
    s.add((-0.24, 0.22), 0.25, (wheel * 0.35, seat), "body", top=((-0.42, 0.26), 0.25))
    s.add((-0.42, 0.02), 0.28, (seat, seat + 0.07), "dark")
    s.add((0.16, 0.30), 0.28, (seat - 0.04, bar - 0.06), "body", top=((0.14, 0.22), 0.28))
    s.add((0.14, 0.20), 0.5, (bar - 0.08, bar), "chrome")
    s.add((0.28, 0.32), 0.16, (seat - 0.02, seat + 0.08), "lamp")
    s.add((-0.44, -0.41), 0.16, (seat - 0.08, seat), "tail")
    if rider:
        _add_rider(s, seat + 0.05)


def _building(s: Sculptor) -> None:
    windows = Pattern(paint="glass", period=(3.1, 3.3), duty=(0.55, 0.5), phase=1.1, varied=True)
    s.add(0.5, 0.5, (0.0, 0.97), "body", pattern=windows)
    s.add(0.5, 0.5, (0.97, 1.0), "accent")


def _wall(s: Sculptor) -> None:
    joints = Pattern(paint="accent", period=(2.4, 99.0), duty=(0.08, 1.0))
    s.add(0.5, 0.5, (0.0, 1.0), {"all": "body", "top": "accent"}, pattern=joints)


def _tree(s: Sculptor) -> None:
    s.add(0.06, 0.06, (0.0, 0.42), "accent")
    s.add(0.34, 0.34, (0.32, 0.56), "body", top=(0.5, 0.5))
    s.add(0.5, 0.5, (0.56, 0.80), "body", top=(0.38, 0.38))
    s.add(0.38, 0.38, (0.80, 1.0), "body", top=(0.16, 0.16))


def _lamp_post(s: Sculptor) -> None:
    """A pole at the center with an arm towards the heading."""
    s.add(0.04, 0.3, (0.0, 1.0), "chrome", top=(0.03, 0.2))
    s.add((0.0, 0.5), 0.2, (0.97, 1.0), "chrome")
    s.add((0.36, 0.5), 0.5, (0.955, 0.975), "lamp")


_SCULPTORS: dict[str, Callable[[Sculptor], None]] = {
    "car": _car,
    "van": _van,
    "truck": _truck,
    "bus": _bus,
    "trailer": _trailer,
    "construction_vehicle": _construction_vehicle,
    "barrier": _barrier,
    "traffic_cone": _cone,
    "pedestrian": lambda s: _pedestrian(s, backpack=False),
    "hiker": lambda s: _pedestrian(s, backpack=True),
    "bicycle": lambda s: _bicycle(s, rider=False),
    "cyclist": lambda s: _bicycle(s, rider=True),
    "motorcycle": lambda s: _motorcycle(s, rider=False),
    "motorcyclist": lambda s: _motorcycle(s, rider=True),
    "building": _building,
    "wall": _wall,
    "tree": _tree,
    "lamp_post": _lamp_post,
}

#: Names accepted by `template`.
SHAPE_NAMES: tuple[str, ...] = tuple(_SCULPTORS)


@cache
def template(name: str) -> tuple[Frustum, ...]:
    """Return the frusta of a shape."""
    sculptor = Sculptor()
    _SCULPTORS[name](sculptor)
    return tuple(sculptor.frusta)
