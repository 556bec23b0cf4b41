"""Which of the decoded boxes are handed on: score, place and number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streampetr_ros.core.types import Detections, Tracks

_FAR = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """Limits on published boxes.

    Attributes:
        score_thresholds: lowest score; one value for all classes or one per class of the model.
        range_min: smallest x, y, z of a box center, base frame, metres.
        range_max: largest x, y, z of a box center, base frame, metres.
        max_objects: most boxes handed on, best first.
    """

    score_thresholds: tuple[float, ...] = (0.0,)
    range_min: tuple[float, float, float] = (-_FAR, -_FAR, -_FAR)
    range_max: tuple[float, float, float] = (_FAR, _FAR, _FAR)
    max_objects: int = 300

    def __post_init__(self) -> None:
        scores = self.score_thresholds
        if not scores or not all(0.0 <= score <= 1.0 for score in scores):
            raise ValueError(f"score_thresholds must lie in [0, 1], got {list(scores)}")
        limits = zip(self.range_min, self.range_max, strict=True)
        if not all(low < high for low, high in limits):
            raise ValueError(
                f"range_min {list(self.range_min)} must be below range_max {list(self.range_max)} "
                "in x, y and z"
            )
        if self.max_objects < 1:
            raise ValueError(f"max_objects must be at least 1, got {self.max_objects}")

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuse thresholds that do not fit the classes of a model.

        Raises:
            ValueError: if there is neither one threshold nor one per class.
        """
        if len(self.score_thresholds) not in (1, len(class_names)):
            raise ValueError(
                f"score_thresholds holds {len(self.score_thresholds)} values; give one, or one for "
                f"each of the {len(class_names)} classes {', '.join(class_names)}"
            )


def filter_detections(detections_base: Detections, config: FilterConfig) -> Detections:
    """Keep boxes that pass every limit; order stays.

    Args:
        detections_base: boxes in the base frame, best first.
        config: limits, checked against the classes before.
    """
    count = len(detections_base.class_names)
    thresholds = np.broadcast_to(np.asarray(config.score_thresholds), (count,))
    centers = detections_base.boxes.centers
    keep = detections_base.scores >= thresholds[detections_base.labels]
    keep &= (centers >= config.range_min).all(axis=1)
    keep &= (centers <= config.range_max).all(axis=1)
    return detections_base.selected(np.flatnonzero(keep)[: config.max_objects])


def filter_tracks(tracks_base: Tracks, config: FilterConfig) -> Tracks:
    """Keep tracks within range, at most `max_objects`; thresholds of scores are for detections.

    Args:
        tracks_base: in the base frame, most certain first.
        config: limits.
    """
    centers = tracks_base.boxes.centers
    keep = (centers >= config.range_min).all(axis=1) & (centers <= config.range_max).all(axis=1)
    return tracks_base.selected(np.flatnonzero(keep)[: config.max_objects])
