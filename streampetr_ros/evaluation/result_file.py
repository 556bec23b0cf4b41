"""Detection result files in, tracking result files out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streampetr_ros.core.reading import RESULTS, read_json
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.tracking import RecordTracker, track_scenes
from streampetr_ros.model.config import NUSCENES_CLASSES
from streampetr_ros.nuscenes.results import Record, write_results
from streampetr_ros.nuscenes.tables import read_poses
from streampetr_ros.sources import open_source

_NUMBERS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFile:
    """What became of a detection file.

    Attributes:
        samples: samples tracked.
        scenes: scenes they belong to.
        detections: boxes read.
        boxes: boxes written.
        identities: different objects among them.
    """

    samples: int
    scenes: int
    detections: int
    boxes: int
    identities: int


def read_detections(path: Path) -> tuple[dict[str, Any], dict[str, list[Record]]]:
    """Read a detection file of the official format.

    Returns:
        Its ``meta`` and its records by sample token.

    Raises:
        SourceError: if it is not such a file.
    """
    content = read_json(path, "result file", RESULTS)
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise SourceError(
            f"'{path}' has no 'results' by sample token; give a nuScenes detection result file"
        )
    for token, records in content["results"].items():
        for record in records:
            fault = _fault(record)
            if fault:
                raise SourceError(f"'{path}', sample {token}: {fault}; write the file again")
    return dict(content.get("meta") or {}), content["results"]


def _fault(record: Record) -> str:
    """Return what is wrong with a detection record; empty if nothing."""
    for key, count in _NUMBERS.items():
        values: Any = record.get(key)
        whole = isinstance(values, list) and len(values) == count
        if not whole or not all(isinstance(v, (int, float)) for v in values):
            return f"'{key}' of a box must hold {count} numbers, got {values!r}"
        # An unknown velocity is NaN in the official format.
        if key != "velocity" and not all(map(math.isfinite, values)):
            return f"'{key}' of a box is not finite: {values!r}"
    if record.get("detection_name") not in NUSCENES_CLASSES:
        return f"unknown detection_name {record.get('detection_name')!r}"
    score = record.get("detection_score")
    if not isinstance(score, (int, float)) or not 0 <= score <= 1:
        return f"detection_score {score!r} is not in [0, 1]"
    return ""


def read_drives(path: Path) -> list[FrameSet]:
    """Read drives from disk.

    Args:
        path: a recording, a sequence file, or a folder of nuScenes tables such as
            ``.../v1.0-trainval``, which gives no truth.

    Returns:
        Frame sets without cameras, those of a scene in a row and in order of time.

    Raises:
        SourceError: if nothing readable is there.
    """
    if (path / "sample.json").exists():
        return read_poses(path)
    return [replace(frame_set, cameras=()) for frame_set in open_source(path, need_pixels=False)]


def track_file(
    detections: Path,
    output: Path,
    frame_sets: Sequence[FrameSet],
    new_tracker: Callable[[], RecordTracker],
) -> TrackedFile:
    """Track all scenes of a detection file and write the tracking file.

    Args:
        detections: file to read.
        output: file to write; it states the same sensors as `detections`.
        frame_sets: stamps and poses of at least the samples in the file.
        new_tracker: makes a tracker without tracks.

    Raises:
        SourceError: if the file cannot be used or has samples that are not in `frame_sets`.
    """
    meta, records = read_detections(detections)
    known = {frame_set.token for frame_set in frame_sets}
    strange = sorted(set(records) - known)
    if strange:
        raise SourceError(
            f"{len(strange)} samples of '{detections}', such as {strange[0]}, are not among the "
            "frames given; give the drives or tables the detections were made on"
        )
    # Tables may hold more scenes than the file has results for, such as the training split.
    wanted = [frame_set for frame_set in frame_sets if frame_set.token in records]
    results = track_scenes(wanted, records, new_tracker)
    write_results(results, output, meta)
    boxes = [record for sample in results.values() for record in sample]
    return TrackedFile(
        samples=len(wanted),
        scenes=len({frame_set.sequence for frame_set in wanted}),
        detections=sum(len(sample) for sample in records.values()),
        boxes=len(boxes),
        identities=len({record["tracking_id"] for record in boxes}),
    )
