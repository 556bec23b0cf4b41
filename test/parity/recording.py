"""Golden recordings: weights and images from documented formulas, recorded inputs and outputs."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import golden_state

from streampetr_ros.model.checkpoints.published import convert
from streampetr_ros.model.config import MODEL_NAMES, DetectorConfig, detector_config
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.state import MemoryState, ModelInputs

#: Folder of the recordings.
FOLDER = Path(
    os.environ.get(
        "STREAMPETR_GOLDEN",
        Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden",
    )
)

_BACKBONES = {"ResNet": "resnet50", "VoVNetCP": "vovnet99"}


def _numbers(config: DetectorConfig) -> dict[str, object]:
    """Name the numbers of our configuration as the recordings name theirs."""
    memory = (config.memory_length, config.num_proposals, config.num_propagated)
    length, proposals, propagated = memory if config.temporal else (None, None, None)
    return {
        "streaming": config.temporal,
        "num_query": config.num_queries,
        "memory_len": length,
        "topk_proposals": proposals,
        "num_propagated": propagated,
        "embed_dims": config.embed_dims,
        "pc_range": list(config.detection_range),
        "position_range": list(config.position_range),
        "post_center_range": list(config.center_range),
        "max_num": config.max_detections,
        "depth_num": config.depth_bins,
        "depth_start": config.depth_start,
        "classes": list(config.class_names),
        "final_hw": [config.image.height, config.image.width],
        "mean": list(config.image.mean),
        "std": list(config.image.std),
        "to_rgb": config.image.channel_order == "rgb",
        "layers": config.num_layers,
        "heads": config.num_heads,
        "ffn_hidden": config.ffn_dims,
        "backbone": config.backbone,
        "neck": "CPFPN",
    }


def model_name(facts: dict) -> str | None:
    """Return the name of our configuration with all the recorded numbers, or None.

    RepDETR3D is another architecture and matches none.
    """
    flat = {**facts, **facts["image"], **facts["decoder"]}
    flat["backbone"] = _BACKBONES.get(facts["backbone"]["type"])
    flat["neck"] = facts["neck"]["type"]
    for name in MODEL_NAMES:
        numbers = _numbers(detector_config(name))
        focal = name.startswith("focal") == facts["config"].startswith("focal")
        if focal and all(flat.get(key, "none") == value for key, value in numbers.items()):
            return name
    return None


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
        config: ours of the same numbers.
        arrays: content of the npz file.
    """

    name: str
    config: DetectorConfig
    arrays: dict[str, np.ndarray]

    @property
    def frames(self) -> int:
        count = sum(re.fullmatch(r"f\d+\.cls", key) is not None for key in self.arrays)
        return min(count, int(os.environ.get("STREAMPETR_PARITY_FRAMES", count)))

    def get(self, frame: int, key: str) -> np.ndarray:
        return self.arrays[f"f{frame}.{key}"]

    def has(self, frame: int, key: str) -> bool:
        return f"f{frame}.{key}" in self.arrays

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


def published_names() -> list[str]:
    """Names of all configurations whose keys and numbers were recorded."""
    return sorted(path.name.removesuffix(".keys.json") for path in FOLDER.glob("*.keys.json"))


def recording_names() -> list[str]:
    """Names of all configurations with recorded frames."""
    return [name for name in published_names() if (FOLDER / f"{name}.npz").is_file()]


def known_model(name: str) -> str:
    """Return our configuration for a published one; skip the test if it is out of scope."""
    model = model_name(json.loads((FOLDER / f"{name}.facts.json").read_text()))
    if model is None:
        pytest.skip(f"{name} is another architecture than this project implements")
    return model


def published_detector(name: str, folder: Path) -> Detector:
    """Write a checkpoint file as the original project would, and convert it."""
    path = folder / f"{name}.pth"
    torch.save(
        {"meta": {"iter": 1}, "state_dict": golden_state(FOLDER / f"{name}.keys.json")}, path
    )
    try:
        return convert(path, known_model(name))
    finally:
        path.unlink()


def load(name: str) -> Recording:
    """Read one golden file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return Recording(name, detector_config(known_model(name)), arrays)
