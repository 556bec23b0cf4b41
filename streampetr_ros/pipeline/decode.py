"""Raw predictions to scored boxes (docs/model.md 8)."""

from __future__ import annotations

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
        At most `config.max_detections` detections in the model frame, gravity centres, best first.

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
    """Find the detections whose centre is not inside a better one of their class.

    A network that carries queries from frame to frame may report an object twice: by the query that
    knew it before and by one that finds it anew.

    Args:
        detections: best first.
        radius: centres nearer, seen from above, than so many widths of the better box are one
            object.

    Returns:
        (k,) indices of those that stay, best first.
    """
    centers = detections.boxes.centers[:, :2]
    reach = radius * detections.boxes.sizes[:, :2].min(axis=1)
    stays = np.zeros(len(detections), dtype=bool)
    # Class by class there are far fewer pairs.
    for label in np.unique(detections.labels):
        index = np.flatnonzero(detections.labels == label)
        stays[index] = _uncovered(centers[index], reach[index])
    return np.flatnonzero(stays)


def _uncovered(centers: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which of some (n, 2) centres, best first, are in reach of no better one that stays."""
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    covered = np.triu(distances < reach[:, None], 1)
    stays = np.ones(len(centers), dtype=bool)
    for row in np.flatnonzero(covered.any(axis=1)):
        if stays[row]:
            stays &= ~covered[row]
    return stays
