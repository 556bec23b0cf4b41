"""The object memory: brought to the present at the start of a step, refilled at its end."""

from __future__ import annotations

import torch
from torch import Tensor

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs


def empty_memory(config: DetectorConfig, batch: int, device: torch.device) -> MemoryState:
    """Return the all-zero memory of `batch` streams before any frame."""
    shape = (batch, config.memory_length)
    return MemoryState(
        embedding=torch.zeros(*shape, config.embed_dims, device=device),
        center=torch.zeros(*shape, 3, device=device),
        age=torch.zeros(*shape, 1, device=device),
        last_from_own=torch.zeros(*shape, 4, 4, device=device),
        velocity=torch.zeros(*shape, 2, device=device),
    )


def align(memory: MemoryState, inputs: ModelInputs, start_centers: Tensor) -> MemoryState:
    """Bring the memory to the present, or to the state a drive starts from (docs/model.md 6.2).

    A starting memory holds the pseudo points with identity poses in its first slots; the other
    slots are all zero, pose matrix included, and take part in attention like any other
    (docs/model.md 6.3).

    Args:
        memory: state after the previous step.
        inputs: motion since then, and which streams continue.
        start_centers: (P, 3) pseudo points, metres.

    Returns:
        The memory as the decoder sees it: `last_from_own` leads to the present model frame.
    """
    length = memory.center.shape[1]
    free = length - start_centers.shape[0]
    motion = inputs.now_from_previous[:, None]
    moved = (motion[..., :3, :3] @ memory.center[..., None]).squeeze(-1) + motion[..., :3, 3]
    start = torch.cat([start_centers, start_centers.new_zeros(free, 3)])
    identity = torch.eye(4, dtype=moved.dtype, device=moved.device)
    start_poses = torch.cat(
        [
            identity.expand(length - free, 4, 4),
            torch.zeros(free, 4, 4, dtype=moved.dtype, device=moved.device),
        ]
    )
    keep = (inputs.continues > 0.5)[:, None, None]
    zero = moved.new_zeros(())
    return MemoryState(
        embedding=torch.where(keep, memory.embedding, zero),
        center=torch.where(keep, moved, start),
        age=torch.where(keep, memory.age + inputs.elapsed[:, None, None], zero),
        last_from_own=torch.where(keep[..., None], motion @ memory.last_from_own, start_poses),
        velocity=torch.where(keep, memory.velocity, zero),
    )


def push(
    memory: MemoryState, embedding: Tensor, outputs: DetectorOutputs, proposals: int
) -> MemoryState:
    """Put the best queries in front of the memory and drop its oldest entries (docs/model.md 6.4).

    Selection is by the best class score alone: no threshold, no suppression.

    Args:
        memory: aligned to the present.
        embedding: (B, Q + P, C) decoder output of the last layer.
        outputs: predictions of the last layer.
        proposals: entries to store.

    Returns:
        Memory of unchanged length, detached from the graph.
    """
    length = memory.center.shape[1]
    scores = outputs.logits.amax(dim=-1)
    best = scores.topk(proposals, dim=1).indices[..., None]
    center, velocity = outputs.codes[..., 0:3], outputs.codes[..., 8:10]
    identity = torch.eye(4, dtype=center.dtype, device=center.device)
    poses = identity.expand(center.shape[0], proposals, 4, 4)
    newest = MemoryState(
        embedding=_rows(embedding, best),
        center=_rows(center, best),
        age=center.new_zeros(center.shape[0], proposals, 1),
        last_from_own=poses,
        velocity=_rows(velocity, best),
    )
    return MemoryState(
        *(
            torch.cat([new, old[:, : length - proposals]], dim=1).detach()
            for new, old in zip(newest, memory, strict=True)
        )
    )


def _rows(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index.expand(-1, -1, values.shape[-1]))
