"""The unchanged evaluation of nuscenes-devkit on a whole split: numbers that may be compared.

It reads the annotations itself: annotated attributes, objects of unknown velocity, bicycle racks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streampetr_ros.evaluation.metrics import Metrics, detection_rules, import_devkit, named_errors
from streampetr_ros.nuscenes.results import Record, write_results


def evaluate_split(tables: Any, split: str, records: Mapping[str, list[Record]]) -> Metrics:
    """Judge detections of every key frame of a split.

    Args:
        tables: the devkit's `NuScenes`.
        split: official, or one of ``splits.json`` beside the tables.
        records: detections by sample token.

    Returns:
        Means over all ten classes, also those that the split does not contain.
    """
    evaluate = import_devkit()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results_nusc.json"
        write_results(dict(records), file)
        judge = evaluate.DetectionEval(
            tables, detection_rules(), str(file), split, folder, verbose=False
        )
        raw = judge.evaluate()[0].serialize()
    return Metrics(
        mean_ap=float(raw["mean_ap"]),
        score=float(raw["nd_score"]),
        errors=named_errors(raw["tp_errors"]),
        class_ap={name: float(value) for name, value in raw["mean_dist_aps"].items()},
    )
