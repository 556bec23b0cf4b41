"""What viewers show of one run: which markers must go, and how long they may stay."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streampetr_ros.messages.markers import (
    DELETE,
    MarkerPen,
    detection_figures,
    track_figures,
)
from streampetr_ros.messages.results import SetResult
from streampetr_ros.messages.standard import Types
from streampetr_ros.parameters.outputs import MarkerParameters
from streampetr_ros.viz.trails import Trails

#: Topics of detections and of tracks; `~` stands for the name of the node.
MARKER_TOPICS = ("~/markers", "~/track_markers")

#: Viewers keep markers for this many times the longest of the last intervals: shorter blinks,
#: longer leaves ghosts when output stops.
_PERIODS = 4.0
_LOOK_BACK = 5
_SHORTEST_S, _LONGEST_S = 0.5, 30.0
#: Life before any interval is known.
_FIRST_S = 5.0


class MarkerWriter:
    """Writes the markers of the results of one run, in order.

    Args:
        types: see `Types`.
        fixed_frame: TF name of the frame that trails lie in.

    Attributes:
        looks: may change from result to result.
    """

    def __init__(self, types: Types, fixed_frame: str) -> None:
        self.looks = MarkerParameters()
        self._types = types
        self._fixed_frame = fixed_frame
        self._life = MarkerLife()
        self._trails = Trails()
        self._scenes = (MarkerScene(types), MarkerScene(types))
        self._restarts = 0

    def write(self, result: SetResult, restarts: int) -> tuple[Callable[[], Any], ...]:
        """Take note of a result.

        Args:
            result: the next one.
            restarts: resets of the memory so far, those of results left out too.

        Returns:
            What makes the MarkerArrays of detections and of tracks, if somebody looks.
        """
        life_s = self._life.after(result.frame_set.stamp_ns)
        for scene in self._scenes:
            scene.note_restart(restarts != self._restarts)
        self._restarts = restarts
        pens = [
            MarkerPen(self._types, result.frame_set.stamp_ns, frame, life_s)
            for frame in (result.report.base_frame, self._fixed_frame)
        ]
        detections, tracks = self._scenes
        return (
            lambda: detections.update(
                pens[0].objects(detection_figures(result.detections)), pens[0]
            ),
            lambda: tracks.update(self._track_markers(result, *pens), pens[0]),
        )

    def _track_markers(self, result: SetResult, pen: MarkerPen, fixed_pen: MarkerPen) -> list[Any]:
        figures, trail_s = track_figures(result.tracks, self.looks.color_by), self.looks.trail_s
        places = self._trails.update(result.tracks, result.frame_set.fixed_from_base, trail_s)
        trails = fixed_pen.trails(places, figures.colors) if trail_s else []
        return [*pen.objects(figures), *trails]


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

    def __init__(self, types: Types) -> None:
        self._types = types
        self._shown: set[tuple[str, int]] = set()
        self._is_new = True

    def note_restart(self, restarted: bool) -> None:
        """Take note of a reset, also while nobody looks: what was shown before is void then."""
        self._is_new |= restarted

    def update(self, markers: Sequence[Any], pen: MarkerPen) -> Any:
        """Return an array that leaves exactly these markers.

        After a reset and at the start all is deleted first, also what another run left behind.

        Args:
            markers: to be shown.
            pen: draws what removes others.
        """
        wanted = {(marker.ns, marker.id) for marker in markers}
        if self._is_new:
            gone = [pen.removal()]
        else:
            gone = [pen.removal(*each, DELETE) for each in sorted(self._shown - wanted)]
        self._shown, self._is_new = wanted, False
        return self._types("visualization_msgs/msg/MarkerArray")(markers=[*gone, *markers])
