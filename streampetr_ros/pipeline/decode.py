"""Raw predictions to scored boxes (docs/model.md 8), and which query continues which.

A frame hands its best queries on: they are the first entries of the memory, and the first of those
join the learned queries of the next frame. Counting identities along that way needs nothing but the
logits, so it is the same for every backend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import Boxes, Detections
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs

#: Candidates looked at per detection wanted, where some of them will be suppressed.
_NMS_CANDIDATES = 3


def decode(
    outputs: DetectorOutputs,
    config: DetectorConfig,
    stamp_ns: int,
    query_ids: NDArray[np.int64] | None = None,
) -> Detections:
    """Take the best (query, class) pairs; one query may appear with several classes.

    There is no score threshold here and, with `config.nms_radius` 0, no suppression: published
    metrics are computed on exactly this list.

    Args:
        outputs: of one stream, logits (1, Q, G) and codes (1, Q, 10).
        config: of the detector: `max_detections`, `center_range`, `nms_radius`.
        stamp_ns: reference time of the frame set.
        query_ids: (Q,) identities of the queries, to be kept with what they found.

    Returns:
        At most `config.max_detections` detections in the model frame, gravity centers, best first.

    Raises:
        ValueError: if the outputs hold more than one stream.
    """
    if outputs.logits.shape[0] != 1:
        raise ValueError(f"one stream at a time is decoded, got {outputs.logits.shape[0]}")
    # Few numbers, and NumPy is done before PyTorch has given Python to other threads and back.
    logits, codes = (each[0].float().cpu().numpy() for each in outputs)
    wanted = config.max_detections * (_NMS_CANDIDATES if config.nms_radius else 1)
    index = _largest(logits.ravel(), wanted)
    code = codes[index // config.num_classes]
    # Bounds count as inside, so they are compared in the precision of the predictions.
    low, high = np.split(np.array(config.center_range, np.float32), 2)
    inside = ((code[:, :3] >= low) & (code[:, :3] <= high)).all(axis=1)
    code, index = code[inside].astype(np.float64), index[inside]
    queries = index // config.num_classes
    found = Detections(
        stamp_ns=stamp_ns,
        boxes=Boxes(
            centers=code[:, :3],
            sizes=np.exp(code[:, 3:6]),
            yaws=np.arctan2(code[:, 6], code[:, 7]),
            velocities=code[:, 8:10],
        ),
        scores=1.0 / (1.0 + np.exp(-logits.ravel()[index].astype(np.float64))),
        labels=index % config.num_classes,
        class_names=config.class_names,
        frame="model",
        query_ids=None if query_ids is None else query_ids[queries],
    )
    if not config.nms_radius:
        return found
    return found.selected(circle_nms(found, config.nms_radius)[: config.max_detections])


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the indices of the largest values, at most `count`, the largest first."""
    if count < len(values):
        index = np.argpartition(values, len(values) - count)[-count:]
    else:
        index = np.arange(len(values))
    return index[np.argsort(-values[index], kind="stable")]


def circle_nms(detections: Detections, radius: float) -> NDArray[np.int64]:
    """Find the detections whose center is not inside a better one of their class.

    A network that carries queries from frame to frame may report an object twice: by the query that
    knew it before and by one that finds it anew.

    Args:
        detections: best first.
        radius: centers nearer, seen from above, than so many widths of the better box are one
            object.

    Returns:
        (k,) indices of those that stay, best first.
    """
    centers = detections.boxes.centers[:, :2]
    reach = radius * detections.boxes.sizes[:, :2].min(axis=1)
    stays = np.ones(len(detections), dtype=bool)
    # Class by class there are far fewer pairs.
    for label in np.unique(detections.labels):
        index = np.flatnonzero(detections.labels == label)
        distances = np.linalg.norm(centers[index][:, None] - centers[index], axis=-1)
        covered = np.triu(distances < reach[index][:, None], 1)
        for row in np.flatnonzero(covered.any(axis=1)):
            if stays[index[row]]:
                stays[index[covered[row]]] = False
    return np.flatnonzero(stays)


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
