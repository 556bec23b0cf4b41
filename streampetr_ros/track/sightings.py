"""Detections prepared for tracking: chosen, in the fixed frame, with errors, without doubles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Columns, Detections
from streampetr_ros.track.config import TrackingConfig
from streampetr_ros.track.motion import Measurement, measure

# Largest difference of two velocities of one object, m/s.
_ALIKE_VELOCITY = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sightings(Columns):
    """Detections of one frame set, prepared for tracking; the strongest first.

    Attributes:
        measurement: of n objects, fixed frame.
        sizes: (n, 3) length, width, height, metres.
        scores: (n,).
        support: (n,) log-odds of being right by the score alone.
        evidence: (n,) the same within the limits that one detection may count for.
        labels: (n,) class index.
        kinds: (n,) index of the kind.
        sources: (n,) index in the list of detections they were prepared from.
        queries: (n,) identity of the query that found each; 0 when unknown.
    """

    measurement: Measurement
    sizes: Array
    scores: Array
    support: Array
    evidence: Array
    labels: NDArray[np.int64]
    kinds: NDArray[np.int64]
    sources: NDArray[np.int64]
    queries: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


def log_odds(probability: Array | float) -> Array:
    """Return ln(p / (1 - p))."""
    clipped = np.clip(probability, 1e-4, 1.0 - 1e-4)
    odds: Array = np.log(clipped / (1.0 - clipped))
    return odds


def prepare(
    detections: Detections,
    fixed_from_base: Array,
    class_kinds: NDArray[np.int64],
    config: TrackingConfig,
) -> Sightings:
    """Prepare the detections of a frame set.

    Args:
        detections: in the base or the fixed frame.
        fixed_from_base: (4, 4) vehicle pose at their stamp.
        class_kinds: index of the kind of each class; -1 for ignored ones.
        config: of the tracker.

    Raises:
        ValueError: if they are in another frame or not finite.
    """
    if detections.frame not in ("base", "fixed"):
        raise ValueError(
            f"detections in frame '{detections.frame}' cannot be tracked; "
            "express them in the base frame first"
        )
    used = np.flatnonzero(
        (detections.scores >= config.min_score) & (class_kinds[detections.labels] >= 0)
    )
    detections = detections.selected(used)
    if detections.frame == "base":
        detections = detections.transformed(fixed_from_base, "fixed")
    sightings = _sightings(detections, used, fixed_from_base[:3, 3], class_kinds, config)
    radii = config.settings(sightings.kinds).duplicate_distance
    centers, ranks = sightings.measurement.values[:, :2], np.arange(len(sightings))
    return sightings.selected(first_of_each_cluster(centers, sightings.kinds, radii, ranks))


def _sightings(
    detections_fixed: Detections,
    sources: NDArray[np.int64],
    origin_fixed: Array,
    class_kinds: NDArray[np.int64],
    config: TrackingConfig,
) -> Sightings:
    """Convert detections; the strongest first, whatever order they come in."""
    boxes = detections_fixed.boxes
    values = np.column_stack([boxes.centers, boxes.yaws, boxes.velocities])
    if not np.isfinite(values[:, :4]).all():
        raise ValueError(f"detections at stamp {detections_fixed.stamp_ns} ns are not finite")
    scores, labels = detections_fixed.scores, detections_fixed.labels
    kinds = class_kinds[labels]
    settings = config.settings(kinds)
    support = log_odds(scores) - log_odds(settings.even_score)
    limit = config.score_evidence
    queries = detections_fixed.query_ids
    sightings = Sightings(
        measurement=measure(values, origin_fixed, settings),
        sizes=boxes.sizes,
        scores=scores,
        support=support,
        evidence=np.clip(support, -limit, limit),
        labels=labels,
        kinds=kinds,
        sources=sources,
        queries=np.zeros(len(scores), dtype=np.int64) if queries is None else queries,
    )
    # Position breaks ties of the score, so that the order of the list does not matter.
    return sightings.selected(np.lexsort((values[:, 1], values[:, 0], labels, -scores)))


def first_of_each_cluster(
    points: Array, kinds: NDArray[np.int64], radii: Array, order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Keep, of objects closer together than a radius, the one that comes first.

    Args:
        points: (n, 2) planar positions, metres, or (n, 4) with velocities, which must then be
            alike too.
        kinds: (n,) only equal kinds compete.
        radii: (n,) metres, the same for objects of a kind.
        order: (n,) indices, most important object first.

    Returns:
        (n,) True for objects to keep.
    """
    keep = np.ones(len(points), dtype=bool)
    if len(points) == 0:
        return keep
    pairs = cKDTree(points[:, :2]).query_pairs(float(radii.max()), output_type="ndarray")
    offsets = points[pairs[:, 0]] - points[pairs[:, 1]]
    close = np.hypot(offsets[:, 0], offsets[:, 1]) < radii[pairs[:, 0]]
    close &= np.linalg.norm(offsets[:, 2:], axis=1) < _ALIKE_VELOCITY
    close &= kinds[pairs[:, 0]] == kinds[pairs[:, 1]]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    rivals = np.sort(ranks[pairs[close]], axis=1)
    # By rank of the better one, so that it is settled whether it stays before it displaces others.
    for better, worse in rivals[np.lexsort((rivals[:, 1], rivals[:, 0]))]:
        if keep[order[better]]:
            keep[order[worse]] = False
    return keep
