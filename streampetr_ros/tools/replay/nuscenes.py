"""Results of a replay in the official nuScenes format, where sample tokens are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Detections, FrameSet
from streampetr_ros.nuscenes.results import detection_records, write_results
from streampetr_ros.tools.replay.output import recorded_boxes

NUSCENES = "results_nusc.json"


def write_nuscenes(records: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write the detections of all frame sets that have a token; returns the file.

    Args:
        records: lines of detections.jsonl.
        folder: of the replay.
    """
    target = folder / NUSCENES
    known = [record for record in records if record["token"]]
    write_results({each["token"]: detection_records(*_parts(each)) for each in known}, target)
    return target


def _parts(record: Mapping[str, Any]) -> tuple[Detections, FrameSet]:
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
    return _detections(record), frame_set


def _detections(record: Mapping[str, Any]) -> Detections:
    found = record["detections"]
    names = tuple(dict.fromkeys(each["class"] for each in found))
    return Detections(
        stamp_ns=record["stamp_ns"],
        boxes=recorded_boxes(found),
        scores=np.array([each["score"] for each in found]).reshape(-1),
        labels=np.array([names.index(each["class"]) for each in found], dtype=np.int64),
        class_names=names,
        frame="base",
    )
