"""Golden recordings: weights and images from documented formulas, recorded inputs and outputs."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from golden_weights import golden_weight

from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.model.state import MemoryState, ModelInputs

#: Folder of the recordings.
FOLDER = Path(
    os.environ.get(
        "STREAMPETR_GOLDEN",
        Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden",
    )
)

#: Published configuration to ours. RepDETR3D is another architecture and not part of this project.
MODELS = {
    "stream_petr_r50_flash_704_bs2_seq_428q_nui_24e": "stream_petr_r50_428q",
    "stream_petr_r50_flash_704_bs2_seq_428q_nui_60e": "stream_petr_r50_428q",
    "stream_petr_r50_flash_704_bs2_seq_24e": "stream_petr_r50_900q",
    "stream_petr_r50_flash_704_bs2_seq_90e": "stream_petr_r50_900q",
    "stream_petr_vov_flash_800_bs2_seq_24e": "stream_petr_v2_99_900q",
    "petrv1_r50_flash_704_24e": "petr_r50",
    "focal_petrv1_r50_flash_704_24e": "focal_petr_r50",
}


def image(seed: int, height: int, width: int) -> np.ndarray:
    """Draw one normalised image (3, H, W) float32: waves plus two scales of blocks."""
    generator = np.random.RandomState(seed)
    y = (np.arange(height) / height)[:, None]
    x = (np.arange(width) / width)[None, :]
    planes = np.zeros((3, height, width))
    for _ in range(6):
        fx, fy = generator.uniform(-6, 6, 2)
        amplitude = generator.uniform(0.2, 0.6, 3)
        phase = generator.uniform(0, 2 * np.pi, 3)
        for plane in range(3):
            wave = np.sin(2 * np.pi * (fx * x + fy * y) + phase[plane])
            planes[plane] += amplitude[plane] * wave
    for block, amplitude in ((64, 0.5), (16, 0.4)):
        rows, columns = -(-height // block), -(-width // block)
        coarse = amplitude * generator.standard_normal((3, rows, columns))
        fine = coarse.repeat(block, axis=1).repeat(block, axis=2)
        planes += fine[:, :height, :width]
    return planes.astype(np.float32)


@dataclass(frozen=True)
class Recording:
    """One golden file.

    Attributes:
        name: published configuration.
        arrays: content of the npz file.
        entries: state-dict entries.
    """

    name: str
    arrays: dict[str, np.ndarray]
    entries: list[dict]

    @property
    def config(self) -> DetectorConfig:
        return detector_config(MODELS[self.name])

    @property
    def frames(self) -> int:
        count = sum(re.fullmatch(r"f\d+\.cls", key) is not None for key in self.arrays)
        return min(count, int(os.environ.get("STREAMPETR_PARITY_FRAMES", count)))

    def get(self, frame: int, key: str) -> np.ndarray:
        return self.arrays[f"f{frame}.{key}"]

    def has(self, frame: int, key: str) -> bool:
        return f"f{frame}.{key}" in self.arrays

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {entry["key"]: torch.from_numpy(golden_weight(entry)) for entry in self.entries}

    def pose(self, frame: int) -> np.ndarray:
        """(4, 4) float64 global from model frame."""
        return self.get(frame, "ego_pose").astype(np.float64)

    def stamp(self, frame: int) -> float:
        return float(self.get(frame, "timestamp")[0])

    def images(self, frame: int) -> torch.Tensor:
        size = self.config.image
        seed = int(self.get(frame, "image_seed")[0])
        planes = [image(seed + camera, size.height, size.width) for camera in range(6)]
        return torch.from_numpy(np.stack(planes))[None]

    def inputs(self, frame: int, images: torch.Tensor) -> ModelInputs:
        """Prepare a frame the way the project does: relative, float64 first, then float32."""
        projection = self.get(frame, "lidar2img").astype(np.float64)
        intrinsics = self.get(frame, "intrinsics")
        continues = float(self.get(frame, "prev_exists")[0]) if frame else 0.0
        motion, elapsed = np.eye(4), 0.0
        if frame:
            motion = np.linalg.inv(self.pose(frame)) @ self.pose(frame - 1)
            elapsed = self.stamp(frame) - self.stamp(frame - 1)
        focal = np.abs(intrinsics[:, [0, 1], [0, 1]])
        return ModelInputs(
            images=images,
            model_from_image=_float32(np.linalg.inv(projection)),
            focal_lengths=_float32(focal),
            now_from_previous=_float32(motion),
            elapsed=torch.tensor([elapsed], dtype=torch.float32),
            continues=torch.tensor([continues]),
        )

    def memory(self, frame: int) -> MemoryState:
        """Return the recorded memory after a frame, relative to the model frame of that frame."""
        length = self.config.memory_length
        model_from_global = np.linalg.inv(self.pose(frame))
        points = self.get(frame, "mem_reference_point").astype(np.float64)
        poses = self.get(frame, "mem_egopose").astype(np.float64)
        state = MemoryState(
            embedding=_float32(self._embedding(frame)),
            center=_float32(points @ model_from_global[:3, :3].T + model_from_global[:3, 3]),
            age=_float32(self.get(frame, "mem_timestamp") + self.stamp(frame)),
            last_from_own=_float32(model_from_global @ poses),
            velocity=_float32(self.get(frame, "mem_velo")),
        )
        return MemoryState(*(value[:, :length] for value in state))

    def _embedding(self, frame: int) -> np.ndarray:
        """Rebuild the memory embedding from what entered it since the last start."""
        length = self.config.memory_length
        parts = [self.get(frame, "mem_new_embedding")]
        while frame > 0 and float(self.get(frame, "prev_exists")[0]) > 0.5:
            frame -= 1
            parts.append(self.get(frame, "mem_new_embedding"))
        stored = np.concatenate(parts)[:length]
        padding = np.zeros((max(length - len(stored), 0), stored.shape[1]), np.float32)
        return np.concatenate([stored, padding])


def _float32(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))[None]


def recording_names() -> list[str]:
    """Names of all golden files with recorded frames."""
    names = []
    for path in sorted(FOLDER.glob("*.npz")) if FOLDER.is_dir() else []:
        if path.with_suffix("").with_suffix(".keys.json").is_file():
            names.append(path.stem)
    return names


def load(name: str) -> Recording:
    """Read one golden file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    entries = json.loads((FOLDER / f"{name}.keys.json").read_text())["entries"]
    return Recording(name, arrays, entries)
