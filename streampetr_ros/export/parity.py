"""Compares an exported model with the detector it came from, over a drive with a reset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.backends.base import Backend
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

FRAMES = 9
_RESET_FRAME = 5
#: Largest accepted differences by precision: in float32 from the spread between correct runs; in
#: half precision room for weights that react strongly, while a wrong graph is off by far more.
LIMITS = {
    "fp32": {"logits": 2e-3, "centers_m": 0.03, "other_codes": 2e-3, "memory": 0.03},
    "fp16": {"logits": 0.1, "centers_m": 0.5, "other_codes": 0.1, "memory": 0.03},
}


def compare_backends(
    reference: Backend, subject: Backend, cameras: int = 6, precision: str = "fp32"
) -> dict[str, float]:
    """Run both over the same random drive, each step from the memory of the reference.

    Where two scores are nearly equal the two may rightly store different rows, so newly stored
    rows are checked against the subject's own predictions, and the others entry by entry.

    Args:
        reference: usually PyTorch.
        subject: runs the exported model.
        cameras: number of cameras.
        precision: of the subject.

    Returns:
        Largest absolute difference of logits, centers (m), other code entries and memory.

    Raises:
        UserError: if a difference exceeds `LIMITS`.
    """
    limits = LIMITS[precision]
    worst = largest_differences(reference, subject, random_drive(reference.config, cameras))
    exceeded = {key: value for key, value in worst.items() if not value <= limits[key]}
    if exceeded:
        raise UserError(
            f"the exported model differs from PyTorch by {exceeded}, allowed are {limits}; "
            "do not use it, and report the model and the versions of torch and the runtime"
        )
    return worst


def largest_differences(
    reference: Backend, subject: Backend, drive: Iterable[ModelInputs]
) -> dict[str, float]:
    """Run both over the same drive, each step from the memory of the reference.

    Returns:
        Largest absolute difference of logits, centers (m), other code entries and memory.
    """
    worst = {"logits": 0.0, "centers_m": 0.0, "other_codes": 0.0, "memory": 0.0}
    memory = None
    for inputs in drive:
        outputs, stored = _on_cpu(*subject.run(inputs, _moved(memory, subject.image_device)))
        reference_outputs, memory = reference.run(inputs, memory)
        expected, wanted = _on_cpu(reference_outputs, memory)
        codes = (outputs.codes - expected.codes).abs()
        seen = {
            "logits": float((outputs.logits - expected.logits).abs().max()),
            "centers_m": float(codes[..., :3].max()),
            "other_codes": float(codes[..., 3:].max()),
            "memory": float(_memory_difference(reference.config, outputs, stored, wanted)),
        }
        # Not the built-in max, which loses numbers that are none.
        worst = {key: float(np.maximum(worst[key], seen[key])) for key in worst}
    return worst


def _moved(memory: MemoryState | None, device: torch.device) -> MemoryState | None:
    return None if memory is None else MemoryState(*(item.to(device) for item in memory))


def _on_cpu(
    outputs: DetectorOutputs, memory: MemoryState | None
) -> tuple[DetectorOutputs, MemoryState | None]:
    """Return results where they can be compared; backends leave them on different devices."""
    return DetectorOutputs(*(item.cpu() for item in outputs)), _moved(memory, torch.device("cpu"))


def _memory_difference(
    config: DetectorConfig,
    outputs: DetectorOutputs,
    stored: MemoryState | None,
    expected: MemoryState | None,
) -> Tensor:
    """Return how far old rows are from the reference, and new rows from the best predictions."""
    if stored is None or expected is None:
        return torch.zeros(())
    count = config.num_proposals
    kept = [
        (ours[:, count:] - theirs[:, count:]).abs().max()
        for ours, theirs in zip(stored, expected, strict=True)
    ]
    best = outputs.logits.amax(dim=-1).topk(count, dim=1).indices
    centers = outputs.codes[..., :3].gather(1, best[..., None].expand(-1, -1, 3))
    distances = (stored.center[:, :count, None] - centers[:, None]).norm(dim=-1)
    fresh = distances.amin(dim=-1).max()
    return torch.stack([*kept, fresh]).max()


def random_drive(config: DetectorConfig, cameras: int) -> Iterator[ModelInputs]:
    """Yield noise images with plausible calibration and motion, always the same ones."""
    generator = torch.Generator().manual_seed(7)
    image = config.image
    image_from_model = torch.eye(4, dtype=torch.float64).repeat(1, cameras, 1, 1)
    image_from_model[..., 0, 0] = image_from_model[..., 1, 1] = 0.8 * image.width
    image_from_model[..., :2, 2] = torch.tensor([image.width / 2, image.height / 2]).double()
    motion = torch.eye(4)[None].clone()
    motion[0, 1, 3] = -4.0
    for frame in range(FRAMES):
        turned = image_from_model @ _turns(cameras, 0.01 * frame)
        yield ModelInputs(
            images=torch.randn(1, cameras, 3, image.height, image.width, generator=generator),
            model_from_image=torch.linalg.inv(turned).float(),
            focal_lengths=torch.full((1, cameras, 2), 0.8 * image.width),
            now_from_previous=motion,
            elapsed=torch.tensor([0.5]),
            continues=torch.tensor([float(frame not in (0, _RESET_FRAME))]),
        )


def _turns(cameras: int, offset: float) -> Tensor:
    """Return (N, 4, 4) optical-from-model rotations of cameras looking all around."""
    yaw = torch.arange(cameras, dtype=torch.float64) * (2 * torch.pi / cameras) + offset
    transform = torch.zeros(cameras, 4, 4, dtype=torch.float64)
    transform[:, 0, 0], transform[:, 0, 1] = yaw.cos(), yaw.sin()
    transform[:, 1, 2] = -1.0
    transform[:, 2, 0], transform[:, 2, 1] = -yaw.sin(), yaw.cos()
    transform[:, 3, 3] = 1.0
    return transform
