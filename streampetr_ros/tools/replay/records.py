"""Results as lines of JSON, and results from such lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transforms3d.quaternions import mat2quat

from streampetr_ros.core import geometry
from streampetr_ros.core.files import replacing
from streampetr_ros.core.timing import stage_percentiles
from streampetr_ros.core.types import Boxes, Detections, FrameSet, Tracks
from streampetr_ros.nuscenes.results import detection_records as nuscenes_records
from streampetr_ros.nuscenes.results import write_results
from streampetr_ros.pipeline.data import StepResult

RESULTS = "detections.jsonl"
SUMMARY = "summary.json"
NUSCENES = "results_nusc.json"

_DECIMALS = 6

#: One line.
ResultRecord = Mapping[str, Any]


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Read the results in a folder, one record per frame set."""
    text = (folder / RESULTS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def read_summary(folder: Path) -> dict[str, Any]:
    """Read what was run and how long it took; empty where no run is complete."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write what was run and how long it took, completely or not at all."""
    with replacing(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def summary_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up written results: sets, boxes, resets and percentiles of stage times."""
    resets = Counter(each["reset_reason"] for each in records if each["reset_reason"])
    return {
        "sets": len(records),
        "boxes": sum(len(each["detections"]) for each in records),
        "resets": dict(resets),
        "milliseconds": stage_percentiles(each["timings_ms"] for each in records),
    }


def result_record(frame_set: FrameSet, result: StepResult) -> dict[str, Any]:
    """Turn a result into plain values; boxes are in the base frame at the reference time.

    The `track_id` of a detection is 0 without a track; times are seconds.
    """
    reason, tracks, track_ids = result.reset_reason, result.tracks, result.detections.track_ids
    identities = {} if track_ids is None else {"track_id": track_ids.tolist()}
    return {
        "stamp_ns": frame_set.stamp_ns,
        "sequence": frame_set.sequence,
        "token": frame_set.token,
        "frame": result.detections.frame,
        "fixed_from_base": _pose(frame_set.fixed_from_base),
        "num_cameras": result.num_cameras,
        "reset_reason": None if reason is None else reason.value,
        "wrote_memory": result.wrote_memory,
        "timings_ms": {name: round(ms, 3) for name, ms in result.timings_ms.items()},
        "detections": _object_records(result.detections, **identities),
        "tracks": _object_records(
            tracks,
            track_id=tracks.ids.tolist(),
            age=_rounded(tracks.ages),
            unseen=_rounded(tracks.unseen),
        ),
    }


def recorded_detections(record: ResultRecord, draw_above: float = 0.0) -> Detections:
    """Return the detections of a line, base frame.

    Args:
        record: the line.
        draw_above: lowest score.
    """
    found = [each for each in record["detections"] if each["score"] >= draw_above]
    return Detections(**_objects(record, found))


def recorded_tracks(record: ResultRecord) -> Tracks:
    """Return the tracks of a line, base frame; covariances and sources are not recorded."""
    found = record["tracks"]
    return Tracks(
        **_objects(record, found),
        ids=np.array([each["track_id"] for each in found], dtype=np.int64),
        ages=_column(found, "age"),
        unseen=_column(found, "unseen"),
        covariances=np.zeros((len(found), 6, 6)),
        sources=np.full(len(found), -1),
    )


def write_nuscenes(records: Sequence[ResultRecord], folder: Path) -> None:
    """Write the detections of all frame sets that have a token in the official format.

    Args:
        records: lines of detections.jsonl.
        folder: of the replay.
    """
    results = {}
    for record in records:
        if record["token"]:
            pose = record["fixed_from_base"]
            frame_set = FrameSet(
                stamp_ns=record["stamp_ns"],
                cameras=(),
                fixed_from_base=geometry.transform_from_quaternion(
                    pose["translation"], pose["rotation_wxyz"]
                ),
                base_from_model=np.eye(4),
                token=record["token"],
            )
            results[record["token"]] = nuscenes_records(recorded_detections(record), frame_set)
    write_results(results, folder / NUSCENES)


def _object_records(found: Detections | Tracks, **more: Any) -> list[dict[str, Any]]:
    """Turn objects into plain values in their order; `more` are further columns."""
    boxes = found.boxes
    columns = {
        "class": [found.class_names[label] for label in found.labels],
        "score": _rounded(found.scores),
        "center": _rounded(boxes.centers),
        "size_lwh": _rounded(boxes.sizes),
        "yaw": _rounded(boxes.yaws),
        # Numbers that are unknown have no place in JSON.
        "velocity": [v if np.isfinite(v).all() else None for v in _rounded(boxes.velocities)],
        **more,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _rounded(values: NDArray[np.float64]) -> list[Any]:
    rounded: list[Any] = np.round(values, _DECIMALS).tolist()
    return rounded


def _objects(record: ResultRecord, found: Sequence[ResultRecord]) -> dict[str, Any]:
    """Return what detections and tracks have in common."""
    names = tuple(dict.fromkeys(each["class"] for each in found))
    unknown = (float("nan"), float("nan"))
    return {
        "stamp_ns": record["stamp_ns"],
        "boxes": Boxes(
            centers=np.array([each["center"] for each in found]).reshape(-1, 3),
            sizes=np.array([each["size_lwh"] for each in found]).reshape(-1, 3),
            yaws=_column(found, "yaw"),
            velocities=np.array([each["velocity"] or unknown for each in found]).reshape(-1, 2),
        ),
        "scores": _column(found, "score"),
        "labels": np.array([names.index(each["class"]) for each in found], dtype=np.int64),
        "class_names": names,
        "frame": "base",
    }


def _column(found: Sequence[ResultRecord], name: str) -> NDArray[np.float64]:
    return np.array([each[name] for each in found], dtype=np.float64)


def _pose(transform: NDArray[np.float64]) -> dict[str, list[float]]:
    quaternion = mat2quat(transform[:3, :3])
    return {"translation": transform[:3, 3].tolist(), "rotation_wxyz": quaternion.tolist()}
