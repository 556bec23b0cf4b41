"""Templates of bodies, made of convex frusta.

A frustum is a rectangle at its bottom and one at its top, joined by four flat sides: boxes, wedges,
sloped windscreens and cones are all of this kind. Templates live in the unit cube (x along the
heading, y to the left, z up, each in [-0.5, 0.5]) and are stretched to the size of the body.
"""

from __future__ import annotations

from typing import NamedTuple

#: Faces of a frustum: towards +x, -x, +y, -y, +z, -z.
FACE_COUNT = 6
FRONT, BACK, LEFT, RIGHT, TOP, BOTTOM = range(FACE_COUNT)
_FACES = ("front", "back", "left", "right", "top", "bottom")

#: Paint roles: columns of an object's palette.
PAINTS = ("body", "accent", "glass", "dark", "lamp", "tail", "skin", "chrome", "trousers", "hair")


class Pattern(NamedTuple):
    """A grid painted onto the four sides of a frustum, in metres along each side.

    Attributes:
        paint: role of the grid cells.
        period: horizontal and vertical period.
        duty: painted share of each period.
        phase: vertical start above the bottom of the frustum.
        slant: horizontal shift per metre of height, for slanted stripes.
        varied: cells differ in brightness, as lit and dark windows do.
    """

    paint: str
    period: tuple[float, float]
    duty: tuple[float, float]
    phase: float = 0.0
    slant: float = 0.0
    varied: bool = False


class Frustum(NamedTuple):
    """A part of a body, in the unit cube.

    Attributes:
        bottom: x0, x1, y0, y1, z of the bottom rectangle.
        top: likewise of the top rectangle.
        paints: role of each face.
        pattern: paint role, periods u v, duties u v, phase, slant, varied; role -1: none.
    """

    bottom: tuple[float, ...]
    top: tuple[float, ...]
    paints: tuple[int, ...]
    pattern: tuple[float, ...]


#: Low and high end, or half the width of what lies around the middle.
Span = tuple[float, float] | float


class Sculptor:
    """Collects the frusta of a body."""

    def __init__(self) -> None:
        self.frusta: list[Frustum] = []

    def add(
        self,
        x: Span,
        y: Span,
        z: tuple[float, float],
        paint: str | dict[str, str],
        *,
        top: tuple[Span, Span] | None = None,
        pattern: Pattern | None = None,
    ) -> None:
        """Add one frustum.

        Args:
            x: extent of the bottom rectangle along the heading.
            y: extent of the bottom rectangle to the left.
            z: heights of the bottom and top rectangles, from 0 at the ground to 1.
            paint: role of all faces, or of "all" and single faces by name.
            top: x and y extents of the top rectangle, when it differs.
            pattern: grid on the sides.
        """
        top_x, top_y = top or (x, y)
        roles = {"all": paint} if isinstance(paint, str) else paint
        grid: tuple[float, ...] = (-1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
        if pattern is not None:
            paint_of_cells, period, duty, *rest = pattern
            grid = (PAINTS.index(paint_of_cells), *period, *duty, *rest)
        frustum = Frustum(
            bottom=(*_ends(x), *_ends(y), z[0] - 0.5),
            top=(*_ends(top_x), *_ends(top_y), z[1] - 0.5),
            paints=tuple(PAINTS.index(roles.get(face, roles["all"])) for face in _FACES),
            pattern=grid,
        )
        self.frusta.append(frustum)


def _ends(span: Span) -> tuple[float, float]:
    return span if isinstance(span, tuple) else (-span, span)
