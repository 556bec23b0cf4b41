"""The tracker as a whole: identities, frames of reference, rates, gaps, life and death."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving_boxes import SECOND, START_NS, Thing, detect, follow, nearest, planar_pose

from streampetr_ros.core import geometry
from streampetr_ros.track import NullTracker, Tracker, TrackingConfig
from streampetr_ros.track.config import PedestrianConfig

CROSSING = [
    Thing("pedestrian", (-4.0, 10.0), (1.3, 0.0)),
    Thing("pedestrian", (4.0, 10.4), (-1.3, 0.0), score=0.6),
    Thing("car", (20.0, -8.0), (0.0, 8.0)),
    Thing("car", (23.0, 8.0), (0.0, -8.0), score=0.5),
]


def ids_at_ends(things, results, last_time):
    first = [nearest(results[0], thing.place(0.0)) for thing in things]
    last = [nearest(results[-1], thing.place(last_time)) for thing in things]
    return first, last


@pytest.mark.parametrize("rate", [2.0, 3.7, 12.0])
def test_identities_survive_a_crossing_at_any_rate(rate):
    times = np.arange(0.0, 6.0, 1.0 / rate)
    results = follow(CROSSING, times, noise=0.15)
    first, last = ids_at_ends(CROSSING, results, times[-1])
    assert first == last
    assert len(set(last)) == len(CROSSING)


def test_identities_survive_a_change_of_rate():
    times = np.concatenate(
        [np.arange(0, 2, 1 / 12), np.arange(2, 5, 1 / 2), np.arange(5, 6, 1 / 12)]
    )
    results = follow(CROSSING, times, noise=0.1)
    first, last = ids_at_ends(CROSSING, results, times[-1])
    assert first == last


@pytest.mark.parametrize("gap", [0.6, 1.2, 1.8])
def test_identity_survives_a_gap_without_frames(gap):
    car = Thing("car", (5.0, 3.0), (9.0, 2.0))
    times = np.concatenate([np.arange(0, 2, 0.1), np.arange(2 + gap, 3 + gap, 0.1)])
    results = follow([car], times, noise=0.1)
    assert {int(i) for tracks in results for i in tracks.ids} == {1}


def test_identity_survives_while_the_object_is_hidden():
    car, tracker = Thing("car", (5.0, 3.0), (9.0, 2.0)), Tracker()
    follow([car], np.arange(0, 2, 0.1), tracker=tracker)
    hidden = follow([], np.arange(2, 3.5, 0.1), tracker=tracker)
    seen = follow([car], np.arange(3.5, 4, 0.1), tracker=tracker)
    assert [len(hidden[step]) for step in (0, 4, 7, 14)] == [1, 1, 0, 0]
    assert hidden[4].unseen[0] == pytest.approx(0.5)
    assert seen[0].ids.tolist() == [1]
    assert seen[0].ages[0] == pytest.approx(3.5)


def test_turning_car_is_found_again_after_a_blind_second():
    rate, radius, turn = 10.0, 15.0, 0.5
    tracker = Tracker()
    for step in range(45):
        time = step / rate
        angle = turn * time
        place = (radius * np.sin(angle), radius * (1 - np.cos(angle)))
        speed = radius * turn
        thing = Thing("car", place, (speed * np.cos(angle), speed * np.sin(angle)))
        blind = 25 <= step < 35
        detections = detect([] if blind else [thing], 0.0)
        stamp_ns = START_NS + round(time * SECOND)
        tracks = tracker.step(replace(detections, stamp_ns=stamp_ns), np.eye(4))
        if step == 29:
            assert np.linalg.norm(tracks.boxes.centers[0, :2] - place) < 0.4
    assert tracks.ids.tolist() == [1]


def test_ego_motion_is_out_of_the_picture():
    """A moving vehicle that sees a standing object reports a standing track."""
    tracker = Tracker()
    parked = Thing("car", (30.0, 4.0))
    for step in range(30):
        time = 0.1 * step
        fixed_from_base = planar_pose(12.0 * time, 0.3 * time**2, 0.1 * time)
        base = detect([parked], time).transformed(geometry.inverse(fixed_from_base), "base")
        tracks = tracker.step(base, fixed_from_base)
    assert tracks.frame == "fixed"
    np.testing.assert_allclose(tracks.boxes.centers[0, :2], [30.0, 4.0], atol=1e-6)
    np.testing.assert_allclose(tracks.boxes.velocities[0], 0.0, atol=1e-6)
    assert tracks.ids.tolist() == [1]


def test_moving_the_world_moves_the_tracks():
    world = planar_pose(4.2e5, -5.1e6, 2.1)
    times = np.arange(0, 3, 0.2)
    here, there = Tracker(), Tracker()
    for time in times:
        detections = detect(CROSSING, time, noise=0.1, random=np.random.default_rng(int(time * 10)))
        a = here.step(detections, np.eye(4))
        b = there.step(detections.transformed(world, "fixed"), world)
    back = b.transformed(geometry.inverse(world), "fixed")
    assert a.ids.tolist() == back.ids.tolist()
    np.testing.assert_allclose(back.boxes.centers, a.boxes.centers, atol=1e-6)
    np.testing.assert_allclose(back.boxes.velocities, a.boxes.velocities, atol=1e-6)
    np.testing.assert_allclose(back.covariances, a.covariances, atol=1e-6)
    np.testing.assert_allclose(np.cos(back.boxes.yaws - a.boxes.yaws), 1.0)


def test_same_input_gives_same_output_and_order_does_not_matter():
    random = np.random.default_rng(3)
    plain, shuffled = Tracker(), Tracker()
    for time in np.arange(0, 3, 0.25):
        detections = detect(CROSSING * 2, time, noise=0.4, random=random)
        a = plain.step(detections, np.eye(4))
        order = random.permutation(len(detections))
        b = shuffled.step(detections.selected(order), np.eye(4))
        for name in ("ids", "scores", "labels", "covariances"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_array_equal(a.boxes.centers, b.boxes.centers)


def test_sure_detection_is_reported_at_once_and_a_weak_one_after_it_repeats():
    sure = follow([Thing("car", (10.0, 0.0), score=0.5)], [0.0])
    weak = follow([Thing("car", (10.0, 0.0), score=0.13)], np.arange(0, 1, 0.1))
    assert len(sure[0]) == 1
    counts = [len(tracks) for tracks in weak]
    assert counts[0] == 0
    assert counts[-1] == 1
    assert weak[-1].ages[0] == pytest.approx(0.9)


@pytest.mark.parametrize("rate", [2.0, 10.0])
def test_death_is_counted_in_seconds(rate):
    tracker = Tracker()
    follow([Thing("car", (10.0, 0.0), score=0.9)], np.arange(0, 3, 1 / rate), tracker=tracker)
    limit = TrackingConfig().vehicle.max_unseen
    for time in np.arange(3, 8, 1 / rate):
        follow([], [time], tracker=tracker)
        unseen = time - (3 - 1 / rate)
        assert len(tracker.table) == (1 if unseen <= limit + 1e-6 else 0)


def test_single_false_alarm_dies_sooner_than_a_known_object():
    tracker = Tracker()
    follow([Thing("car", (10.0, 0.0), score=0.13)], [0.0], tracker=tracker)
    follow([], [0.5, 1.0], tracker=tracker)
    assert len(tracker.table) == 0


def test_existence_grows_with_time_not_with_frames():
    car = [Thing("car", (10.0, 0.0), score=0.3)]
    scores = [follow(car, np.arange(0, 2.01, 1 / rate))[-1].scores[0] for rate in (2, 4, 10)]
    np.testing.assert_allclose(scores, scores[0], atol=0.01)


def test_reversed_heading_is_turned_back():
    car, tracker = Thing("car", (10.0, 0.0), (0.0, 0.0)), Tracker()
    for step in range(20):
        detections = detect([car], 0.1 * step)
        if step in (5, 6, 11):
            boxes = replace(detections.boxes, yaws=detections.boxes.yaws + np.pi)
            detections = replace(detections, boxes=boxes)
        tracks = tracker.step(detections, np.eye(4))
        assert np.cos(tracks.boxes.yaws[0]) > 0.99


def test_wrong_first_heading_is_corrected():
    car, tracker = Thing("car", (10.0, 0.0), (5.0, 0.0)), Tracker()
    for step in range(10):
        detections = detect([car], 0.1 * step)
        if step < 2:
            boxes = replace(detections.boxes, yaws=detections.boxes.yaws + np.pi)
            detections = replace(detections, boxes=boxes)
        tracks = tracker.step(detections, np.eye(4))
    assert np.cos(tracks.boxes.yaws[0]) > 0.99


def test_double_detections_make_one_track():
    pair = [
        Thing("car", (10.0, 0.0), (3.0, 0.0)),
        Thing("car", (10.6, 0.3), (3.0, 0.0), score=0.4),
        Thing("truck", (10.1, 0.0), (3.0, 0.0), score=0.35),
    ]
    results = follow(pair, np.arange(0, 2, 0.2))
    assert all(len(tracks) == 1 for tracks in results)
    assert results[-1].class_names[results[-1].labels[0]] == "car"


def test_class_changes_with_the_majority_and_keeps_the_identity():
    tracker = Tracker()
    names = ["car", "truck", "truck", "car", "truck", "truck", "truck"]
    for step, name in enumerate(names):
        tracks = follow([Thing(name, (15.0, 2.0))], [0.5 * step], tracker=tracker)[0]
    assert tracks.ids.tolist() == [1]
    assert tracks.class_names[tracks.labels[0]] == "truck"


def test_unknown_velocity_is_learned_from_positions():
    car, tracker = Thing("car", (5.0, 3.0), (6.0, -1.0)), Tracker()
    for step in range(20):
        detections = detect([car], 0.25 * step)
        boxes = replace(detections.boxes, velocities=np.full((1, 2), np.nan))
        tracks = tracker.step(replace(detections, boxes=boxes), np.eye(4))
    assert tracks.ids.tolist() == [1]
    np.testing.assert_allclose(tracks.boxes.velocities[0], [6.0, -1.0], atol=0.3)


def test_empty_frames_and_reset():
    tracker = Tracker()
    assert len(follow([], [0.0, 0.1], tracker=tracker)[-1]) == 0
    car = [Thing("car", (5.0, 3.0))]
    assert follow(car, [0.2], tracker=tracker)[0].ids.tolist() == [1]
    tracker.reset()
    assert len(tracker.table) == 0
    assert follow(car, [0.3], tracker=tracker)[0].ids.tolist() == [2]


def test_clock_jumping_back_and_long_pauses_start_anew():
    tracker, car = Tracker(), [Thing("car", (5.0, 3.0))]
    assert follow(car, [10.0, 10.1], tracker=tracker)[-1].ids.tolist() == [1]
    assert follow(car, [5.0], tracker=tracker)[0].ids.tolist() == [2]
    assert follow(car, [25.0], tracker=tracker)[0].ids.tolist() == [3]


def test_repeated_stamp_is_harmless():
    tracker, car = Tracker(), [Thing("car", (5.0, 3.0), (2.0, 0.0))]
    results = follow(car, [0.0, 0.5, 0.5, 1.0], tracker=tracker)
    assert {int(i) for tracks in results for i in tracks.ids} == {1}
    assert np.isfinite(results[-1].covariances).all()


def test_model_frame_and_unknown_classes_are_refused():
    detections = detect([Thing("car", (5.0, 3.0))], 0.0)
    with pytest.raises(ValueError, match="frame 'model'"):
        Tracker().step(replace(detections, frame="model"), np.eye(4))
    names = ("wagon", *detections.class_names[1:])
    with pytest.raises(ValueError, match="wagon"):
        Tracker().step(replace(detections, class_names=names), np.eye(4))


def test_ignored_classes_are_not_tracked():
    base = TrackingConfig()
    config = replace(
        base,
        pedestrian=replace(base.pedestrian, class_names=()),
        ignored_classes=("pedestrian",),
    )
    things = [Thing("car", (5.0, 3.0)), Thing("pedestrian", (8.0, 3.0))]
    assert len(follow(things, [0.0], tracker=Tracker(config))[0]) == 1


def test_null_tracker_reports_nothing():
    tracks = NullTracker().step(detect(CROSSING, 0.0), np.eye(4))
    assert len(tracks) == 0
    assert tracks.stamp_ns == START_NS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_score": 0.0}, "min_score"),
        ({"drop_probability": 0.6}, "drop_probability"),
        ({"gate_chi2": -1.0}, "gate_chi2"),
        ({"ignored_classes": ("car",)}, "car"),
    ],
)
def test_config_is_checked(change, message):
    with pytest.raises(ValueError, match=message):
        TrackingConfig(**change)


def test_kind_config_is_checked():
    with pytest.raises(ValueError, match="gate"):
        replace(TrackingConfig().vehicle, gate=float("nan"))


@pytest.mark.parametrize(("evidence", "follows_query"), [(0.0, False), (30.0, True)])
def test_queries_decide_where_places_do_not(evidence, follows_query):
    kind = PedestrianConfig(duplicate_distance=0.05)
    tracker = Tracker(TrackingConfig(query_evidence=evidence, pedestrian=kind))
    near, far = Thing("pedestrian", (10.0, 0.0)), Thing("pedestrian", (10.0, 0.8), score=0.6)

    def seen(time, queries):
        found = replace(detect([near, far], time), query_ids=np.array(queries))
        return tracker.step(found, np.eye(4))

    before = [seen(time, [5, 6]) for time in (0.0, 0.5, 1.0)][-1]
    after = seen(1.5, [6, 5])
    places = [dict(zip(t.ids.tolist(), t.sources.tolist(), strict=True)) for t in (before, after)]
    assert places[0].keys() == places[1].keys()
    assert (places[0] != places[1]) == follows_query


def test_unknown_queries_say_nothing():
    tracker = Tracker(TrackingConfig(query_evidence=30.0))
    pair = [Thing("pedestrian", (10.0, 0.0)), Thing("pedestrian", (10.0, 0.8), score=0.6)]
    first, second = (tracker.step(detect(pair, t), np.eye(4)) for t in (0.0, 0.5))
    for thing in pair:
        assert nearest(first, thing.place(0)) == nearest(second, thing.place(0))
    with pytest.raises(ValueError, match="query_evidence must be zero or more"):
        TrackingConfig(query_evidence=-1.0)


def test_persistence_alone_makes_no_weak_object_certain():
    weak = Thing("car", (20.0, -6.0), (0.0, 0.0), score=0.15)
    strong = Thing("car", (12.0, 6.0), (0.0, 0.0), score=0.6)
    tracks = follow([weak, strong], np.arange(0.0, 20.0, 0.5))[-1]
    weak_one, strong_one = (nearest(tracks, thing.place(0.0)) for thing in (weak, strong))
    scores = dict(zip(tracks.ids.tolist(), tracks.scores.tolist(), strict=True))
    assert scores[weak_one] < 0.9 < 0.97 < scores[strong_one]
