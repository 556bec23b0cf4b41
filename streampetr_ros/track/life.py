"""Birth, growing certainty and death of tracks, in seconds and in log-odds of existence."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.track.config import TrackingConfig
from streampetr_ros.track.motion import Belief, correct, planar, start
from streampetr_ros.track.sightings import Sightings, first_of_each_cluster, log_odds
from streampetr_ros.track.table import TrackTable

# Agreeing headings that a reversal has to outweigh.
_MAX_HEADING = 4.0
# Above this speed, m/s, objects move the way they point.
_SURE_SPEED = 2.0
_MAX_SIZE_WEIGHT = 10.0
_CLASS_MEMORY = 5.0
# Time over which scores are averaged.
_SUPPORT_MEMORY = 1.0


def share(elapsed: float, memory: float) -> float:
    """Return how much of a full observation a frame is worth when frames are close in time."""
    return min(1.0, elapsed / memory) if memory > 0 else 1.0


def begin(
    sightings: Sightings,
    ids: NDArray[np.int64],
    stamp_ns: int,
    like: TrackTable,
    config: TrackingConfig,
) -> TrackTable:
    """Start one track per sighting.

    Args:
        sightings: n detections that continue no track.
        ids: (n,) new identities.
        stamp_ns: time of the frame set.
        like: any table over the same classes.
        config: of the tracker.
    """
    count = len(sightings)
    turn_rates = config.settings(sightings.kinds).turn_rate
    class_weights = np.zeros((count, like.class_weights.shape[1]))
    class_weights[np.arange(count), sightings.labels] = sightings.scores
    stamps = np.full(count, stamp_ns, dtype=np.int64)
    return TrackTable(
        belief=start(sightings.measurement, turn_rates),
        sizes=sightings.sizes,
        size_weights=sightings.scores,
        headings=np.full(count, 0.5),
        log_odds=sightings.evidence,
        support=sightings.support,
        class_weights=class_weights,
        kinds=sightings.kinds,
        ids=ids,
        born_ns=stamps,
        seen_ns=stamps,
        confirmed=np.zeros(count, dtype=bool),
        sources=sightings.sources,
        queries=sightings.queries,
    )


def continued(
    tracks: TrackTable, sightings: Sightings, elapsed: float, stamp_ns: int, config: TrackingConfig
) -> TrackTable:
    """Correct each track by its sighting.

    Args:
        tracks: n predicted tracks.
        sightings: the n detections that continue them.
        elapsed: seconds since the last frame set.
        stamp_ns: time of this one.
        config: of the tracker.
    """
    fresh = share(elapsed, config.error_memory)
    belief, cosines = correct(tracks.belief, sightings.measurement, 1.0 / max(fresh, 0.01))
    belief, headings = _oriented(belief, tracks.headings, cosines)
    amount = sightings.scores * fresh
    total = tracks.size_weights + amount
    sizes = tracks.sizes + (sightings.sizes - tracks.sizes) * (amount / total)[:, None]
    class_weights = tracks.class_weights * math.exp(-elapsed / _CLASS_MEMORY)
    class_weights[np.arange(len(tracks)), sightings.labels] += amount
    gain = share(elapsed, config.evidence_time) * (config.hit_evidence + sightings.evidence)
    # Detectors repeat false alarms too: persistence alone makes no weak object certain.
    newer = 1.0 - math.exp(-elapsed / _SUPPORT_MEMORY)
    support = tracks.support + newer * (sightings.support - tracks.support)
    return replace(
        tracks,
        belief=belief,
        sizes=sizes,
        size_weights=np.minimum(total, _MAX_SIZE_WEIGHT),
        headings=headings,
        log_odds=np.minimum(tracks.log_odds + gain, support + config.certainty),
        support=support,
        class_weights=class_weights,
        seen_ns=np.full(len(tracks), stamp_ns, dtype=np.int64),
        sources=sightings.sources,
        queries=sightings.queries,
    )


def _oriented(belief: Belief, headings: Array, cosines: Array) -> tuple[Belief, Array]:
    """Collect evidence for the direction of headings and reverse those that lost it."""
    means = belief.means
    speed = np.hypot(means[:, 4], means[:, 5])
    forward = means[:, 4] * np.cos(means[:, 3]) + means[:, 5] * np.sin(means[:, 3])
    moving = np.where(speed > _SURE_SPEED, forward / np.maximum(speed, 1e-6), 0.0)
    votes = np.clip(headings + cosines + moving, -_MAX_HEADING, _MAX_HEADING)
    reversed_means = means.copy()
    reversed_means[:, 3] = geometry.wrap_angle(means[:, 3] + np.pi * (votes < 0))
    return replace(belief, means=reversed_means), np.abs(votes)


def missed(
    table: TrackTable, unseen: NDArray[np.bool_], elapsed: float, config: TrackingConfig
) -> TrackTable:
    """Lower the certainty of tracks that this frame set did not show."""
    loss = config.miss_evidence * share(elapsed, config.evidence_time)
    return replace(
        table,
        log_odds=table.log_odds - loss * unseen,
        sources=np.where(unseen, -1, table.sources),
    )


def confirmed(table: TrackTable, config: TrackingConfig) -> TrackTable:
    """Mark tracks that became sure enough to be reported."""
    sure = table.log_odds >= log_odds(config.confirm_probability)
    return replace(table, confirmed=table.confirmed | sure)


def surviving(table: TrackTable, stamp_ns: int, config: TrackingConfig) -> TrackTable:
    """Drop tracks that are unlikely, unseen for too long, or the double of a better one."""
    max_unseen = config.settings(table.kinds).max_unseen
    max_unseen = np.where(table.confirmed, max_unseen, config.unsure_unseen)
    unseen = (stamp_ns - table.seen_ns) * 1e-9
    alive = (unseen <= max_unseen) & (table.log_odds >= log_odds(config.drop_probability))
    table = table.selected(alive)
    # Of two tracks on one object the surer one stays, the older one when equally sure. Objects
    # that pass each other closely differ in velocity.
    order = np.lexsort((table.ids, -table.log_odds))
    radii = config.settings(table.kinds).duplicate_distance
    points, _ = planar(table.belief.means, table.belief.covariances)
    return table.selected(first_of_each_cluster(points, table.kinds, radii, order))
