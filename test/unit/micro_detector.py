"""A detector small enough for property tests, and inputs for it."""

from dataclasses import replace

import torch

from streampetr_ros.model.config import DetectorConfig, ImageConfig, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.model.state import ModelInputs

#: What makes a detector small.
SIZES = {
    "embed_dims": 32,
    "num_heads": 2,
    "num_layers": 2,
    "ffn_dims": 64,
    "num_queries": 12,
    "num_propagated": 4,
    "num_proposals": 4,
    "memory_length": 16,
    "depth_bins": 32,
    "max_detections": 20,
}


def config(**changes) -> DetectorConfig:
    small = replace(
        detector_config("tiny"), name="micro", image=ImageConfig(height=32, width=64), **SIZES
    )
    return replace(small, **changes)


def detector(seed: int = 0, **changes) -> Detector:
    return listening(config(**changes), seed)


def listening(wanted: DetectorConfig, seed: int = 0) -> Detector:
    """Build a detector whose motion norms listen; fresh ones ignore their code."""
    torch.manual_seed(seed)
    built = build_detector(wanted).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if ".motion_" in name or "spatial_alignment" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built


def inputs(seed: int, batch: int = 1, cameras: int = 6, size=(32, 64)) -> ModelInputs:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    projection = torch.eye(4) + 0.02 * normal(batch, cameras, 4, 4)
    motion = torch.eye(4).repeat(batch, 1, 1)
    motion[:, :2, 3] = normal(batch, 2)
    return ModelInputs(
        images=normal(batch, cameras, 3, *size),
        model_from_image=projection,
        focal_lengths=300 + 50 * normal(batch, cameras, 2),
        now_from_previous=motion,
        elapsed=torch.full((batch,), 0.5),
        continues=torch.ones(batch),
    )
