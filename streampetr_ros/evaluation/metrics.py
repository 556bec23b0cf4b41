"""nuScenes detection metrics, computed by nuscenes-devkit; nothing is re-implemented here."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from streampetr_ros.core.types import FrameSet
from streampetr_ros.nuscenes.devkit import import_devkit
from streampetr_ros.nuscenes.results import Record, truth_records, write_results

#: Edges of the rings around the vehicle that are judged by themselves, metres.
_RINGS = (0.0, 10.0, 20.0, 30.0, 40.0)
_SHORT_NAMES = {
    "trans_err": "mATE",
    "scale_err": "mASE",
    "orient_err": "mAOE",
    "vel_err": "mAVE",
    "attr_err": "mAAE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Result of the detection task.

    Attributes:
        mean_ap: mAP over classes with truth and center distances 0.5, 1, 2 and 4 m.
        score: nuScenes detection score.
        errors: mATE (m), mASE, mAOE (rad), mAVE (m/s), mAAE.
        class_ap: mean AP of each class that has truth.
    """

    mean_ap: float
    score: float
    errors: dict[str, float]
    class_ap: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which boxes count.

    Attributes:
        nearest: smallest planar distance from the vehicle, metres.
        farthest: largest; the range of the class applies too.
    """

    nearest: float = 0.0
    farthest: float = 50.0


def detection_rules() -> Any:
    """Return the devkit's rules of the detection task."""
    from nuscenes.eval.common.config import config_factory  # noqa: PLC0415

    return config_factory("detection_cvpr_2019")


def _eval_boxes(
    records: Mapping[str, list[Record]], frame_sets: Iterable[FrameSet], scope: Scope
) -> Any:
    """Build the devkit's boxes, filtered by distance and by measurement points."""
    from nuscenes.eval.common.data_classes import EvalBoxes  # noqa: PLC0415
    from nuscenes.eval.detection.data_classes import DetectionBox  # noqa: PLC0415

    limits = detection_rules().class_range
    boxes = EvalBoxes()
    for frame_set in frame_sets:
        kept = []
        for item in records[frame_set.token]:
            offset = (np.array(item["translation"]) - frame_set.fixed_from_base[:3, 3]).tolist()
            distance = math.hypot(offset[0], offset[1])
            limit = min(limits[item["detection_name"]], scope.farthest)
            if scope.nearest <= distance < limit and item.get("num_pts", -1) != 0:
                kept.append(DetectionBox.deserialize(item | {"ego_translation": offset}))
        boxes.add_boxes(frame_set.token, kept)
    return boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The devkit's own result objects, from which plots are drawn."""

    metrics: Any
    data: Any
    runner: Any


def run_devkit(
    frame_sets: Collection[FrameSet], detections: Mapping[str, list[Record]], scope: Scope
) -> Evaluated:
    """Run the devkit's evaluation on records held in memory.

    Args:
        frame_sets: with truth.
        detections: records of every one of them, by sample token.
        scope: which boxes count.
    """
    judge = import_devkit("nuscenes.eval.detection.evaluate").DetectionEval
    # The official evaluation, without its constructor, which reads files.
    runner = object.__new__(judge)
    runner.verbose, runner.cfg = False, detection_rules()
    truth = {frame_set.token: truth_records(frame_set) for frame_set in frame_sets}
    runner.gt_boxes = _eval_boxes(truth, frame_sets, scope)
    runner.pred_boxes = _eval_boxes(detections, frame_sets, scope)
    runner.sample_tokens = runner.gt_boxes.sample_tokens
    metrics, data = runner.evaluate()
    return Evaluated(metrics=metrics, data=data, runner=runner)


def summarise(evaluated: Evaluated) -> Metrics:
    """Reduce the devkit's result to the classes that occur in the truth.

    The devkit counts an absent class as AP 0 and errors of 1; on a data set without, say, trailers
    that would hide the result, so absent classes are left out of every mean.
    """
    boxes = evaluated.runner.gt_boxes
    present = sorted({box.detection_name for token in boxes.sample_tokens for box in boxes[token]})
    raw = evaluated.metrics.serialize()
    class_ap = {name: float(raw["mean_dist_aps"][name]) for name in present}
    mean_ap = sum(class_ap.values()) / max(len(class_ap), 1)
    by_class = raw["label_tp_errors"]
    errors = _named_errors(
        {key: _mean([by_class[name][key] for name in present]) for key in _SHORT_NAMES}
    )
    gains = sum(1 - min(1.0, value) for value in errors.values() if not math.isnan(value))
    return Metrics(
        mean_ap=mean_ap, score=(5 * mean_ap + gains) / 10, errors=errors, class_ap=class_ap
    )


def _named_errors(errors: Mapping[str, float]) -> dict[str, float]:
    """Give the devkit's errors the names that tables have."""
    return {short: float(errors[key]) for key, short in _SHORT_NAMES.items()}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def save_plots(evaluated: Evaluated, folder: Path) -> None:
    """Draw the devkit's precision-recall and error curves as PDF files."""
    folder.mkdir(parents=True, exist_ok=True)
    evaluated.runner.plot_dir = str(folder)
    evaluated.runner.render(evaluated.metrics, evaluated.data)


def distance_table(
    frame_sets: Collection[FrameSet], detections: Mapping[str, list[Record]]
) -> dict[str, Metrics]:
    """Evaluate rings around the vehicle; keys read like ``10-20 m``."""
    table = {}
    for nearest, farthest in pairwise(_RINGS):
        scope = Scope(nearest=nearest, farthest=farthest)
        evaluated = run_devkit(frame_sets, detections, scope)
        if evaluated.runner.gt_boxes.all:
            table[f"{nearest:g}-{farthest:g} m"] = summarise(evaluated)
    return table


def save_distance_plot(table: Mapping[str, Metrics], path: Path) -> None:
    """Draw mAP and errors of the rings of `distance_table` side by side as a PDF file."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    rings = list(table)
    curves = {"mAP": [table[ring].mean_ap for ring in rings]}
    for name in _SHORT_NAMES.values():
        curves[name] = [table[ring].errors[name] for ring in rings]
    figure = Figure(figsize=(12, 6), layout="constrained")
    for place, (name, values) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(2, 3, place)
        axes.plot(rings, values, marker="o")
        axes.set_title(name)
        axes.set_ylim(bottom=0.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def evaluate_split(tables: Any, split: str, records: Mapping[str, list[Record]]) -> Metrics:
    """Judge detections of every key frame of a split by the unchanged evaluation of the devkit.

    It reads the annotations itself: annotated attributes, objects of unknown velocity, bicycle
    racks.

    Args:
        tables: the devkit's `NuScenes`.
        split: official, or one of ``splits.json`` beside the tables.
        records: detections by sample token.

    Returns:
        Means over all ten classes, also those that the split does not contain.
    """
    evaluate = import_devkit("nuscenes.eval.detection.evaluate")
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
        errors=_named_errors(raw["tp_errors"]),
        class_ap={name: float(value) for name, value in raw["mean_dist_aps"].items()},
    )
