"""All that is known about the objects being followed, as parallel arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Columns
from streampetr_ros.track.motion import STATE, Belief


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackTable(Columns):
    """State of n tracks; a step makes a new table.

    Attributes:
        belief: where they are and how they move.
        sizes: (n, 3) mean length, width, height, metres.
        size_weights: (n,) detections that went into the sizes.
        headings: (n,) how surely the heading is not reversed; never negative.
        log_odds: (n,) of the object being real.
        support: (n,) log-odds that the scores of its detections speak for, averaged over time.
        class_weights: (n, classes) scores collected for each class.
        kinds: (n,) index of the kind.
        ids: (n,) identity.
        born_ns: (n,) stamp of the first detection.
        seen_ns: (n,) stamp of the last detection.
        confirmed: (n,) whether the track was ever sure enough to be reported.
        sources: (n,) index of the detection of the last frame set that continued or began it;
            -1 without one.
        queries: (n,) identity of the query that found it last; 0 when unknown.
    """

    belief: Belief
    sizes: Array
    size_weights: Array
    headings: Array
    log_odds: Array
    support: Array
    class_weights: Array
    kinds: NDArray[np.int64]
    ids: NDArray[np.int64]
    born_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    confirmed: NDArray[np.bool_]
    sources: NDArray[np.int64]
    queries: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) class with the most weight."""
        labels: NDArray[np.int64] = self.class_weights.argmax(axis=1)
        return labels

    @property
    def existence(self) -> Array:
        """(n,) probability that the object is real."""
        return 1.0 / (1.0 + np.exp(-self.log_odds))

    def replaced(self, index: NDArray[np.int64], part: TrackTable) -> TrackTable:
        """Return the table with the tracks at `index` exchanged for those of `part`."""
        order = np.arange(len(self))
        order[index] = len(self) + np.arange(len(index))
        return self.joined(part).selected(order)


def empty_table(classes: int) -> TrackTable:
    """Return a table without tracks."""
    none = np.zeros(0, dtype=np.int64)
    return TrackTable(
        belief=Belief(means=np.zeros((0, STATE)), covariances=np.zeros((0, STATE, STATE))),
        sizes=np.zeros((0, 3)),
        size_weights=np.zeros(0),
        headings=np.zeros(0),
        log_odds=np.zeros(0),
        support=np.zeros(0),
        class_weights=np.zeros((0, classes)),
        kinds=none,
        ids=none,
        born_ns=none,
        seen_ns=none,
        confirmed=np.zeros(0, dtype=bool),
        sources=none,
        queries=none,
    )
