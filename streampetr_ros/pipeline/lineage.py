"""Which query continues which query of the frame before, told from outside the network.

A frame hands its best queries on: they are the first entries of the memory, and the first of those
join the learned queries of the next frame. Counting identities along that way needs nothing but the
logits, so it is the same for every backend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lineage:
    """Identities of what a memory holds.

    Attributes:
        entries: (M,) identity of each entry, newest first; 0 where there is none.
        next_id: smallest identity not used yet.
    """

    entries: NDArray[np.int64]
    next_id: int


def no_lineage(config: DetectorConfig, next_id: int = 1) -> Lineage:
    """Return the lineage of an empty memory."""
    return Lineage(entries=np.zeros(config.memory_length, dtype=np.int64), next_id=next_id)


def continue_lineage(
    before: Lineage, outputs: DetectorOutputs, config: DetectorConfig
) -> tuple[NDArray[np.int64], Lineage]:
    """Name the queries of a frame and what its memory holds.

    Args:
        before: of the memory that the frame was given.
        outputs: of the frame, one stream, logits (1, Q + P, G).
        config: of the detector, one with a memory.

    Returns:
        (Q + P,) identity of every query, and the lineage of the memory after the frame.
    """
    handed_on = before.entries[: config.num_propagated]
    ids = np.zeros(outputs.logits.shape[1], dtype=np.int64)
    ids[config.num_queries :] = handed_on
    new = ids == 0
    ids[new] = before.next_id + np.arange(np.count_nonzero(new))
    next_id = before.next_id + int(np.count_nonzero(new))
    # The same choice as that of the memory itself (docs/model.md 6.4).
    best = outputs.logits[0].amax(dim=-1).topk(config.num_proposals).indices.cpu().numpy()
    entries = np.concatenate([ids[best], before.entries])[: config.memory_length]
    return ids, Lineage(entries=entries, next_id=next_id)
