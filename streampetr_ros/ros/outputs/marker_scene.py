"""What a viewer shows now: which markers must go, and how long they may stay."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

#: Viewers keep markers for this many times the longest of the last intervals: shorter blinks,
#: longer leaves ghosts when output stops.
_PERIODS = 4.0
_LOOK_BACK = 5
_SHORTEST_S, _LONGEST_S = 0.5, 30.0
#: Life before any interval is known.
_FIRST_S = 5.0


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
