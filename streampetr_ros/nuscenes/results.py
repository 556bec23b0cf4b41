"""Detections and truth as records of the official nuScenes result format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transforms3d.quaternions import mat2quat

from streampetr_ros.core import geometry
from streampetr_ros.core.files import replacing
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import Boxes, Detections, FrameSet

#: Planar distance from the vehicle within which a class is evaluated, metres.
CLASS_RANGES: dict[str, float] = {
    "car": 50.0,
    "truck": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "construction_vehicle": 50.0,
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}

_MOVING_SPEED = 0.2
_MODALITIES = {
    "use_camera": True,
    "use_lidar": False,
    "use_radar": False,
    "use_map": False,
    "use_external": True,
}
#: Attributes of a class, moving and at rest.
ATTRIBUTES = {
    "car": ("vehicle.moving", "vehicle.parked"),
    "truck": ("vehicle.moving", "vehicle.parked"),
    "trailer": ("vehicle.moving", "vehicle.parked"),
    "construction_vehicle": ("vehicle.moving", "vehicle.parked"),
    "bus": ("vehicle.moving", "vehicle.stopped"),
    "bicycle": ("cycle.with_rider", "cycle.without_rider"),
    "motorcycle": ("cycle.with_rider", "cycle.without_rider"),
    "pedestrian": ("pedestrian.moving", "pedestrian.standing"),
}

#: One box as the official format writes it.
Record = dict[str, Any]


def attribute_name(class_name: str, speed: float) -> str:
    """Return the attribute of a class at a planar speed in m/s; empty for cones and barriers."""
    if class_name not in ATTRIBUTES:
        return ""
    moving, resting = ATTRIBUTES[class_name]
    return moving if speed > _MOVING_SPEED else resting


def box_records(
    boxes: Boxes, token: str, fixed_from_boxes: Array = geometry.IDENTITY
) -> list[Record]:
    """Write what records of boxes have in common, in the fixed frame."""
    centers = geometry.transform_points(fixed_from_boxes, boxes.centers)
    velocities = geometry.rotate_planar(fixed_from_boxes, boxes.velocities)
    rotations = [fixed_from_boxes[:3, :3] @ geometry.rotation_about_z(yaw) for yaw in boxes.yaws]
    return [
        {
            "sample_token": token,
            "translation": centers[index].tolist(),
            "size": boxes.sizes[index, [1, 0, 2]].tolist(),
            "rotation": mat2quat(rotation).tolist(),
            "velocity": velocities[index].tolist(),
        }
        for index, rotation in enumerate(rotations)
    ]


def _scored_records(
    boxes_base: Boxes, names: Sequence[str], frame_set: FrameSet, scores: Sequence[float]
) -> list[Record]:
    records = box_records(boxes_base, frame_set.token, frame_set.fixed_from_base)
    for record, name, score in zip(records, names, scores, strict=True):
        speed = float(np.nan_to_num(np.hypot(*record["velocity"])))
        record["detection_name"], record["detection_score"] = name, score
        record["attribute_name"] = attribute_name(name, speed)
    return records


def detection_records(detections: Detections, frame_set: FrameSet) -> list[Record]:
    """Write detections of one frame set; those beyond the range of their class are dropped.

    Args:
        detections: in the base or model frame.
        frame_set: gives poses and the sample token.

    Returns:
        Records in the fixed frame, which is the global frame of a data set. Beyond the official
        fields they have a `query_id` where the detections have one.
    """
    if detections.frame == "model":
        detections = detections.transformed(frame_set.base_from_model, "base")
    names = [detections.class_names[label] for label in detections.labels]
    distance = np.hypot(detections.boxes.centers[:, 0], detections.boxes.centers[:, 1])
    limit = np.array([CLASS_RANGES.get(name, 50.0) for name in names]).reshape(-1)
    kept = np.flatnonzero(distance <= limit)
    records = _scored_records(
        detections.boxes.selected(kept),
        [names[index] for index in kept],
        frame_set,
        detections.scores[kept].tolist(),
    )
    if detections.query_ids is not None:
        for record, query_id in zip(records, detections.query_ids[kept].tolist(), strict=True):
            record["query_id"] = query_id
    return records


def truth_records(frame_set: FrameSet) -> list[Record]:
    """Write the truth of a frame set; hidden objects get no measurement points and do not count."""
    truth = frame_set.truth
    if truth is None:
        raise SourceError(f"frame set '{frame_set.token}' has no truth to evaluate against")
    scores = [-1.0] * len(truth.class_names)
    records = _scored_records(truth.boxes, truth.class_names, frame_set, scores)
    for record, visibility in zip(records, truth.visibilities, strict=True):
        record["num_pts"] = 0 if visibility == 0 else 1
    return [record for record in records if record["detection_name"] in CLASS_RANGES]


def write_results(
    results: Mapping[str, list[Record]], path: Path, meta: Mapping[str, Any] | None = None
) -> None:
    """Write the official result file (``results_nusc.json``), completely or not at all.

    Args:
        results: records by sample token; every sample of the split needs an entry.
        path: JSON file.
        meta: what the records are based on; a camera detector if None.
    """
    content = {"meta": dict(meta or _MODALITIES), "results": dict(results)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content))
