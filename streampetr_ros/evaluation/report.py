"""One evaluation from names to numbers: scenes, streams, metrics, table and plots."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from streampetr_ros.backends.opening import Choice
from streampetr_ros.core.files import replacing, sha256
from streampetr_ros.evaluation.metrics import (
    Evaluated,
    Metrics,
    Scope,
    distance_table,
    evaluate_split,
    run_devkit,
    save_distance_plot,
    save_plots,
    summarise,
)
from streampetr_ros.evaluation.scenes import Protocol, SceneJob, SceneRecords, run_jobs
from streampetr_ros.evaluation.streams import (
    nuscenes_split,
    open_scene,
    open_stream,
    scene_names,
)
from streampetr_ros.evaluation.tracking import (
    TrackingScores,
    evaluate_tracks,
    own_tracker,
    track_scenes,
)
from streampetr_ros.nuscenes.devkit import import_devkit
from streampetr_ros.nuscenes.results import Record, write_results


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What to evaluate.

    Attributes:
        weights: see `open_backend`.
        source: see `scene_names`.
        protocol: how scenes are fed and judged.
        farthest: boxes beyond do not count, metres.
        workers: scenes at a time.
        memory_interval: seconds between memory writes; negative: as trained.
        tracking: whether the detections are tracked, and the tracks judged.
        choice: what runs the detector; by default as its weights demand, on one thread.
    """

    weights: str
    source: str
    protocol: Protocol
    farthest: float = 50.0
    workers: int = 1
    memory_interval: float = -1.0
    tracking: bool = False
    choice: Choice = field(default_factory=lambda: Choice(threads=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What came out.

    Attributes:
        evaluation: what was evaluated.
        weights_sha256: of the weights file; empty if the weights are no single file.
        frames: judged frame sets.
        overall: metrics of everything within range.
        by_distance: metrics of rings around the vehicle.
        official: of the devkit's unchanged evaluation, if every frame of a nuScenes split was
            judged; None otherwise.
        tracking: scores of our tracker on these detections; None if not asked for or if it
            followed nothing.
    """

    evaluation: Evaluation
    weights_sha256: str
    frames: int
    overall: Metrics
    by_distance: dict[str, Metrics]
    official: Metrics | None = None
    tracking: TrackingScores | None = None

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def lines(self) -> list[str]:
        """Return the table for a terminal."""
        names = list(self.overall.errors)
        head = f"{'':10}{'mAP':>8}{'NDS':>8}" + "".join(f"{name:>8}" for name in names)
        rows = {} if self.official is None else {"official": self.official}
        rows |= {"all": self.overall} | self.by_distance
        lines = [head, *(_line(label, metrics) for label, metrics in rows.items())]
        return [*lines, _tracking_line(self.tracking)] if self.evaluation.tracking else lines


def _line(label: str, metrics: Metrics) -> str:
    errors = "".join(f"{value:8.3f}" for value in metrics.errors.values())
    return f"{label:10}{metrics.mean_ap:8.3f}{metrics.score:8.3f}{errors}"


def _tracking_line(scores: TrackingScores | None) -> str:
    if scores is None:
        return "tracking: no object was followed"
    return (
        f"tracking: AMOTA {scores.amota:.3f}, AMOTP {scores.amotp:.3f} m, MOTA {scores.mota:.3f}, "
        f"{scores.switches} identity switches, {scores.fragments} fragments, "
        f"recall {scores.recall:.3f}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A report and what can be written beside it.

    Attributes:
        report: the numbers.
        detections: records by sample token.
        evaluated: results of the devkit, from which plots are drawn.
    """

    report: EvaluationReport
    detections: dict[str, list[Record]]
    evaluated: Evaluated

    def write(self, folder: Path) -> None:
        """Write the official result file and plots."""
        folder.mkdir(parents=True, exist_ok=True)
        write_results(self.detections, folder / "results_nusc.json")
        save_plots(self.evaluated, folder / "plots")
        save_distance_plot(self.report.by_distance, folder / "plots" / "distance.pdf")


def evaluate(evaluation: Evaluation) -> Judged:
    """Run the scenes and compute the metrics.

    Args:
        evaluation: what to evaluate.

    Raises:
        UserError: if nuscenes-devkit is missing, weights or frames cannot be read, what is to run
            the detector cannot, or a worker process is killed.
    """
    import_devkit()
    stream = partial(open_stream, evaluation.weights, evaluation.memory_interval, evaluation.choice)
    jobs = [
        SceneJob(
            protocol=evaluation.protocol, open_scene=partial(open_scene, name), open_stream=stream
        )
        for name in scene_names(evaluation.source)
    ]
    records = run_jobs(jobs, evaluation.workers)
    frame_sets, detections = records.frame_sets.values(), records.detections
    evaluated = run_devkit(frame_sets, detections, Scope(farthest=evaluation.farthest))
    weights = Path(evaluation.weights)
    report = EvaluationReport(
        evaluation=evaluation,
        weights_sha256=sha256(weights) if weights.is_file() else "",
        frames=len(frame_sets),
        overall=summarise(evaluated),
        by_distance=distance_table(frame_sets, detections),
        official=_official(evaluation, records),
        tracking=_track(records) if evaluation.tracking else None,
    )
    return Judged(report=report, detections=detections, evaluated=evaluated)


def _official(evaluation: Evaluation, records: SceneRecords) -> Metrics | None:
    split = nuscenes_split(evaluation.source)
    if split is None or not evaluation.protocol.judges_all:
        return None
    return evaluate_split(split.tables, split.split, records.detections)


def _track(records: SceneRecords) -> TrackingScores | None:
    """Track the detections of the judged frame sets, every scene by itself."""
    frame_sets = list(records.frame_sets.values())
    tracks = track_scenes(frame_sets, records.detections, own_tracker)
    # The devkit refuses files without a single box.
    return evaluate_tracks(frame_sets, tracks) if any(tracks.values()) else None


def write_json(report: EvaluationReport, path: Path) -> None:
    """Write a report, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(report.to_json(), encoding="utf-8")
