"""Score, place and number limits of published boxes."""

import numpy as np
import pytest

from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.pipeline.filters import FilterConfig, filter_detections, filter_tracks

CLASSES = ("car", "pedestrian")


def detections() -> Detections:
    x = np.array([5.0, 30.0, -70.0, 8.0, 12.0])
    return Detections(
        stamp_ns=1,
        boxes=Boxes(
            centers=np.stack([x, np.zeros(5), np.ones(5)], axis=1),
            sizes=np.ones((5, 3)),
            yaws=np.zeros(5),
            velocities=np.zeros((5, 2)),
        ),
        scores=np.array([0.9, 0.6, 0.5, 0.4, 0.2]),
        labels=np.array([0, 1, 0, 1, 0]),
        class_names=CLASSES,
        frame="base",
    )


def kept_scores(**limits) -> list[float]:
    return filter_detections(detections(), FilterConfig(**limits)).scores.tolist()


def test_nothing_is_dropped_by_default():
    assert kept_scores() == [0.9, 0.6, 0.5, 0.4, 0.2]


def test_one_threshold_or_one_per_class():
    assert kept_scores(score_thresholds=(0.5,)) == [0.9, 0.6, 0.5]
    assert kept_scores(score_thresholds=(0.7, 0.3)) == [0.9, 0.6, 0.4]


def test_range_is_in_the_base_frame():
    assert kept_scores(range_min=(-60, -60, -5), range_max=(20, 60, 5)) == [0.9, 0.4, 0.2]


def test_a_box_on_the_edge_of_the_range_is_within():
    found = detections()
    tracks = Tracks(
        stamp_ns=1,
        boxes=found.boxes,
        scores=found.scores,
        labels=found.labels,
        class_names=CLASSES,
        frame="base",
        ids=np.arange(5),
        ages=np.ones(5),
        unseen=np.zeros(5),
        covariances=np.zeros((5, 6, 6)),
        sources=np.arange(5),
    )
    limits = FilterConfig(range_min=(5, 0, 1), range_max=(12, 1, 2))
    for kept in (filter_detections(found, limits), filter_tracks(tracks, limits)):
        assert kept.boxes.centers[:, 0].tolist() == [5.0, 8.0, 12.0]
    upper = FilterConfig(range_min=(4, -1, 0), range_max=(12, 0, 1))
    assert filter_tracks(tracks, upper).boxes.centers[:, 0].tolist() == [5.0, 8.0, 12.0]


def test_the_best_are_kept():
    assert kept_scores(max_objects=2, score_thresholds=(0.7, 0.3)) == [0.9, 0.6]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"score_thresholds": ()}, "must lie in"),
        ({"score_thresholds": (1.5,)}, "must lie in"),
        ({"score_thresholds": (float("nan"),)}, "must lie in"),
        ({"range_min": (0, 0, 0), "range_max": (1, 0, 1)}, "must be below range_max"),
        ({"max_objects": 0}, "at least 1"),
    ],
)
def test_limits_are_checked(limits, message):
    with pytest.raises(ValueError, match=message):
        FilterConfig(**limits)


def test_thresholds_must_fit_the_classes():
    FilterConfig(score_thresholds=(0.1, 0.2)).check_classes(CLASSES)
    with pytest.raises(ValueError, match="one for each of the 2 classes car, pedestrian"):
        FilterConfig(score_thresholds=(0.1, 0.2, 0.3)).check_classes(CLASSES)
