"""nuScenes as sequences of frame sets, read from the official tables by nuscenes-devkit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from streampetr_ros.core import geometry
from streampetr_ros.core.reading import read_json
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import Boxes, CameraCalibration, CameraFrame, FrameSet, Truth
from streampetr_ros.nuscenes.car import CAMERA_ORDER
from streampetr_ros.nuscenes.devkit import import_devkit
from streampetr_ros.nuscenes.tables import placed

# Middle of the visibility bins of the data set (0-40, 40-60, 60-80, 80-100 %).
_VISIBILITIES = {"1": 0.2, "2": 0.5, "3": 0.7, "4": 0.9}


def open_tables(root: str, version: str) -> Any:
    """Open the tables with the devkit.

    Raises:
        SourceError: if a table is missing or unreadable.
        UserError: if the devkit is not installed.
    """
    folder = Path(root) / version
    again = f"unpack the metadata of {version} in '{root}'"
    if not folder.is_dir():
        raise SourceError(f"there are no nuScenes tables in '{folder}'; {again}")
    devkit = import_devkit()
    try:
        return devkit.NuScenes(version=version, dataroot=root, verbose=False)
    except FileNotFoundError as error:
        raise SourceError(f"nuScenes table '{error.filename}' is missing; {again}") from error
    except (ValueError, KeyError) as error:
        raise SourceError(f"{_damaged(folder)} ({error}); {again} again") from error


def _damaged(folder: Path) -> str:
    """Say which table cannot be read; the devkit does not."""
    for path in folder.glob("*.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return f"nuScenes table '{path}' is damaged"
    return f"the nuScenes tables in '{folder}' do not fit together"


def _scene_names(split: str, folder: Path) -> set[str]:
    """Return the scenes of an official split, or of one in ``splits.json`` beside the tables."""
    from nuscenes.utils.splits import create_splits_scenes  # noqa: PLC0415

    splits = create_splits_scenes()
    own = folder / "splits.json"
    if own.exists():
        try:
            splits |= read_json(own, "splits")
        except (ValueError, TypeError) as error:
            raise SourceError(f"'{own}' is damaged ({error}); write it again") from error
    if split not in splits:
        raise SourceError(f"'{folder}' has no split '{split}'; known: {sorted(splits)}")
    return set(splits[split])


class NuscenesSource:
    """Annotated key frames of the scenes of a split.

    Args:
        root: data set folder.
        version: such as "v1.0-trainval".
        split: such as "train", or a name in ``splits.json``; "all" takes every scene of the tables.

    Attributes:
        split: as given.
    """

    def __init__(self, root: str, version: str, split: str) -> None:
        self.split = split
        self._tables = open_tables(root, version)
        self._root = Path(root)
        scenes = self._tables.scene
        if split != "all":
            wanted = _scene_names(split, self._root / version)
            scenes = [scene for scene in scenes if scene["name"] in wanted]
        if not scenes:
            raise SourceError(f"no scene of split '{split}' is in '{root}/{version}'")
        self._names = [scene["name"] for scene in scenes]
        self._tokens = [self._sample_tokens(scene) for scene in scenes]

    def _sample_tokens(self, scene: dict[str, Any]) -> list[str]:
        tokens, token = [], scene["first_sample_token"]
        while token:
            tokens.append(token)
            token = self._tables.get("sample", token)["next"]
        return tokens

    @property
    def tables(self) -> Any:
        """The devkit's `NuScenes`."""
        return self._tables

    def lengths(self) -> list[int]:
        """Return the number of key frames of every scene."""
        return [len(tokens) for tokens in self._tokens]

    def frame_set(self, sequence: int, frame: int) -> FrameSet:
        """Return one key frame; the fixed frame is the data set's global frame.

        Raises:
            SourceError: if an image is missing or half-downloaded.
        """
        token = self._tokens[sequence][frame]
        sample = self._tables.get("sample", token)
        lidar = self._tables.get("sample_data", sample["data"]["LIDAR_TOP"])
        fixed_from_base = placed(self._tables.get("ego_pose", lidar["ego_pose_token"]))
        mounting = self._tables.get("calibrated_sensor", lidar["calibrated_sensor_token"])
        return FrameSet(
            stamp_ns=int(lidar["timestamp"]) * 1000,
            cameras=tuple(self._camera(name, sample["data"][name]) for name in CAMERA_ORDER),
            fixed_from_base=fixed_from_base,
            base_from_model=placed(mounting),
            sequence=self._names[sequence],
            token=token,
            truth=self._truth(sample, geometry.inverse(fixed_from_base)),
        )

    def _camera(self, name: str, token: str) -> CameraFrame:
        data = self._tables.get("sample_data", token)
        sensor = self._tables.get("calibrated_sensor", data["calibrated_sensor_token"])
        calibration = CameraCalibration(
            name=name,
            width=data["width"],
            height=data["height"],
            intrinsic=np.array(sensor["camera_intrinsic"]),
            base_from_camera=placed(sensor),
        )
        return CameraFrame(
            calibration=calibration,
            stamp_ns=int(data["timestamp"]) * 1000,
            pixels=self._pixels(data["filename"]),
            fixed_from_base=placed(self._tables.get("ego_pose", data["ego_pose_token"])),
        )

    def _pixels(self, filename: str) -> NDArray[np.uint8]:
        path = self._root / filename
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise SourceError(
                f"cannot read image '{path}' ({error}); download the sample blobs again"
            ) from error

    def _truth(self, sample: dict[str, Any], base_from_fixed: geometry.Array) -> Truth:
        from nuscenes.eval.detection.utils import category_to_detection_name  # noqa: PLC0415

        rows = [self._tables.get("sample_annotation", token) for token in sample["anns"]]
        names = [category_to_detection_name(row["category_name"]) for row in rows]
        rows = [row for row, name in zip(rows, names, strict=True) if name]
        poses = [base_from_fixed @ placed(row) for row in rows]
        # Unknown velocities (objects seen once) count as standing, as in the published recipe.
        speeds = [np.nan_to_num(self._tables.box_velocity(row["token"])[:2]) for row in rows]
        velocities = np.array(speeds, dtype=np.float64).reshape(-1, 2)
        boxes = Boxes(
            centers=np.array([pose[:3, 3] for pose in poses]).reshape(-1, 3),
            sizes=np.array([row["size"] for row in rows]).reshape(-1, 3)[:, [1, 0, 2]],
            yaws=np.array([np.arctan2(pose[1, 0], pose[0, 0]) for pose in poses]),
            velocities=geometry.rotate_planar(base_from_fixed, velocities),
        )
        instances = [self._tables.getind("instance", row["instance_token"]) for row in rows]
        return Truth(
            boxes=boxes,
            class_names=tuple(name for name in names if name),
            instance_ids=np.array(instances, dtype=np.int64),
            visibilities=np.array([_visibility(row) for row in rows], dtype=np.float64),
        )


def _visibility(row: dict[str, Any]) -> float:
    """Objects without a single LiDAR or radar point count as hidden."""
    if row["num_lidar_pts"] + row["num_radar_pts"] == 0:
        return 0.0
    return _VISIBILITIES.get(row["visibility_token"], 0.9)
