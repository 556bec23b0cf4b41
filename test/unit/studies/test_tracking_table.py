"""What the table of trackers is made of: the baseline, the simulated detector, drives."""

from __future__ import annotations

import numpy as np
import pytest
from moving_boxes import OFFSET, SECOND, THINGS, drive, perfect_records

from streampetr_ros.evaluation.tracking import own_tracker, track_scenes
from studies.drives import densified, synthetic_drive
from studies.greedy_baseline import GreedyTracker, greedy_tracker
from studies.noisy_detector import NoiseConfig, NoisyDetector


def box(name, x, y, score, velocity=(0.0, 0.0)):
    return {
        "sample_token": "",
        "translation": [x, y, 0.0],
        "size": [1.0, 1.0, 1.0],
        "rotation": [1.0, 0.0, 0.0, 0.0],
        "velocity": list(velocity),
        "detection_name": name,
        "detection_score": score,
    }


def numbers(records):
    return [int(record["tracking_id"]) for record in records]


def test_greedy_moves_back_by_velocity_and_takes_the_nearest():
    tracker = GreedyTracker()
    assert numbers(tracker.step([box("car", 0, 0, 0.9), box("car", 6, 0, 0.8)], 0)) == [1, 2]
    moved = [box("car", 6, 0, 0.9, (12, 0)), box("car", 12, 0, 0.8, (12, 0))]
    assert numbers(tracker.step(moved, SECOND // 2)) == [1, 2]


def test_greedy_knows_gate_class_and_threshold():
    tracker = GreedyTracker()
    tracker.step([box("car", 0, 0, 0.9)], 0)
    later = [
        box("car", 2.6, 0, 0.9),
        box("truck", 0, 0, 0.8),
        box("car", 0, 0, 0.2),
        box("barrier", 0, 0, 0.9),
    ]
    assert numbers(tracker.step(later, SECOND // 2)) == [2, 3]


@pytest.mark.parametrize(("missing", "expected"), [(2, 1), (3, 2)])
def test_greedy_keeps_unseen_tracks_for_three_frames(missing, expected):
    tracker = GreedyTracker()
    tracker.step([box("car", 0, 0, 0.9)], 0)
    for index in range(missing):
        assert tracker.step([], (index + 1) * SECOND) == []
    assert numbers(tracker.step([box("car", 0, 0, 0.9)], 9 * SECOND)) == [expected]


def test_noisy_detector_follows_its_seed():
    frame_sets = drive()
    first, again = (list(NoisyDetector(3).run(frame_sets)) for _ in range(2))
    other = list(NoisyDetector(4).run(frame_sets))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.boxes.centers, b.boxes.centers)
        np.testing.assert_array_equal(a.scores, b.scores)
        assert (np.diff(a.scores) <= 0).all()
    assert any(len(a) != len(b) for a, b in zip(first, other, strict=True))


def test_noisy_detector_without_faults_tells_the_truth():
    config = NoiseConfig(
        depth_noise=(0, 0),
        lateral_noise=(0, 0),
        velocity_noise=(0, 0),
        velocity_gain_noise=0,
        detection_rate=(1, 0),
        hiding_rate=0,
        duplicate_share=0,
        confusion_share=0,
        scattered_alarms=0,
        cluster_rate=0,
    )
    frame_set = drive(count=1)[0]
    found = NoisyDetector(0, config).step(frame_set)
    expected = frame_set.truth.boxes.centers[:, :2]
    assert len(found) == len(expected)
    assert {tuple(c) for c in found.boxes.centers[:, :2]} == {tuple(c) for c in expected}


def test_densified_drive_lies_between_its_frames():
    frame_sets = drive(count=3)
    dense = densified(frame_sets, 4)
    assert len(dense) == 9
    assert dense[4] is frame_sets[1]
    middle = dense[2]
    assert middle.stamp_ns == (frame_sets[0].stamp_ns + frame_sets[1].stamp_ns) // 2
    centers = middle.truth.boxes.transformed(middle.fixed_from_base).centers
    np.testing.assert_allclose(centers[0], THINGS[0].place(0.25) + OFFSET)


def test_synthetic_drive_has_trajectories_without_rendering():
    frame_sets = synthetic_drive(3, duration=2.0)
    assert [frame_set.cameras for frame_set in frame_sets] == [()] * 4
    assert len(frame_sets[0].truth.class_names) > 5


def test_baseline_and_tracker_keep_identities_of_perfect_detections():
    frame_sets = drive()
    for new_tracker in (greedy_tracker, own_tracker):
        results = track_scenes(frame_sets, perfect_records(frame_sets), new_tracker)
        identities = {record["tracking_id"] for sample in results.values() for record in sample}
        assert len(identities) == len(THINGS)
