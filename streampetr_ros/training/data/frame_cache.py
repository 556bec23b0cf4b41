"""Sequences of frame sets on disk, so that rendering or decoding is paid once.

One sequence is a pair of files: ``NAME.npy`` with all pixels (memory-mapped on reading) and
``NAME.npz`` with geometry and truth. Both are written under a temporary name and renamed; the
``.npz`` comes last and marks a complete pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streampetr_ros.core.files import replacing
from streampetr_ros.core.types import Boxes, CameraCalibration, CameraFrame, FrameSet, Truth

_BOX_PARTS = ("centers", "sizes", "yaws", "velocities")


def is_cached(folder: Path, name: str) -> bool:
    """Tell whether a complete sequence of that name lies in the folder."""
    return (folder / f"{name}.npz").exists()


def write_sequence(folder: Path, name: str, frame_sets: Sequence[FrameSet]) -> None:
    """Write a sequence whose frame sets have truth, the same cameras and image sizes.

    Raises:
        OSError: if the disk is full; nothing half-written stays under the final name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [frame.cameras for frame in frame_sets]
    pixels = np.stack([[camera.pixels for camera in row] for row in rows])
    with replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, pixels)
    lenses = [[camera.calibration for camera in row] for row in rows]
    arrays = {
        "stamps_ns": np.array([frame.stamp_ns for frame in frame_sets]),
        "fixed_from_base": np.stack([frame.fixed_from_base for frame in frame_sets]),
        "base_from_model": np.stack([frame.base_from_model for frame in frame_sets]),
        "sequence": np.array(frame_sets[0].sequence),
        "tokens": np.array([frame.token for frame in frame_sets]),
        "camera_names": np.array([lens.name for lens in lenses[0]]),
        "camera_stamps_ns": np.array([[camera.stamp_ns for camera in row] for row in rows]),
        "camera_fixed_from_base": np.array([[c.fixed_from_base for c in row] for row in rows]),
        "intrinsics": np.array([[lens.intrinsic for lens in row] for row in lenses]),
        "base_from_camera": np.array([[lens.base_from_camera for lens in row] for row in lenses]),
    }
    truths = [frame.truth for frame in frame_sets if frame.truth is not None]
    names = [name for truth in truths for name in truth.class_names]
    arrays |= {
        "counts": np.array([len(truth.boxes) for truth in truths]),
        "class_names": np.array(names, dtype=np.str_),
        "instance_ids": np.concatenate([truth.instance_ids for truth in truths]),
        "visibilities": np.concatenate([truth.visibilities for truth in truths]),
    }
    for part in _BOX_PARTS:
        arrays[part] = np.concatenate([getattr(truth.boxes, part) for truth in truths])
    with replacing(folder / f"{name}.npz") as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


class CachedSequence:
    """A sequence read back frame by frame; pixels stay on disk until asked for.

    Args:
        folder: where it was written.
        name: of the sequence.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._pixels = np.load(folder / f"{name}.npy", mmap_mode="r")
        with np.load(folder / f"{name}.npz") as stored:
            self._arrays = dict(stored)
        self._ends = np.cumsum(self._arrays["counts"])

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> FrameSet:
        arrays = self._arrays
        return FrameSet(
            stamp_ns=int(arrays["stamps_ns"][index]),
            cameras=tuple(self._camera(index, i) for i in range(self._pixels.shape[1])),
            fixed_from_base=arrays["fixed_from_base"][index],
            base_from_model=arrays["base_from_model"][index],
            sequence=str(arrays["sequence"]),
            token=str(arrays["tokens"][index]),
            truth=self._truth(index),
        )

    def _camera(self, index: int, camera: int) -> CameraFrame:
        pixels = np.asarray(self._pixels[index, camera])
        calibration = CameraCalibration(
            name=str(self._arrays["camera_names"][camera]),
            width=pixels.shape[1],
            height=pixels.shape[0],
            intrinsic=self._arrays["intrinsics"][index, camera],
            base_from_camera=self._arrays["base_from_camera"][index, camera],
        )
        return CameraFrame(
            calibration=calibration,
            stamp_ns=int(self._arrays["camera_stamps_ns"][index, camera]),
            pixels=pixels,
            fixed_from_base=self._arrays["camera_fixed_from_base"][index, camera],
        )

    def _truth(self, index: int) -> Truth:
        end = int(self._ends[index])
        rows = slice(end - int(self._arrays["counts"][index]), end)
        return Truth(
            boxes=Boxes(**{part: self._arrays[part][rows] for part in _BOX_PARTS}),
            class_names=tuple(str(name) for name in self._arrays["class_names"][rows]),
            instance_ids=self._arrays["instance_ids"][rows],
            visibilities=self._arrays["visibilities"][rows],
        )
