"""What a viewer shows now: which markers must go, how long they may stay, where objects were."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from streampetr_ros import geometry
from streampetr_ros.geometry import Array
from streampetr_ros.types import Tracks

#: Viewers keep markers for this many times the longest of the last intervals: shorter blinks,
#: longer leaves ghosts when output stops.
_PERIODS = 4.0
_LOOK_BACK = 5
_SHORTEST_S, _LONGEST_S = 0.5, 30.0
#: Life before any interval is known.
_FIRST_S = 5.0
#: A trail gets a new point after so many metres.
_TRAIL_STEP = 0.5


class MarkerLife:
    """How long markers stay, from the time between results whatever resets lie between."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._intervals: deque[float] = deque(maxlen=_LOOK_BACK)

    def after(self, stamp_ns: int) -> float:
        """Take note of a result; return the lifetime of its markers, s."""
        if self._last_ns is not None and stamp_ns > self._last_ns:
            self._intervals.append((stamp_ns - self._last_ns) * 1e-9)
        self._last_ns = stamp_ns
        if not self._intervals:
            return _FIRST_S
        return float(np.clip(_PERIODS * max(self._intervals), _SHORTEST_S, _LONGEST_S))


class MarkerScene:
    """Knows what it showed last, so that an array removes what is gone and replaces the rest."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()
        self._is_new = True

    def note_restart(self, restarted: bool) -> None:
        """Take note of a reset, also while nobody looks: what was shown before is void then."""
        self._is_new |= restarted

    def update(self, markers: Sequence[Marker], header: Header) -> MarkerArray:
        """Return an array that leaves exactly these markers.

        After a reset and at the start all is deleted first, also what another run left behind.

        Args:
            markers: to be shown.
            header: of markers that remove others.
        """
        wanted = {(marker.ns, marker.id) for marker in markers}
        if self._is_new:
            gone = [Marker(header=header, action=Marker.DELETEALL)]
        else:
            gone = [
                Marker(header=header, ns=namespace, id=number, action=Marker.DELETE)
                for namespace, number in sorted(self._shown - wanted)
            ]
        self._shown, self._is_new = wanted, False
        return MarkerArray(markers=[*gone, *markers])


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
