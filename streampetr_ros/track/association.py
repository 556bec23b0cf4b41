"""Which detection continues which track: the most probable one-to-one pairing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from streampetr_ros.core.geometry import Array

Indices = NDArray[np.int64]

# Largest difference of two velocities of one object, m/s.
_ALIKE_VELOCITY = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """Tracks or detections as far as pairing is concerned.

    Attributes:
        means: (n, 4) x, y, velocity x, velocity y, fixed frame.
        covariances: (n, 4, 4).
        kinds: (n,) only equal kinds pair.
        labels: (n,) classes.
        penalties: (n,) reluctance to pair, in units of log-likelihood.
        queries: (n,) identity of the query that found them (last); 0 when unknown.
    """

    means: Array
    covariances: Array
    kinds: Indices
    labels: Indices
    penalties: Array
    queries: Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Limits of pairing; see `TrackingConfig`.

    Attributes:
        distances: (n kinds,) largest planar distance, metres.
        chi2: largest squared Mahalanobis distance.
        new_density: density of first detections.
        class_change_cost: cost of unequal labels.
        query_evidence: worth of being found by the same query.
    """

    distances: Array
    chi2: float
    new_density: float
    class_change_cost: float
    query_evidence: float


def pair(tracks: Side, detections: Side, gates: Gates) -> tuple[Indices, Indices]:
    """Find the pairing that explains the detections best.

    A pair is worth the log-ratio of two densities: of the detection under the track, and of a
    detection that belongs to no track. Pairs that are not worth anything stay apart.

    Returns:
        Indices of tracks and of the detections that continue them.
    """
    rows, columns = _close_pairs(tracks, detections, gates)
    costs = _costs(tracks, detections, gates, (rows, columns))
    worth = costs < 0
    rows, columns, costs = rows[worth], columns[worth], costs[worth]
    # Only what can pair at all enters the assignment, whose effort grows with the third power.
    used_rows, row_places = np.unique(rows, return_inverse=True)
    used_columns, column_places = np.unique(columns, return_inverse=True)
    table = np.zeros((len(used_rows), len(used_columns)))
    table[row_places, column_places] = costs
    chosen_rows, chosen_columns = linear_sum_assignment(table)
    paired = table[chosen_rows, chosen_columns] < 0
    return used_rows[chosen_rows[paired]], used_columns[chosen_columns[paired]]


def _close_pairs(tracks: Side, detections: Side, gates: Gates) -> tuple[Indices, Indices]:
    """Return indices of tracks and detections of one kind that lie within its gate."""
    none = np.zeros(0, dtype=np.int64)
    if len(tracks.means) == 0 or len(detections.means) == 0:
        return none, none
    near = cKDTree(tracks.means[:, :2]).query_ball_tree(
        cKDTree(detections.means[:, :2]), float(gates.distances.max())
    )
    rows = np.repeat(np.arange(len(near)), [len(members) for members in near])
    columns = np.array([index for members in near for index in members], dtype=np.int64)
    offsets = tracks.means[rows, :2] - detections.means[columns, :2]
    kinds = tracks.kinds[rows]
    allowed = np.hypot(offsets[:, 0], offsets[:, 1]) <= gates.distances[kinds]
    allowed &= kinds == detections.kinds[columns]
    return rows[allowed], columns[allowed]


def _costs(tracks: Side, detections: Side, gates: Gates, pairs: tuple[Indices, Indices]) -> Array:
    """Return the cost of each pair; below zero where pairing is more probable than not."""
    rows, columns = pairs
    residuals = detections.means[columns] - tracks.means[rows]
    spreads = tracks.covariances[rows] + detections.covariances[columns]
    distances = np.einsum(
        "ni,ni->n", residuals, np.linalg.solve(spreads, residuals[..., None])[..., 0]
    )
    volumes = np.linalg.slogdet(2.0 * np.pi * spreads)[1]
    costs = 0.5 * (distances + volumes) + np.log(gates.new_density)
    costs += tracks.penalties[rows] + detections.penalties[columns]
    costs += gates.class_change_cost * (tracks.labels[rows] != detections.labels[columns])
    queries = tracks.queries[rows]
    costs -= gates.query_evidence * ((queries > 0) & (queries == detections.queries[columns]))
    return np.where(distances <= gates.chi2, costs, np.inf)


def first_of_each_cluster(
    points: Array, kinds: Indices, radii: Array, order: Indices
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
