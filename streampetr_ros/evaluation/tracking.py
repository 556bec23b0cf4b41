"""Trackers over detection files, and the official tracking metrics of what they give."""

from __future__ import annotations

import contextlib
import io
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, Detections, FrameSet, Tracks
from streampetr_ros.model.config import NUSCENES_CLASSES
from streampetr_ros.nuscenes.devkit import import_devkit
from streampetr_ros.nuscenes.export import ExportOptions, export_nuscenes
from streampetr_ros.nuscenes.results import Record, box_records, write_results
from streampetr_ros.track import Tracker, TrackingConfig

#: Classes of the nuScenes tracking task.
TRACKED_CLASSES: tuple[str, ...] = (
    "bicycle",
    "bus",
    "car",
    "motorcycle",
    "pedestrian",
    "trailer",
    "truck",
)

#: Follows the records of one scene: detections and frame set of a sample to tracking records.
RecordTracker = Callable[[list[Record], FrameSet], list[Record]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingScores:
    """Result of the tracking task; classes without truth do not count.

    Attributes:
        amota: MOTA averaged over 40 recalls, mean over classes.
        amotp: distance of matched boxes likewise, metres.
        mota: at the best score threshold of each class, mean over classes.
        switches: identity switches at these thresholds, sum over classes.
        fragments: interruptions of a track there, sum over classes.
        recall: share of truth found there, mean over classes.
        false_alarms: boxes without truth there, sum over classes.
        class_amota: AMOTA of each class with truth.
    """

    amota: float
    amotp: float
    mota: float
    switches: int
    fragments: int
    recall: float
    false_alarms: int
    class_amota: Mapping[str, float]


def track_scenes(
    frame_sets: Iterable[FrameSet],
    detections: Mapping[str, list[Record]],
    new_tracker: Callable[[], RecordTracker],
) -> dict[str, list[Record]]:
    """Track every scene with a tracker of its own.

    Args:
        frame_sets: stamps, poses and tokens; those of a scene in a row and in order of time.
        detections: records by sample token.
        new_tracker: makes a tracker without tracks.

    Returns:
        Tracking records by sample token; identities are unique over all scenes.
    """
    results = {}
    for scene, members in groupby(frame_sets, key=lambda frame_set: frame_set.sequence):
        step = new_tracker()
        for member in members:
            records = step(detections.get(member.token, []), member)
            for record in records:
                record["tracking_id"] = f"{scene}/{record['tracking_id']}"
            results[member.token] = records
    return results


def own_tracker(config: TrackingConfig | None = None) -> RecordTracker:
    """Make a tracker of this project."""
    tracker = Tracker(config)

    def step(records: list[Record], frame_set: FrameSet) -> list[Record]:
        detections = detections_from_records(records, frame_set.stamp_ns)
        tracks = tracker.step(detections, frame_set.fixed_from_base)
        return tracking_records(tracks, frame_set.token)

    return step


def detections_from_records(records: Sequence[Record], stamp_ns: int) -> Detections:
    """Read detection records, which are in the fixed frame, best first."""
    ordered = sorted(records, key=lambda record: -record["detection_score"])
    rotations = [geometry.rotation_from_quaternion(record["rotation"]) for record in ordered]
    sizes_wlh = np.array([record["size"] for record in ordered], dtype=np.float64).reshape(-1, 3)
    labels = [NUSCENES_CLASSES.index(record["detection_name"]) for record in ordered]
    return Detections(
        stamp_ns=stamp_ns,
        boxes=Boxes(
            centers=np.array([r["translation"] for r in ordered], dtype=np.float64).reshape(-1, 3),
            sizes=sizes_wlh[:, [1, 0, 2]],
            yaws=np.array([np.arctan2(r[1, 0], r[0, 0]) for r in rotations], dtype=np.float64),
            velocities=np.array([r["velocity"] for r in ordered], dtype=np.float64).reshape(-1, 2),
        ),
        scores=np.array([record["detection_score"] for record in ordered], dtype=np.float64),
        labels=np.array(labels, dtype=np.int64),
        class_names=NUSCENES_CLASSES,
        frame="fixed",
        query_ids=np.array([r.get("query_id", 0) for r in ordered], dtype=np.int64),
    )


def tracking_records(tracks: Tracks, token: str) -> list[Record]:
    """Write tracks of one sample; classes that are no tracking classes are left out."""
    names = [tracks.class_names[label] for label in tracks.labels]
    records = []
    for index, record in enumerate(box_records(tracks.boxes, token)):
        if names[index] in TRACKED_CLASSES:
            record["tracking_id"], record["tracking_name"] = str(tracks.ids[index]), names[index]
            record["tracking_score"] = float(tracks.scores[index])
            records.append(record)
    return records


def evaluate_tracks(
    frame_sets: Sequence[FrameSet], results: Mapping[str, list[Record]]
) -> TrackingScores:
    """Judge tracks with the official TrackingEval and its settings of 2019.

    Args:
        frame_sets: with truth; `sequence` names the scene.
        results: tracking records of every sample.
    """
    devkit = import_devkit("nuscenes.eval.tracking.evaluate")
    config = devkit.config_factory("tracking_nips_2019")
    tables = ExportOptions()
    with tempfile.TemporaryDirectory() as name, _quiet():
        root = Path(name)
        export_nuscenes(frame_sets, root, tables)
        write_results(dict(results), root / "tracks.json")
        runner = devkit.TrackingEval(
            config=config,
            result_path=str(root / "tracks.json"),
            eval_set=tables.split,
            output_dir=str(root / "out"),
            nusc_version=tables.version,
            nusc_dataroot=str(root),
            verbose=False,
        )
        metrics, _ = runner.evaluate()
    return _scores(json.loads(json.dumps(metrics.serialize())))


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the devkit's progress bars and the warnings of its dependencies off the screen."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _scores(raw: Mapping[str, Any]) -> TrackingScores:
    by_class = raw["label_metrics"]["amota"]
    present = {name: float(value) for name, value in by_class.items() if not math.isnan(value)}
    return TrackingScores(
        amota=float(raw["amota"]),
        amotp=float(raw["amotp"]),
        mota=float(raw["mota"]),
        switches=int(raw["ids"]),
        fragments=int(raw["frag"]),
        recall=float(raw["recall"]),
        false_alarms=int(raw["fp"]),
        class_amota=present,
    )
