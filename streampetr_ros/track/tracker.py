"""The tracker: `Tracker.step` predicts, pairs, corrects, starts and ends tracks, and reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.track.association import pair
from streampetr_ros.track.config import TrackingConfig
from streampetr_ros.track.life import begin, confirmed, continued, missed, surviving
from streampetr_ros.track.motion import MEASURED, predict
from streampetr_ros.track.sightings import Sightings, prepare
from streampetr_ros.track.table import TrackTable, empty_table


class Tracker:
    """Follows objects through detections that come at any rate.

    Everything it knows is in `table`; the same detections give the same tracks, whatever the order
    in which a frame set lists them. Identities count up from 1 and are not used again after a
    reset.

    Args:
        config: its settings.
    """

    def __init__(self, config: TrackingConfig | None = None) -> None:
        self._config = config or TrackingConfig()
        self._last_ns: int | None = None
        self._next_id = 1
        self._class_names: tuple[str, ...] = ()
        self._class_kinds = np.zeros(0, dtype=np.int64)
        self.table = empty_table(0)

    def reset(self) -> None:
        """Forget every object."""
        self._last_ns = None
        self.table = empty_table(len(self._class_names))

    def step(self, detections: Detections, fixed_from_base: Array) -> Tracks:
        """Follow the objects into a new frame set.

        A stamp before the last one, or a long time after it, starts anew.

        Args:
            detections: of one frame set, in the base or the fixed frame.
            fixed_from_base: (4, 4) vehicle pose at their stamp.

        Returns:
            Objects followed, in the fixed frame.

        Raises:
            ValueError: if the detections are in another frame, have an unknown class or are not
                finite.
        """
        self._learn_classes(detections.class_names)
        sightings = prepare(detections, fixed_from_base, self._class_kinds, self._config)
        elapsed = self._elapsed(detections.stamp_ns)
        config, table = self._config, self.table
        settings = config.settings(table.kinds)
        belief = predict(table.belief, settings, elapsed, config.turn_memory)
        table = replace(table, belief=belief)
        rows, columns = pair(table, sightings, config)
        known, seen = table.selected(rows), sightings.selected(columns)
        part = continued(known, seen, elapsed, detections.stamp_ns, config)
        unseen = np.ones(len(table), dtype=bool)
        unseen[rows] = False
        table = missed(table.replaced(rows, part), unseen, elapsed, config)
        table = table.joined(self._births(sightings, columns, detections.stamp_ns))
        table = surviving(table, detections.stamp_ns, config)
        self.table = confirmed(table, config)
        unseen_s = (detections.stamp_ns - self.table.seen_ns) * 1e-9
        shown = self.table.confirmed & (unseen_s <= config.report_unseen)
        return _report(self.table.selected(shown), detections.stamp_ns, self._class_names)

    def _learn_classes(self, class_names: tuple[str, ...]) -> None:
        if class_names == self._class_names:
            return
        kinds = self._config.kind_indices(class_names)
        self._class_names = class_names
        self._class_kinds = np.array(kinds, dtype=np.int64)
        self.table = empty_table(len(class_names))

    def _elapsed(self, stamp_ns: int) -> float:
        """Return seconds since the last frame set and forget the objects after a jump."""
        last_ns = stamp_ns if self._last_ns is None else self._last_ns
        elapsed = (stamp_ns - last_ns) * 1e-9
        if not 0.0 <= elapsed <= self._config.max_gap:
            self.reset()
            elapsed = 0.0
        self._last_ns = stamp_ns
        return elapsed

    def _births(self, sightings: Sightings, paired: NDArray[np.int64], stamp_ns: int) -> TrackTable:
        free = sightings.scores >= self._config.birth_score
        free[paired] = False
        new = sightings.selected(free)
        ids = self._next_id + np.arange(len(new), dtype=np.int64)
        self._next_id += len(new)
        return begin(new, ids, stamp_ns, self.table, self._config)


def _report(table: TrackTable, stamp_ns: int, class_names: tuple[str, ...]) -> Tracks:
    """Return tracks as they are told others, in the fixed frame; the most certain first."""
    table = table.selected(np.lexsort((table.ids, -table.log_odds)))
    means = table.belief.means
    return Tracks(
        stamp_ns=stamp_ns,
        boxes=Boxes(
            centers=means[:, :3],
            sizes=table.sizes,
            yaws=means[:, 3],
            velocities=means[:, 4:MEASURED],
        ),
        scores=table.existence,
        labels=table.labels,
        ids=table.ids,
        ages=(stamp_ns - table.born_ns) * 1e-9,
        unseen=(stamp_ns - table.seen_ns) * 1e-9,
        covariances=table.belief.covariances[:, :MEASURED, :MEASURED],
        sources=table.sources,
        class_names=class_names,
        frame="fixed",
    )


class NullTracker:
    """Stands in where tracking is switched off: reports nothing."""

    def reset(self) -> None:
        """Do nothing."""

    def step(self, detections: Detections, fixed_from_base: Array) -> Tracks:
        """Return no tracks."""
        names = detections.class_names
        return _report(empty_table(len(names)), detections.stamp_ns, names)
