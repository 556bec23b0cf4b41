"""Where followed objects came from."""

from __future__ import annotations

from collections import deque

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Tracks

#: A trail gets a new point after so many metres.
_TRAIL_STEP = 0.5


class Trails:
    """Places where tracks were, fixed frame."""

    def __init__(self) -> None:
        self._places: dict[int, deque[tuple[int, Array]]] = {}

    def update(self, tracks_base: Tracks, fixed_from_base: Array, length_s: float) -> list[Array]:
        """Take note of tracks; forget those that are gone.

        Args:
            tracks_base: in the base frame.
            fixed_from_base: (4, 4) vehicle pose at their stamp.
            length_s: how far trails reach back, s.

        Returns:
            For each track its (m, 3) places on the ground, oldest first, the present one last.
        """
        feet_base = tracks_base.boxes.centers.copy()
        feet_base[:, 2] -= 0.5 * tracks_base.boxes.sizes[:, 2]
        feet = geometry.transform_points(fixed_from_base, feet_base)
        identities = tracks_base.ids.tolist()
        self._places = {each: self._places.get(each, deque()) for each in identities}
        oldest_ns = tracks_base.stamp_ns - round(length_s * 1e9)
        trails = []
        for identity, foot in zip(identities, feet, strict=True):
            places = self._places[identity]
            while places and places[0][0] < oldest_ns:
                places.popleft()
            moved = not places or np.linalg.norm(foot - places[-1][1]) >= _TRAIL_STEP
            # What stands has no trail, only a trembling position.
            shown = places if moved or len(places) > 1 else ()
            trails.append(np.array([*(place for _, place in shown), foot]))
            if moved:
                places.append((tracks_base.stamp_ns, foot))
        return trails
