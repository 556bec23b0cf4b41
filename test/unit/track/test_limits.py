"""Where the tracker draws its lines: what lies exactly on a limit, and what one step beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving_boxes import Thing, detect, follow

from streampetr_ros.track import Tracker, TrackingConfig
from streampetr_ros.track.config import VehicleConfig
from streampetr_ros.track.life import share
from streampetr_ros.track.sightings import first_of_each_cluster, log_odds

CAR = Thing("car", (10.0, 0.0), score=0.5)


@pytest.mark.parametrize(
    ("elapsed", "memory", "expected"),
    [(0.1, 0.4, 0.25), (0.4, 0.4, 1.0), (0.8, 0.4, 1.0), (0.0, 0.4, 0.0), (0.1, 0.0, 1.0)],
)
def test_share_of_an_observation(elapsed, memory, expected):
    assert share(elapsed, memory) == pytest.approx(expected)


@pytest.mark.parametrize(("probability", "expected"), [(0.5, 0.0), (0.8, np.log(4.0))])
def test_log_odds(probability, expected):
    assert log_odds(probability) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("second", "kinds", "kept"),
    [
        ((0.9, 0.0, 0.0, 0.0), (0, 0), [True, False]),
        ((1.0, 0.0, 0.0, 0.0), (0, 0), [True, True]),
        ((0.0, 1.1, 0.0, 0.0), (0, 0), [True, True]),
        ((0.5, 0.0, 1.9, 0.0), (0, 0), [True, False]),
        ((0.5, 0.0, 2.0, 0.0), (0, 0), [True, True]),
        ((0.5, 0.0, 0.0, -2.5), (0, 0), [True, True]),
        ((0.5, 0.0, 0.0, 0.0), (0, 1), [True, True]),
    ],
)
def test_doubles_are_near_alike_in_velocity_and_of_one_kind(second, kinds, kept):
    points = np.array([(0.0, 0.0, 0.0, 0.0), second])
    found = first_of_each_cluster(points, np.array(kinds), np.ones(2), np.arange(2))
    assert found.tolist() == kept


def test_a_displaced_double_displaces_nothing():
    points = np.array([(0.0, 0.0), (0.8, 0.0), (1.6, 0.0)])
    order = np.array([2, 1, 0])
    found = first_of_each_cluster(points, np.zeros(3, np.int64), np.ones(3), order)
    assert found.tolist() == [True, False, True]
    order = np.array([1, 0, 2])
    found = first_of_each_cluster(points, np.zeros(3, np.int64), np.ones(3), order)
    assert found.tolist() == [False, True, False]


@pytest.mark.parametrize(("score", "tracks"), [(0.25, 1), (0.24, 0)])
def test_a_detection_of_the_birth_score_begins_a_track(score, tracks):
    tracker = Tracker(TrackingConfig(birth_score=0.25))
    tracker.step(scored(score), np.eye(4))
    assert len(tracker.table) == tracks


@pytest.mark.parametrize(("score", "source"), [(0.25, 0), (0.24, -1)])
def test_a_detection_of_the_least_score_continues_a_track(score, source):
    tracker = Tracker(TrackingConfig(min_score=0.25, birth_score=0.4))
    tracker.step(scored(0.5), np.eye(4))
    tracker.step(scored(score, 0.1), np.eye(4))
    assert tracker.table.sources.tolist() == [source]


def scored(score, time=0.0):
    return replace(detect([CAR], time), scores=np.array([score]))


@pytest.mark.parametrize(("pause", "identity"), [(3.0, 1), (3.1, 2)])
def test_the_longest_pause_still_counts(pause, identity):
    kind = VehicleConfig(max_unseen=9.0)
    tracker = Tracker(TrackingConfig(max_gap=3.0, vehicle=kind))
    results = follow([CAR], [0.0, pause], tracker=tracker)
    assert results[-1].ids.tolist() == [identity]


@pytest.mark.parametrize(("hidden", "shown"), [(0.5, 1), (0.6, 0)])
def test_a_hidden_track_is_reported_up_to_its_limit(hidden, shown):
    tracker = Tracker(TrackingConfig(report_unseen=0.5))
    follow([CAR], [0.0, 0.5, 1.0], tracker=tracker)
    assert len(follow([], [1.0 + hidden], tracker=tracker)[0]) == shown


def test_detections_that_are_not_finite_are_refused():
    detections = detect([CAR], 0.0)
    boxes = replace(detections.boxes, yaws=np.array([np.nan]))
    with pytest.raises(ValueError, match="not finite"):
        Tracker().step(replace(detections, boxes=boxes), np.eye(4))


@pytest.mark.parametrize(
    "change",
    [
        {"min_score": 1.0},
        {"confirm_probability": 1.0},
        {"gate_chi2": 0.0},
        {"max_gap": 0.0},
        {"drop_probability": 0.4, "confirm_probability": 0.4},
        {"query_evidence": float("nan")},
    ],
)
def test_settings_on_a_limit_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        TrackingConfig(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"even_score": 0.0},
        {"even_score": 1.0},
        {"position_noise": 0.0},
        {"velocity_noise": 0.0},
        {"yaw_noise": 0.0},
        {"gate": float("inf")},
        {"acceleration": -1.0},
    ],
)
def test_settings_of_a_kind_on_a_limit_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        VehicleConfig(**change)


def test_settings_may_be_zero():
    assert VehicleConfig(turn_rate=0.0, depth_noise=0.0).turn_rate == 0.0
    assert TrackingConfig(query_evidence=0.0).query_evidence == 0.0


@pytest.mark.parametrize(("distance", "tracks"), [(4.0, 1), (4.01, 2)])
def test_a_detection_on_the_gate_continues_a_track(distance, tracks):
    kind = VehicleConfig(gate=4.0, duplicate_distance=0.0)
    tracker = Tracker(TrackingConfig(vehicle=kind, gate_chi2=1e6, new_density=1e-300))
    follow([CAR], [0.0], tracker=tracker)
    follow([replace(CAR, position=(10.0 + distance, 0.0))], [0.0], tracker=tracker)
    assert len(tracker.table) == tracks


@pytest.mark.parametrize(("queries", "tracks"), [((7, 7), 1), ((7, 8), 2), ((0, 0), 2)])
def test_only_a_known_query_speaks_for_a_pair(queries, tracks):
    """New objects are so frequent here that the place alone never speaks for a pair."""
    kind = VehicleConfig(duplicate_distance=0.0)
    settings = TrackingConfig(vehicle=kind, new_density=1e4, query_evidence=30.0)
    tracker = Tracker(settings)
    for query in queries:
        tracker.step(replace(detect([CAR], 0.0), query_ids=np.array([query])), np.eye(4))
    assert len(tracker.table) == tracks


@pytest.mark.parametrize(("speed", "ahead"), [(5.0, 1.0), (1.0, -1.0)])
def test_only_motion_that_is_sure_decides_between_headings(speed, ahead):
    """Detections alternate; a fast car points where it drives, a slow one as the last one says."""
    car, tracker = Thing("car", (10.0, 0.0), (0.6 * speed, 0.8 * speed)), Tracker()
    for step in range(5):
        detections = detect([car], 0.5 * step)
        turn = np.pi if step % 2 == 0 else 0.0
        boxes = replace(detections.boxes, yaws=detections.boxes.yaws + turn)
        tracks = tracker.step(replace(detections, boxes=boxes), np.eye(4))
    assert np.cos(tracks.boxes.yaws[0] - car.yaw) == pytest.approx(ahead, abs=0.01)


def test_the_size_of_a_track_is_the_mean_of_its_detections():
    tracker = Tracker()
    for step, length in enumerate((4.0, 5.0, 6.0)):
        detections = detect([CAR], 0.5 * step)
        boxes = replace(detections.boxes, sizes=np.array([[length, 2.0, 1.5]]))
        tracks = tracker.step(replace(detections, boxes=boxes), np.eye(4))
    np.testing.assert_allclose(tracks.boxes.sizes, [[5.0, 2.0, 1.5]])
