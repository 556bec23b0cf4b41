"""Tables of the nuScenes schema: poses are read from them, truth of any source is written.

Written tables let the official evaluation code judge recordings that are not nuScenes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from streampetr_ros.core import geometry
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet

#: Version folder and split name of the written tables.
VERSION = "v1.0-own"
SPLIT = "judged"

#: nuScenes category written for a class; other names are taken as categories themselves.
CATEGORIES: dict[str, str] = {
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

Row = dict[str, Any]

_LIDAR = "lidar"
_LIDAR_CHANNEL = "LIDAR_TOP"
_MAP_FILE = "map.png"
_POSE_TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor")


def read_poses(folder: Path) -> list[FrameSet]:
    """Read stamps and vehicle poses of all key frames.

    Args:
        folder: the tables, such as ``.../v1.0-trainval``.

    Returns:
        Frame sets without cameras and truth, at the LiDAR's stamp; those of a scene in a row and
        in order of time.

    Raises:
        SourceError: if a table is missing or damaged.
    """
    tables = {table: _load(folder / f"{table}.json") for table in _POSE_TABLES}
    try:
        frame_sets = _pose_frame_sets(tables)
    except (KeyError, TypeError) as error:
        raise SourceError(f"the tables in '{folder}' lack {error}; unpack them again") from error
    return sorted(frame_sets, key=lambda frame_set: (frame_set.sequence, frame_set.stamp_ns))


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot read table '{path}': {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"'{path}' is not valid JSON ({error}); unpack it again") from error


def _pose_frame_sets(tables: Mapping[str, list[Row]]) -> list[FrameSet]:
    scene_names = {row["token"]: row["name"] for row in tables["scene"]}
    lidars = {row["token"] for row in tables["sensor"] if row["channel"] == _LIDAR_CHANNEL}
    mountings = {r["token"]: r for r in tables["calibrated_sensor"] if r["sensor_token"] in lidars}
    sweeps = {
        row["sample_token"]: row
        for row in tables["sample_data"]
        if row["is_key_frame"] and row["calibrated_sensor_token"] in mountings
    }
    poses = {row["token"]: row for row in tables["ego_pose"]}
    frame_sets = []
    for sample in tables["sample"]:
        sweep = sweeps[sample["token"]]
        frame_sets.append(
            FrameSet(
                stamp_ns=1000 * int(sample["timestamp"]),
                cameras=(),
                fixed_from_base=_transform(poses[sweep["ego_pose_token"]]),
                base_from_model=_transform(mountings[sweep["calibrated_sensor_token"]]),
                sequence=scene_names[sample["scene_token"]],
                token=sample["token"],
            )
        )
    return frame_sets


def _transform(row: Row) -> geometry.Array:
    return geometry.transform_from_quaternion(row["translation"], row["rotation"])


def write_tables(frame_sets: Iterable[FrameSet], root: Path) -> None:
    """Write the tables, with one split that holds every scene.

    Args:
        frame_sets: with truth and a token unique over all; `sequence` names the scene and the
            frame sets of a scene follow each other in time.
        root: folder that becomes the data root; need not exist.
    """
    scenes: dict[str, list[FrameSet]] = defaultdict(list)
    for frame_set in frame_sets:
        scenes[frame_set.sequence].append(frame_set)
    tables = _constant_tables()
    for name, members in scenes.items():
        _add_scene(tables, name, members)
        _add_annotations(tables, members)
    tables["category"] = [
        {"token": name, "name": name, "description": ""}
        for name in sorted({row["category_token"] for row in tables["instance"]})
    ]
    folder = root / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        (folder / f"{table}.json").write_text(json.dumps(rows))
    (folder / "splits.json").write_text(json.dumps({SPLIT: list(scenes)}))
    # The devkit insists that the mask exists but opens it for drawing only.
    (root / _MAP_FILE).touch()


def _constant_tables() -> dict[str, list[Row]]:
    origin = {"translation": [0.0, 0.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
    sensor = {"token": _LIDAR, "channel": _LIDAR_CHANNEL, "modality": "lidar"}
    mounting = {"token": _LIDAR, "sensor_token": _LIDAR, "camera_intrinsic": []}
    drawn = {"token": "map", "log_tokens": ["log"], "category": "", "filename": _MAP_FILE}
    log = {"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": ""}
    tables: dict[str, list[Row]] = defaultdict(list)
    tables.update(
        attribute=[],
        calibrated_sensor=[mounting | origin],
        ego_pose=[],
        instance=[],
        log=[log],
        map=[drawn],
        sample=[],
        sample_annotation=[],
        sample_data=[],
        scene=[],
        sensor=[sensor],
        visibility=[{"token": "4", "level": "v80-100", "description": ""}],
    )
    return tables


def _add_scene(tables: dict[str, list[Row]], name: str, members: Sequence[FrameSet]) -> None:
    tables["scene"].append(
        {
            "token": name,
            "name": name,
            "log_token": "log",
            "description": "",
            "nbr_samples": len(members),
            "first_sample_token": members[0].token,
            "last_sample_token": members[-1].token,
        }
    )
    samples = []
    for member in members:
        stamp_us = member.stamp_ns // 1000
        samples.append({"token": member.token, "scene_token": name, "timestamp": stamp_us})
        tables["ego_pose"].append({"token": member.token, "timestamp": stamp_us} | _pose(member))
        tables["sample_data"].append(
            {
                "token": member.token,
                "sample_token": member.token,
                "ego_pose_token": member.token,
                "calibrated_sensor_token": _LIDAR,
                "timestamp": stamp_us,
                "is_key_frame": True,
                "filename": "",
            }
        )
    tables["sample"] += _chained(samples)


def _pose(frame_set: FrameSet) -> Row:
    fixed_from_base = frame_set.fixed_from_base
    rotation = geometry.quaternion_from_rotation(fixed_from_base[:3, :3])
    return {"translation": fixed_from_base[:3, 3].tolist(), "rotation": rotation.tolist()}


def _add_annotations(tables: dict[str, list[Row]], members: Sequence[FrameSet]) -> None:
    by_instance: dict[str, list[Row]] = defaultdict(list)
    for member in members:
        for instance, row in _annotations(member):
            by_instance[instance].append(row)
    for instance, rows in by_instance.items():
        categories = [row.pop("category") for row in rows]
        tables["instance"].append(
            {
                "token": instance,
                "category_token": categories[0],
                "nbr_annotations": len(rows),
                "first_annotation_token": rows[0]["token"],
                "last_annotation_token": rows[-1]["token"],
            }
        )
        tables["sample_annotation"] += _chained(rows)


def _annotations(frame_set: FrameSet) -> list[tuple[str, Row]]:
    """Return instance token and row of every annotated box of a frame set."""
    truth = frame_set.truth
    if truth is None:
        raise ValueError(f"frame set '{frame_set.token}' has no truth to write into tables")
    boxes = truth.boxes.transformed(frame_set.fixed_from_base)
    rows = []
    for index, name in enumerate(truth.class_names):
        instance = f"{frame_set.sequence}/{name}/{truth.instance_ids[index]}"
        length, width, height = boxes.sizes[index].tolist()
        rotation = geometry.rotation_about_z(boxes.yaws[index])
        row = {
            "token": f"{frame_set.token}/{instance}",
            "sample_token": frame_set.token,
            "instance_token": instance,
            "category": CATEGORIES.get(name, name),
            "visibility_token": "4",
            "attribute_tokens": [],
            "translation": boxes.centers[index].tolist(),
            "size": [width, length, height],
            "rotation": geometry.quaternion_from_rotation(rotation).tolist(),
            "num_lidar_pts": 0 if truth.visibilities[index] == 0 else 1,
            "num_radar_pts": 0,
        }
        rows.append((instance, row))
    return rows


def _chained(rows: list[Row]) -> list[Row]:
    """Link each row to the one before and after it, as the schema wants."""
    for row in rows:
        row.update(prev="", next="")
    for before, after in pairwise(rows):
        before["next"], after["prev"] = after["token"], before["token"]
    return rows
