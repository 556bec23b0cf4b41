"""Which detection continues which track: the most probable one-to-one pairing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from streampetr_ros.core.geometry import Array
from streampetr_ros.track.config import TrackingConfig
from streampetr_ros.track.motion import planar
from streampetr_ros.track.sightings import Sightings
from streampetr_ros.track.table import TrackTable

_Indices = NDArray[np.int64]


def pair(
    tracks: TrackTable, sightings: Sightings, config: TrackingConfig
) -> tuple[_Indices, _Indices]:
    """Find the pairing that explains the detections best.

    A pair is worth the log-ratio of two densities: of the detection under the track, and of a
    detection that belongs to no track. Pairs that are not worth anything stay apart.

    Returns:
        Indices of tracks and of the detections that continue them.
    """
    rows, columns = _close_pairs(tracks, sightings, config)
    costs = _costs(tracks, sightings, config, (rows, columns))
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


def _close_pairs(
    tracks: TrackTable, sightings: Sightings, config: TrackingConfig
) -> tuple[_Indices, _Indices]:
    """Return indices of tracks and detections of one kind that lie within its gate."""
    if len(tracks) == 0 or len(sightings) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    places, seen = tracks.belief.means[:, :2], sightings.measurement.values[:, :2]
    found = cKDTree(places).sparse_distance_matrix(
        cKDTree(seen), max(kind.gate for kind in config.kinds), output_type="ndarray"
    )
    rows, columns = found["i"], found["j"]
    kinds = tracks.kinds[rows]
    allowed = found["v"] <= config.settings(kinds).gate
    allowed &= kinds == sightings.kinds[columns]
    return rows[allowed], columns[allowed]


def _costs(
    tracks: TrackTable,
    sightings: Sightings,
    config: TrackingConfig,
    pairs: tuple[_Indices, _Indices],
) -> Array:
    """Return the cost of each pair; below zero where pairing is more probable than not."""
    rows, columns = pairs
    means, covariances = planar(tracks.belief.means, tracks.belief.covariances)
    values, errors = planar(sightings.measurement.values, sightings.measurement.covariances)
    residuals, spreads = values[columns] - means[rows], covariances[rows] + errors[columns]
    distances = np.einsum(
        "ni,ni->n", residuals, np.linalg.solve(spreads, residuals[..., None])[..., 0]
    )
    volumes = np.linalg.slogdet(2.0 * np.pi * spreads)[1]
    costs = 0.5 * (distances + volumes) + np.log(config.new_density)
    costs -= np.log(tracks.existence)[rows] + np.log(sightings.scores)[columns]
    costs += config.class_change_cost * (tracks.labels[rows] != sightings.labels[columns])
    queries = tracks.queries[rows]
    costs -= config.query_evidence * ((queries > 0) & (queries == sightings.queries[columns]))
    return np.where(distances <= config.gate_chi2, costs, np.inf)
