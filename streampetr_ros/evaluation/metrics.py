"""nuScenes detection metrics, computed by nuscenes-devkit; nothing is re-implemented here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from streampetr_ros.core.errors import UserError
from streampetr_ros.nuscenes.results import Record

#: Records of truth or detections by sample token.
RecordsByToken = Mapping[str, Sequence[Record]]

_SHORT_NAMES = {
    "trans_err": "mATE",
    "scale_err": "mASE",
    "orient_err": "mAOE",
    "vel_err": "mAVE",
    "attr_err": "mAAE",
}


def import_devkit() -> Any:
    """Import the detection part of nuscenes-devkit.

    Raises:
        UserError: if it is not installed.
    """
    try:
        from nuscenes.eval.detection import evaluate  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"metrics need nuscenes-devkit, which needs numpy < 2 ({error}); "
            "install it with: pip install 'streampetr_ros[evaluation]'"
        ) from error
    return evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Result of the detection task.

    Attributes:
        mean_ap: mAP over classes with truth and centre distances 0.5, 1, 2 and 4 m.
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
    records: RecordsByToken, places: Mapping[str, Sequence[float]], scope: Scope
) -> Any:
    """Build the devkit's boxes, filtered by distance and by measurement points."""
    from nuscenes.eval.common.data_classes import EvalBoxes  # noqa: PLC0415
    from nuscenes.eval.detection.data_classes import DetectionBox  # noqa: PLC0415

    limits = detection_rules().class_range
    boxes = EvalBoxes()
    for token, items in records.items():
        kept = []
        for item in items:
            offset = [a - b for a, b in zip(item["translation"], places[token], strict=True)]
            distance = math.hypot(offset[0], offset[1])
            limit = min(limits[item["detection_name"]], scope.farthest)
            if scope.nearest <= distance < limit and item.get("num_pts", -1) != 0:
                kept.append(DetectionBox.deserialize(item | {"ego_translation": offset}))
        boxes.add_boxes(token, kept)
    return boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The devkit's own result objects, from which plots are drawn."""

    metrics: Any
    data: Any
    runner: Any


def run_devkit(
    truth: RecordsByToken,
    detections: RecordsByToken,
    places: Mapping[str, Sequence[float]],
    scope: Scope,
) -> Evaluated:
    """Run the devkit's evaluation on records held in memory.

    Args:
        truth: of every sample, with ``num_pts``.
        detections: of every sample.
        places: vehicle position of every sample in the fixed frame, metres.
        scope: which boxes count.
    """
    evaluate = import_devkit()

    class InMemory(evaluate.DetectionEval):  # type: ignore[misc, name-defined]
        """The official evaluation without its database."""

        def __init__(self) -> None:
            self.verbose = False
            self.cfg = detection_rules()
            self.gt_boxes = _eval_boxes(truth, places, scope)
            self.pred_boxes = _eval_boxes(detections, places, scope)
            self.sample_tokens = self.gt_boxes.sample_tokens

    runner = InMemory()
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
    errors = named_errors(
        {key: _mean([by_class[name][key] for name in present]) for key in _SHORT_NAMES}
    )
    gains = sum(1 - min(1.0, value) for value in errors.values() if not math.isnan(value))
    return Metrics(
        mean_ap=mean_ap, score=(5 * mean_ap + gains) / 10, errors=errors, class_ap=class_ap
    )


def named_errors(errors: Mapping[str, float]) -> dict[str, float]:
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
    truth: RecordsByToken,
    detections: RecordsByToken,
    places: Mapping[str, Sequence[float]],
    edges: Sequence[float] = (0.0, 10.0, 20.0, 30.0, 40.0),
) -> dict[str, Metrics]:
    """Evaluate rings around the vehicle; keys read like ``10-20 m``."""
    table = {}
    for nearest, farthest in pairwise(edges):
        scope = Scope(nearest=nearest, farthest=farthest)
        evaluated = run_devkit(truth, detections, places, scope)
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
