"""Writes frame sets of any source as a data set in the nuScenes schema: tables and images.

The official devkit opens the result as any other version of nuScenes: boxes in the fixed frame
(as its global frame), images with per-image vehicle poses, and a custom split with all scenes, so
that its detection and tracking evaluation runs unchanged. A LiDAR without points marks the
reference time of every key frame.
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import Array, CameraCalibration, CameraFrame, FrameSet, Truth
from streampetr_ros.nuscenes.results import attribute_name

#: nuScenes category written for a class; other names are taken as categories themselves.
_CATEGORIES: dict[str, str] = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "construction_vehicle": "vehicle.construction",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "barrier": "movable_object.barrier",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "pedestrian": "human.pedestrian.adult",
    "traffic_cone": "movable_object.trafficcone",
}

_ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.moving",
    "pedestrian.standing",
    "pedestrian.sitting_lying_down",
)
_VISIBILITY_LEVELS = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
_LIDAR = "LIDAR_TOP"
_MAP_FILE = "maps/blank.png"
_LOG = "synthetic-log"

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is written.

    Attributes:
        version: folder of the tables and name of the version for the devkit.
        split: name of the custom split that holds all scenes.
        key_every: one frame set of so many is an annotated key frame, the others are sweeps.
        quality: of the JPEG images, 1 to 95.
    """

    version: str = "v1.0-synthetic"
    split: str = "synthetic"
    key_every: int = 1
    quality: int = 92

    def __post_init__(self) -> None:
        if self.key_every < 1:
            raise ValueError(f"key_every is {self.key_every}; at least 1 is needed")


def export_nuscenes(
    frame_sets: Iterable[FrameSet], root: Path, options: ExportOptions | None = None
) -> int:
    """Write frame sets; images as they come, the tables at the end, completely or not at all.

    Args:
        frame_sets: with truth and unique tokens; those of one `sequence` follow each other in time.
            Without cameras, tables of truth and poses are all that is written.
        root: folder that becomes the data root; must not hold these tables yet.
        options: what is written.

    Returns:
        The number of key frames.

    Raises:
        UserError: if a file cannot be written or the tables exist already.
    """
    options = options or ExportOptions()
    folder = root / options.version
    if folder.exists():
        raise UserError(f"'{folder}' exists already; remove it or choose another folder")
    tables = _Tables(root, options)
    try:
        for frame_set in frame_sets:
            tables.add(frame_set)
        tables.write(folder)
    except OSError as error:
        raise UserError(
            f"cannot write '{error.filename or root}' ({error.strerror}); "
            "free some space or choose another folder"
        ) from error
    return len(tables.rows["sample"])


