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
    """Turn a result into plain values; boxes are in the base frame at the reference time."""
    reason = result.reset_reason
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
        "detections": _detection_records(result.detections),
        "tracks": _track_records(result.tracks),
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


def _detection_records(detections: Detections) -> list[dict[str, Any]]:
    """Turn detections into plain values, best first; `track_id` is 0 without a track."""
    track_ids = detections.track_ids
    return [
        {
            **_object_record(detections, row),
            **({} if track_ids is None else {"track_id": int(track_ids[row])}),
        }
        for row in range(len(detections))
    ]


def _track_records(tracks: Tracks) -> list[dict[str, Any]]:
    """Turn tracks into plain values, most certain first; times in seconds."""
    return [
        {
            "track_id": int(tracks.ids[row]),
            **_object_record(tracks, row),
            "age": round(float(tracks.ages[row]), _DECIMALS),
            "unseen": round(float(tracks.unseen[row]), _DECIMALS),
        }
        for row in range(len(tracks))
    ]


def _object_record(found: Detections | Tracks, row: int) -> dict[str, Any]:
    boxes = found.boxes
    return {
        "class": found.class_names[found.labels[row]],
        "score": round(float(found.scores[row]), _DECIMALS),
        "center": _numbers(boxes.centers[row]),
        "size_lwh": _numbers(boxes.sizes[row]),
        "yaw": round(float(boxes.yaws[row]), _DECIMALS),
        "velocity": _numbers(boxes.velocities[row]),
    }


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


def _numbers(values: NDArray[np.float64]) -> list[float] | None:
    """Round; numbers that are unknown have no place in JSON."""
    if not np.isfinite(values).all():
        return None
    return [round(float(value), _DECIMALS) for value in values]
