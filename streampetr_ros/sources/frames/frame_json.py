"""One ``frame.json`` entry to a frame set: checked, moved to the reference time, base frame.

Vehicle poses are taken as a transform tree would hold them: one per stamp. Where a recording gives
several poses for one stamp (as rigs with a common trigger do) their mean is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transforms3d.quaternions import mat2quat

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.reading import DESCRIPTION, read_bytes
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import Boxes, CameraCalibration, CameraFrame, FrameSet, Truth
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import ImageError
from streampetr_ros.model.config import NUSCENES_CLASSES
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR


@dataclass(frozen=True, slots=True)
class Entry:
    """A JSON object that knows where it stands, for messages.

    Attributes:
        content: the object.
        where: file and path of keys.
    """

    content: Mapping[str, Any]
    where: str

    def value(self, key: str) -> Any:
        """Return a required value."""
        if not isinstance(self.content, Mapping) or key not in self.content:
            raise SourceError(f"{self.where} has no '{key}'; the recording is incomplete")
        return self.content[key]

    def text(self, key: str, default: str) -> str:
        """Return an optional text."""
        return str(self.content.get(key, default))

    def entry(self, key: str) -> Entry:
        """Return a required object."""
        return Entry(self.value(key), f"{self.where}: {key}")

    def entries(self, key: str) -> list[Entry]:
        """Return the objects of a required list."""
        items = self.value(key)
        if not isinstance(items, list):
            raise SourceError(f"{self.where}: '{key}' must be a list")
        return [Entry(item, f"{self.where}: {key}[{i}]") for i, item in enumerate(items)]

    def members(self, key: str) -> Iterator[tuple[str, Entry]]:
        """Yield the named objects of a required object."""
        objects = self.entry(key)
        for name in objects.content:
            yield name, objects.entry(name)

    def numbers(self, key: str, *shape: int) -> Array:
        """Return a required array of finite numbers."""
        value = self.value(key)
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != shape or not np.isfinite(array).all():
            size = "x".join(map(str, shape)) or "one"
            raise SourceError(f"{self.where}: '{key}' must hold {size} numbers, got {value!r}")
        return array

    def stamp_ns(self) -> int:
        """Return the entry's ``timestamp_us`` in nanoseconds."""
        value = self.value("timestamp_us")
        if not isinstance(value, int):
            raise SourceError(f"{self.where}: 'timestamp_us' must be an integer, got {value!r}")
        return value * 1000

    def pose(self, key: str) -> Array:
        """Return a required translation and rotation as a (4, 4) transform."""
        parts = self.entry(key)
        translation, quaternion = parts.numbers("translation", 3), parts.numbers("rotation_wxyz", 4)
        try:
            return geometry.transform_from_quaternion(translation, quaternion)
        except ValueError as error:
            raise SourceError(f"{parts.where}: {error}") from error


def parse_frame(entry: Entry, sequence: str, folder: Path | None) -> FrameSet:
    """Build a frame set.

    Args:
        entry: content of a frame.json, or one frame of a sequence file.
        sequence: name of the drive.
        folder: where the image files lie; None fills in black images.

    Raises:
        SourceError: if a value or an image is missing or broken.
    """
    cameras = dict(entry.members("cameras"))
    if not cameras:
        raise SourceError(f"{entry.where}: 'cameras' is empty; the recording is incomplete")
    fixed_from_base = vehicle_poses(entry)
    # A node knows the newest image, not the LiDAR; using the same time makes offline equal online.
    stamp_ns = max(camera.stamp_ns() for camera in cameras.values())
    base_from_lidar = entry.entry("lidar").pose("lidar2ego")
    return FrameSet(
        stamp_ns=stamp_ns,
        cameras=tuple(
            _camera_frame(name, camera, fixed_from_base, folder) for name, camera in cameras.items()
        ),
        fixed_from_base=fixed_from_base[stamp_ns],
        base_from_model=base_from_model(base_from_lidar),
        sequence=sequence,
        token=entry.text("sample_token", ""),
        truth=_truth(entry, stamp_ns, fixed_from_base) if "boxes" in entry.content else None,
    )


