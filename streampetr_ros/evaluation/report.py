"""One evaluation from names to numbers: scenes, streams, metrics, table and plots."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streampetr_ros.evaluation.metrics import (
    Metrics,
    Scope,
    distance_table,
    import_devkit,
    run_devkit,
    save_plots,
    summarise,
)
from streampetr_ros.evaluation.nuscenes_format import write_results
from streampetr_ros.evaluation.scenes import Protocol, SceneJob, run_jobs
from streampetr_ros.evaluation.streams import open_scene, open_stream, scene_names
from streampetr_ros.files import replacing, sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What to evaluate.

    Attributes:
        weights: safetensors file.
        source: see `scene_names`.
        protocol: how scenes are fed and judged.
        farthest: boxes beyond do not count, metres.
        workers: scenes at a time.
        memory_interval: seconds between memory writes; negative: as trained.
    """

    weights: str
    source: str
    protocol: Protocol
    farthest: float = 50.0
    workers: int = 1
    memory_interval: float = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came out.

    Attributes:
        evaluation: what was evaluated.
        weights_sha256: of the weights file; empty if the weights are no single file.
        frames: judged frame sets.
        overall: metrics of everything within range.
        by_distance: metrics of rings around the vehicle.
    """

    evaluation: Evaluation
    weights_sha256: str
    frames: int
    overall: Metrics
    by_distance: dict[str, Metrics]

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def lines(self) -> list[str]:
        """Return the table for a terminal."""
        names = list(self.overall.errors)
        head = f"{'':10}{'mAP':>8}{'NDS':>8}" + "".join(f"{name:>8}" for name in names)
        rows = {"all": self.overall} | self.by_distance
        return [head, *(_line(label, metrics) for label, metrics in rows.items())]


def _line(label: str, metrics: Metrics) -> str:
    errors = "".join(f"{value:8.3f}" for value in metrics.errors.values())
    return f"{label:10}{metrics.mean_ap:8.3f}{metrics.score:8.3f}{errors}"


def evaluate(evaluation: Evaluation, folder: Path | None = None) -> Report:
    """Run the scenes and compute the metrics.

    Args:
        evaluation: what to evaluate.
        folder: for the official result file and plots; None writes none.
    """
    import_devkit()
    jobs = [
        SceneJob(
            scene=name,
            protocol=evaluation.protocol,
            open_scene=open_scene,
            open_stream=open_stream,
            weights=evaluation.weights,
            memory_interval=evaluation.memory_interval,
        )
        for name in scene_names(evaluation.source)
    ]
    records = run_jobs(jobs, evaluation.workers)
    boxes: tuple[Any, Any, Any] = (records.truth, records.detections, records.places)
    evaluated = run_devkit(*boxes, Scope(farthest=evaluation.farthest))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_results(records.detections, folder / "results_nusc.json")
        save_plots(evaluated, folder / "plots")
    return Report(
        evaluation=evaluation,
        weights_sha256=_digest(Path(evaluation.weights)),
        frames=len(records.truth),
        overall=summarise(evaluated),
        by_distance=distance_table(*boxes),
    )


def _digest(weights: Path) -> str:
    return sha256(weights) if weights.is_file() else ""


def write_json(report: Report, path: Path) -> None:
    """Write a report, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(report.to_json(), encoding="utf-8")