class _Tables:
    """Rows of all tables, growing frame set by frame set."""

    def __init__(self, root: Path, options: ExportOptions) -> None:
        self.rows: dict[str, list[_Row]] = defaultdict(list)
        self._root = root
        self._options = options
        self._classes: dict[str, str] = {}
        self._scene = ""
        self._index = 0
        # Sweeps belong to the next key frame, so they wait for its token.
        self._waiting: list[_Row] = []

    def add(self, frame_set: FrameSet) -> None:
        """Write the images of a frame set and add its rows."""
        if frame_set.sequence != self._scene:
            self._begin_scene(frame_set)
        is_key = self._index % self._options.key_every == 0
        self._index += 1
        for camera in frame_set.cameras:
            self._add_image(frame_set, camera, is_key)
        if is_key:
            self._add_key_frame(frame_set)

    def _begin_scene(self, frame_set: FrameSet) -> None:
        self._end_scene()
        self._scene, self._index = frame_set.sequence, 0
        self.rows["scene"].append(
            {"token": frame_set.sequence, "name": frame_set.sequence, "log_token": _LOG}
        )
        for camera in frame_set.cameras:
            self.rows["calibrated_sensor"].append(
                _calibrated_sensor(frame_set.sequence, camera.calibration)
            )
        lidar = _placed(frame_set.base_from_model) | {
            "token": f"{frame_set.sequence}-{_LIDAR}",
            "sensor_token": _LIDAR,
            "camera_intrinsic": [],
        }
        self.rows["calibrated_sensor"].append(lidar)

    def _end_scene(self) -> None:
        """Give sweeps after the last key frame to that key frame."""
        for row in self._waiting:
            row["sample_token"] = self.rows["sample"][-1]["token"]
        self._waiting.clear()

    def _add_image(self, frame_set: FrameSet, camera: CameraFrame, is_key: bool) -> None:
        name = camera.calibration.name
        folder = "samples" if is_key else "sweeps"
        filename = f"{folder}/{name}/{frame_set.token}__{name}.jpg"
        path = self._root / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(camera.pixels).save(path, quality=self._options.quality)
        row = self._add_data(frame_set, name, (camera.stamp_ns, camera.fixed_from_base))
        row.update(
            is_key_frame=is_key,
            filename=filename,
            fileformat="jpg",
            width=camera.calibration.width,
            height=camera.calibration.height,
        )
        self._waiting.append(row)

    def _add_data(self, frame_set: FrameSet, channel: str, taken: tuple[int, Array]) -> _Row:
        """Add one row of sample_data, and its vehicle pose, for a stamp and pose."""
        stamp_ns, fixed_from_base = taken
        token = f"{frame_set.token}__{channel}"
        row: _Row = {
            "token": token,
            "sample_token": "",
            "ego_pose_token": token,
            "calibrated_sensor_token": f"{frame_set.sequence}-{channel}",
            "timestamp": stamp_ns // 1000,
        }
        self.rows["sample_data"].append(row)
        self.rows["ego_pose"].append(
            _placed(fixed_from_base) | {"token": token, "timestamp": stamp_ns // 1000}
        )
        return row

    def _add_key_frame(self, frame_set: FrameSet) -> None:
        stamp_ns = frame_set.stamp_ns
        self.rows["sample"].append(
            {
                "token": frame_set.token,
                "timestamp": stamp_ns // 1000,
                "scene_token": frame_set.sequence,
            }
        )
        filename = f"samples/{_LIDAR}/{frame_set.token}__{_LIDAR}.pcd.bin"
        if frame_set.cameras:
            path = self._root / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        row = self._add_data(frame_set, _LIDAR, (stamp_ns, frame_set.fixed_from_base))
        row.update(is_key_frame=True, filename=filename, fileformat="pcd", width=0, height=0)
        for waiting in (*self._waiting, row):
            waiting["sample_token"] = frame_set.token
        self._waiting.clear()
        if frame_set.truth is None:
            raise UserError(f"frame set '{frame_set.token}' has no truth to export")
        annotations = _annotations(frame_set, frame_set.truth)
        self.rows["sample_annotation"] += annotations
        for name, annotation in zip(frame_set.truth.class_names, annotations, strict=True):
            self._classes[annotation["instance_token"]] = name

    def write(self, folder: Path) -> None:
        """Link the rows and write all tables."""
        self._end_scene()
        self._link()
        self._add_constants()
        masks = self._root / _MAP_FILE
        masks.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(masks)
        temporary = folder.with_name(f".{folder.name}.tmp")
        temporary.mkdir(parents=True, exist_ok=True)
        scenes = [row["name"] for row in self.rows["scene"]]
        splits = {self._options.split: scenes}
        for name, content in (*self.rows.items(), ("splits", splits)):
            (temporary / f"{name}.json").write_text(json.dumps(content, indent=0))
        os.replace(temporary, folder)

    def _link(self) -> None:
        """Chain samples, images and annotations in time, and summarise scenes and instances."""
        for scene, samples in _grouped(self.rows["sample"], "scene_token").items():
            _chain(samples)
            row = next(row for row in self.rows["scene"] if row["token"] == scene)
            row.update(
                description="synthetic world",
                nbr_samples=len(samples),
                first_sample_token=samples[0]["token"],
                last_sample_token=samples[-1]["token"],
            )
        for data in _grouped(self.rows["sample_data"], "calibrated_sensor_token").values():
            _chain(data)
        for instance, rows in _grouped(self.rows["sample_annotation"], "instance_token").items():
            _chain(rows)
            self.rows["instance"].append(
                {
                    "token": instance,
                    "category_token": self._classes[instance],
                    "nbr_annotations": len(rows),
                    "first_annotation_token": rows[0]["token"],
                    "last_annotation_token": rows[-1]["token"],
                }
            )

    def _add_constants(self) -> None:
        rows = self.rows
        channels = {row["sensor_token"] for row in rows["calibrated_sensor"]}
        rows["sensor"] = [
            {"token": name, "channel": name, "modality": "lidar" if name == _LIDAR else "camera"}
            for name in sorted(channels)
        ]
        rows["category"] = [
            {"token": name, "name": _CATEGORIES.get(name, name), "description": ""}
            for name in dict.fromkeys((*_CATEGORIES, *self._classes.values()))
        ]
        rows["attribute"] = [
            {"token": name, "name": name, "description": ""} for name in _ATTRIBUTES
        ]
        rows["visibility"] = [
            {"token": token, "level": level, "description": ""}
            for token, level in _VISIBILITY_LEVELS.items()
        ]
        log = {"logfile": "", "vehicle": "", "date_captured": "", "location": "synthetic"}
        rows["log"] = [{"token": _LOG, **log}]
        rows["map"] = [
            {"token": "blank", "log_tokens": [_LOG], "category": "", "filename": _MAP_FILE}
        ]


def _placed(target_from_source: Array) -> _Row:
    rotation = geometry.quaternion_from_rotation(target_from_source[:3, :3])
    return {"translation": target_from_source[:3, 3].tolist(), "rotation": rotation.tolist()}


def _calibrated_sensor(sequence: str, calibration: CameraCalibration) -> _Row:
    return _placed(calibration.base_from_camera) | {
        "token": f"{sequence}-{calibration.name}",
        "sensor_token": calibration.name,
        "camera_intrinsic": calibration.intrinsic.tolist(),
    }


def _annotations(frame_set: FrameSet, truth: Truth) -> list[_Row]:
    boxes = truth.boxes.transformed(frame_set.fixed_from_base)
    speeds = np.hypot(boxes.velocities[:, 0], boxes.velocities[:, 1])
    rows = []
    for index, name in enumerate(truth.class_names):
        instance = f"{frame_set.sequence}/{name}/{truth.instance_ids[index]}"
        length, width, height = boxes.sizes[index].tolist()
        attribute = attribute_name(name, float(speeds[index]))
        share = float(np.nan_to_num(truth.visibilities[index], nan=1.0))
        rotation = geometry.rotation_about_z(boxes.yaws[index])
        row = {
            "token": f"{frame_set.token}/{instance}",
            "sample_token": frame_set.token,
            "instance_token": instance,
            "visibility_token": str(1 + int(np.searchsorted([0.4, 0.6, 0.8], share))),
            "attribute_tokens": [attribute] if attribute else [],
            "translation": boxes.centers[index].tolist(),
            "size": [width, length, height],
            "rotation": geometry.quaternion_from_rotation(rotation).tolist(),
            # The official evaluation ignores boxes without points: those no camera sees.
            "num_lidar_pts": math.ceil(100 * share),
            "num_radar_pts": 0,
        }
        rows.append(row)
    return rows


def _grouped(rows: list[_Row], key: str) -> dict[str, list[_Row]]:
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups


def _chain(rows: list[_Row]) -> None:
    """Link each row to the one before and after it in time."""
    for row in rows:
        row.update(prev="", next="")
    for before, after in pairwise(rows):
        before["next"], after["prev"] = after["token"], before["token"]
