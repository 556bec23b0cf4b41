"""Stamps and vehicle poses from the tables of nuScenes, without pictures and without the devkit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streampetr_ros.core import geometry
from streampetr_ros.core.reading import RESULTS, read_json
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet

Row = dict[str, Any]

#: Sensor whose stamp is the reference time of a key frame.
LIDAR_CHANNEL = "LIDAR_TOP"
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
    tables = {
        table: read_json(folder / f"{table}.json", "table", RESULTS) for table in _POSE_TABLES
    }
    try:
        frame_sets = _pose_frame_sets(tables)
    except (KeyError, TypeError) as error:
        raise SourceError(f"the tables in '{folder}' lack {error}; unpack them again") from error
    return sorted(frame_sets, key=lambda frame_set: (frame_set.sequence, frame_set.stamp_ns))


def _pose_frame_sets(tables: Mapping[str, list[Row]]) -> list[FrameSet]:
    scene_names = {row["token"]: row["name"] for row in tables["scene"]}
    lidars = {row["token"] for row in tables["sensor"] if row["channel"] == LIDAR_CHANNEL}
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
                fixed_from_base=placed(poses[sweep["ego_pose_token"]]),
                base_from_model=placed(mountings[sweep["calibrated_sensor_token"]]),
                sequence=scene_names[sample["scene_token"]],
                token=sample["token"],
            )
        )
    return frame_sets


def placed(row: Row) -> geometry.Array:
    """Return the (4, 4) transform of a row with a translation and a rotation."""
    return geometry.transform_from_quaternion(row["translation"], row["rotation"])