def vehicle_poses(entry: Entry) -> dict[int, Array]:
    """Collect the vehicle poses of a frame by stamp.

    Returns:
        Stamp in nanoseconds to (4, 4) ``fixed_from_base``; includes the LiDAR's stamp.
    """
    seen: defaultdict[int, list[Array]] = defaultdict(list)
    for _, camera in entry.members("cameras"):
        seen[camera.stamp_ns()].append(camera.pose("ego2global"))
    lidar = entry.entry("lidar")
    if lidar.stamp_ns() not in seen:
        seen[lidar.stamp_ns()].append(lidar.pose("ego2global"))
    return {stamp_ns: _mean_pose(poses) for stamp_ns, poses in seen.items()}


def base_from_model(base_from_lidar: Array) -> Array:
    """Choose the model frame: the LiDAR frame where its y axis points ahead, as in nuScenes."""
    ahead = base_from_lidar[:3, 1]
    return base_from_lidar if ahead[0] > 0.9 else BASE_FROM_NUSCENES_LIDAR


def _mean_pose(poses: list[Array]) -> Array:
    """Average poses that differ by centimetres and fractions of a degree."""
    if len(poses) == 1:
        return poses[0]
    quaternions = np.stack([mat2quat(pose[:3, :3]) for pose in poses])
    quaternions *= np.sign(quaternions @ quaternions[0])[:, None]
    translation = np.mean([pose[:3, 3] for pose in poses], axis=0)
    return geometry.transform_from_quaternion(translation, quaternions.mean(axis=0))


def _camera_frame(
    name: str, camera: Entry, fixed_from_base: Mapping[int, Array], folder: Path | None
) -> CameraFrame:
    width, height = (int(camera.numbers(key)) for key in ("width", "height"))
    if folder is None:
        pixels = np.broadcast_to(np.uint8(0), (height, width, 3))
    else:
        pixels = _pixels(folder, camera)
    return CameraFrame(
        calibration=CameraCalibration(
            name=name,
            width=width,
            height=height,
            intrinsic=camera.numbers("intrinsic", 3, 3),
            base_from_camera=camera.pose("sensor2ego"),
        ),
        stamp_ns=camera.stamp_ns(),
        pixels=pixels,
        fixed_from_base=fixed_from_base[camera.stamp_ns()],
    )


def _truth(entry: Entry, stamp_ns: int, fixed_from_base: Mapping[int, Array]) -> Truth:
    """Move the annotated objects from the LiDAR's time and frame to the set's."""
    lidar = entry.entry("lidar")
    boxes = [box for box in entry.entries("boxes") if _is_object(box)]
    elapsed = (stamp_ns - lidar.stamp_ns()) * 1e-9
    base_then_from_lidar = fixed_from_base[lidar.stamp_ns()] @ lidar.pose("lidar2ego")
    base_from_lidar = geometry.inverse(fixed_from_base[stamp_ns]) @ base_then_from_lidar
    velocities = np.array([_velocity(box) for box in boxes]).reshape(-1, 2)
    centers = np.array([box.numbers("center", 3) for box in boxes]).reshape(-1, 3)
    centers[:, :2] += np.nan_to_num(velocities) * elapsed
    lidar_boxes = Boxes(
        centers=centers,
        sizes=np.array([box.numbers("size_lwh", 3) for box in boxes]).reshape(-1, 3),
        yaws=np.array([box.numbers("yaw") for box in boxes]).reshape(-1),
        velocities=velocities,
    )
    ids = [box.content.get("instance_id", box.content.get("track", -1)) for box in boxes]
    return Truth(
        boxes=lidar_boxes.transformed(base_from_lidar),
        class_names=tuple(str(box.value("cls")) for box in boxes),
        instance_ids=np.array([int(each) for each in ids], dtype=np.int64),
        visibilities=np.full(len(boxes), np.nan),
    )


def _is_object(box: Entry) -> bool:
    return box.value("cls") in NUSCENES_CLASSES and bool(box.content.get("valid", True))


def _velocity(box: Entry) -> Array:
    if box.content.get("velocity") is None:
        return np.full(2, np.nan)
    return box.numbers("velocity", 2)


def _pixels(folder: Path, camera: Entry) -> NDArray[np.uint8]:
    """Read the image that an entry names, decoded as the node decodes compressed topics."""
    name = Path(str(camera.value("file")))
    if name.is_absolute() or ".." in name.parts:
        raise SourceError(
            f"{camera.where} names the image '{name}' outside of its folder; put the images beside "
            "the frame.json"
        )
    path = folder / name
    try:
        return decode_compressed(read_bytes(path, "image", DESCRIPTION))
    except ImageError as error:
        raise SourceError(f"image '{path}' is broken: {error}") from error
