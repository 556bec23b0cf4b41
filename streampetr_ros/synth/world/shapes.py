"""Templates of bodies, made of convex frusta.

A frustum is a rectangle at its bottom and one at its top, joined by four flat sides: boxes, wedges,
sloped windscreens and cones are all of this kind. Templates live in the unit cube (x along the
heading, y to the left, z up, each in [-0.5, 0.5]) and are stretched to the size of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Array

#: Faces of a frustum: towards +x, -x, +y, -y, +z, -z.
FACE_COUNT = 6
FRONT, BACK, LEFT, RIGHT, TOP, BOTTOM = range(FACE_COUNT)

#: Paint roles: columns of an object's palette.
PAINTS = ("body", "accent", "glass", "dark", "lamp", "tail", "skin", "chrome", "trousers", "hair")
_PAINT_INDEX = {name: index for index, name in enumerate(PAINTS)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pattern:
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """The frusta of a body.

    Attributes:
        bottoms: (n, 5) x0, x1, y0, y1, z of the bottom rectangles, unit cube.
        tops: (n, 5) likewise of the top rectangles.
        paints: (n, 6) role of each face.
        patterns: (n, 8) paint role, periods u v, duties u v, phase, slant, varied; role -1: none.
        details: (n,) True for parts inside the outline of others, which may be left out when tiny.
    """

    bottoms: Array
    tops: Array
    paints: NDArray[np.int64]
    patterns: Array
    details: NDArray[np.bool_]


Span = tuple[float, float]


class Sculptor:
    """Collects frusta; every method names spans in the unit cube, z from 0 at the ground to 1."""

    def __init__(self) -> None:
        self._bottoms: list[tuple[float, ...]] = []
        self._tops: list[tuple[float, ...]] = []
        self._paints: list[list[int]] = []
        self._patterns: list[tuple[float, ...]] = []
        self._details: list[bool] = []

    def add(
        self,
        x: Span,
        y: Span,
        z: Span,
        paint: str | dict[str, str],
        *,
        top: tuple[Span, Span] | None = None,
        pattern: Pattern | None = None,
    ) -> None:
        """Add one frustum.

        Args:
            x: extent of the bottom rectangle along the heading.
            y: extent of the bottom rectangle to the left.
            z: heights of the bottom and top rectangles.
            paint: role of all faces, or of "all" and single faces by name.
            top: x and y extents of the top rectangle, when it differs.
            pattern: grid on the sides.
        """
        top_x, top_y = top if top else (x, y)
        self._bottoms.append((*x, *y, z[0] - 0.5))
        self._tops.append((*top_x, *top_y, z[1] - 0.5))
        roles = {"all": paint} if isinstance(paint, str) else paint
        faces = ("front", "back", "left", "right", "top", "bottom")
        self._paints.append([_PAINT_INDEX[roles.get(face, roles["all"])] for face in faces])
        self._patterns.append(_pattern_row(pattern))
        self._details.append(False)

    def add_detail(self, x: Span, y: Span, z: Span, paint: str) -> None:
        """Add a box inside the outline of the others, which may be left out when tiny."""
        self.add(x, y, z, paint)
        self._details[-1] = True

    def template(self) -> Template:
        """Return all that was added."""
        return Template(
            bottoms=np.array(self._bottoms),
            tops=np.array(self._tops),
            paints=np.array(self._paints),
            patterns=np.array(self._patterns, dtype=np.float64),
            details=np.array(self._details),
        )


def _pattern_row(pattern: Pattern | None) -> tuple[float, ...]:
    if pattern is None:
        return (-1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
    role = float(_PAINT_INDEX[pattern.paint])
    return (
        role,
        *pattern.period,
        *pattern.duty,
        pattern.phase,
        pattern.slant,
        float(pattern.varied),
    )
