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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from transforms3d.quaternions import mat2quat

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.nuscenes.results import ATTRIBUTES, attribute_name, box_records
from streampetr_ros.nuscenes.tables import LIDAR_CHANNEL, Row

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

_VISIBILITY_LEVELS = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
_MAP_FILE = "maps/blank.png"
_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is written.

    Attributes:
        version: folder of the tables and name of the version for the devkit.
        split: name of the custom split that holds all scenes.
        key_every: one frame set of so many is an annotated key frame, the others are sweeps.
    """

    version: str = "v1.0-synthetic"
    split: str = "synthetic"
    key_every: int = 1

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
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self._root = root
        self._options = options
        self._classes: dict[str, str] = {}
        self._index = 0
        # Sweeps belong to the next key frame, so they wait for its token.
        self._waiting: list[Row] = []

    def add(self, frame_set: FrameSet) -> None:
        """Write the images of a frame set and add its rows."""
        scenes = self.rows["scene"]
        if not scenes or frame_set.sequence != scenes[-1]["token"]:
            self._begin_scene(frame_set)
        is_key = self._index % self._options.key_every == 0
        self._index += 1
        for frame in frame_set.cameras:
            path = self._place(self._add_data(frame_set, frame, is_key))
            Image.fromarray(frame.pixels).save(path, quality=_JPEG_QUALITY)
        if is_key:
            filename = self._add_data(frame_set, frame_set, is_key)
            if frame_set.cameras:
                self._place(filename).touch()
            self._add_key_frame(frame_set)

    def _begin_scene(self, frame_set: FrameSet) -> None:
        self._end_scene()
        self._index = 0
        name = frame_set.sequence
        self.rows["scene"].append({"token": name, "name": name, "log_token": "log"})
        sensors = [
            (camera.name, camera.base_from_camera, camera.intrinsic.tolist())
            for camera in (frame.calibration for frame in frame_set.cameras)
        ]
        for channel, base_from_sensor, intrinsic in (
            *sensors,
            (LIDAR_CHANNEL, frame_set.base_from_model, []),
        ):
            row: Row = {"token": f"{name}-{channel}", "sensor_token": channel}
            row |= {"camera_intrinsic": intrinsic, **_placed(base_from_sensor)}
            self.rows["calibrated_sensor"].append(row)

    def _end_scene(self) -> None:
        """Give the data that wait to the last key frame."""
        for row in self._waiting:
            row["sample_token"] = self.rows["sample"][-1]["token"]
        self._waiting.clear()

    def _add_data(self, frame_set: FrameSet, taken: CameraFrame | FrameSet, is_key: bool) -> str:
        """Add a row for an image, or for what the LiDAR has of the set, and the vehicle pose then.

        Returns:
            The name of the file.
        """
        channel, ending, width, height = LIDAR_CHANNEL, "pcd.bin", 0, 0
        if isinstance(taken, CameraFrame):
            camera = taken.calibration
            channel, ending, width, height = camera.name, "jpg", camera.width, camera.height
        token = f"{frame_set.token}__{channel}"
        filename = f"{'samples' if is_key else 'sweeps'}/{channel}/{token}.{ending}"
        row: Row = {
            "token": token,
            "ego_pose_token": token,
            "calibrated_sensor_token": f"{frame_set.sequence}-{channel}",
            "timestamp": taken.stamp_ns // 1000,
            "is_key_frame": is_key,
            "filename": filename,
            "fileformat": ending[:3],
            "width": width,
            "height": height,
        }
        self.rows["sample_data"].append(row)
        self._waiting.append(row)
        pose = {"token": token, "timestamp": row["timestamp"], **_placed(taken.fixed_from_base)}
        self.rows["ego_pose"].append(pose)
        return filename

    def _place(self, filename: str) -> Path:
        path = self._root / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _add_key_frame(self, frame_set: FrameSet) -> None:
        token, stamp_us = frame_set.token, frame_set.stamp_ns // 1000
        row: Row = {"token": token, "timestamp": stamp_us, "scene_token": frame_set.sequence}
        self.rows["sample"].append(row)
        self._end_scene()
        for name, annotation in _annotations(frame_set):
            self.rows["sample_annotation"].append(annotation)
            self._classes[annotation["instance_token"]] = name

    def write(self, folder: Path) -> None:
        """Link the rows and write all tables."""
        self._end_scene()
        self._link()
        self._add_constants()
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(self._place(_MAP_FILE))
        temporary = folder.with_name(f".{folder.name}.tmp")
        temporary.mkdir(parents=True, exist_ok=True)
        splits = {self._options.split: [row["name"] for row in self.rows["scene"]]}
        for name, content in (*self.rows.items(), ("splits", splits)):
            (temporary / f"{name}.json").write_text(json.dumps(content, indent=0))
        os.replace(temporary, folder)

    def _link(self) -> None:
        """Chain samples, images and annotations in time, and summarise scenes and instances."""
        samples = _chained(self.rows["sample"], "scene_token")
        for scene in self.rows["scene"]:
            rows = samples[scene["token"]]
            scene.update(description="", nbr_samples=len(rows), **_ends("sample", rows))
        _chained(self.rows["sample_data"], "calibrated_sensor_token")
        for name, rows in _chained(self.rows["sample_annotation"], "instance_token").items():
            instance: Row = {"token": name, "category_token": self._classes[name]}
            instance |= {"nbr_annotations": len(rows), **_ends("annotation", rows)}
            self.rows["instance"].append(instance)

    def _add_constants(self) -> None:
        rows = self.rows
        modality = {LIDAR_CHANNEL: "lidar"}
        rows["sensor"] = [
            {"token": name, "channel": name, "modality": modality.get(name, "camera")}
            for name in sorted({row["sensor_token"] for row in rows["calibrated_sensor"]})
        ]
        classes = dict.fromkeys((*_CATEGORIES, *self._classes.values()))
        rows["category"] = _named({name: _CATEGORIES.get(name, name) for name in classes})
        rows["attribute"] = _named({name: name for pair in ATTRIBUTES.values() for name in pair})
        rows["visibility"] = [
            {"token": token, "level": level, "description": ""}
            for token, level in _VISIBILITY_LEVELS.items()
        ]
        log = {"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": ""}
        drawn = {"token": "map", "log_tokens": ["log"], "category": "", "filename": _MAP_FILE}
        rows["log"], rows["map"] = [log], [drawn]


def _placed(target_from_source: Array) -> Row:
    rotation = mat2quat(target_from_source[:3, :3])
    return {"translation": target_from_source[:3, 3].tolist(), "rotation": rotation.tolist()}


def _annotations(frame_set: FrameSet) -> Iterator[tuple[str, Row]]:
    """Yield class and row of every object."""
    truth = frame_set.truth
    if truth is None:
        raise UserError(f"frame set '{frame_set.token}' has no truth to export")
    # Boxes stay upright in the fixed frame.
    records = box_records(truth.boxes.transformed(frame_set.fixed_from_base), frame_set.token)
    for index, (name, row) in enumerate(zip(truth.class_names, records, strict=True)):
        instance = f"{frame_set.sequence}/{name}/{truth.instance_ids[index]}"
        attribute = attribute_name(name, float(np.hypot(*row.pop("velocity"))))
        share = float(np.nan_to_num(truth.visibilities[index], nan=1.0))
        row |= {
            "token": f"{frame_set.token}/{instance}",
            "instance_token": instance,
            "visibility_token": str(1 + int(np.searchsorted([0.4, 0.6, 0.8], share))),
            "attribute_tokens": [attribute] if attribute else [],
            # The official evaluation ignores boxes without points: those no camera sees.
            "num_lidar_pts": math.ceil(100 * share),
            "num_radar_pts": 0,
        }
        yield name, row


def _chained(rows: list[Row], key: str) -> dict[str, list[Row]]:
    """Link each row to the one before and after it in time; return them by what `key` holds."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        row.update(prev="", next="")
        groups[row[key]].append(row)
    for group in groups.values():
        for before, after in pairwise(group):
            before["next"], after["prev"] = after["token"], before["token"]
    return groups


def _ends(kind: str, rows: list[Row]) -> Row:
    return {f"first_{kind}_token": rows[0]["token"], f"last_{kind}_token": rows[-1]["token"]}


def _named(names: dict[str, str]) -> list[Row]:
    return [{"token": token, "name": name, "description": ""} for token, name in names.items()]
