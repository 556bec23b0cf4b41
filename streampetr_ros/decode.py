"""Raw predictions to scored boxes (specification section 5)."""

from __future__ import annotations

import torch

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs
from streampetr_ros.types import Boxes, Detections


def decode(outputs: DetectorOutputs, config: DetectorConfig, stamp_ns: int) -> Detections:
    """Take the best (query, class) pairs; one query may appear with several classes.

    There is no score threshold and no suppression here: the published metrics are computed on
    exactly this list.

    Args:
        outputs: of one stream, logits (1, Q, G) and codes (1, Q, 10).
        config: of the detector.
        stamp_ns: reference time of the frame set.

    Returns:
        At most `config.max_detections` detections in the model frame, gravity centres, best first.

    Raises:
        ValueError: if the outputs hold more than one stream.
    """
    if outputs.logits.shape[0] != 1:
        raise ValueError(f"one stream at a time is decoded, got {outputs.logits.shape[0]}")
    scores = outputs.logits[0].float().sigmoid().flatten()
    best, index = scores.topk(min(config.max_detections, scores.numel()))
    code = outputs.codes[0].float()[index // config.num_classes]
    # Bounds count as inside, so they are compared in the precision of the predictions.
    low, high = torch.tensor(config.center_range, device=code.device).chunk(2)
    inside = ((code[:, :3] >= low) & (code[:, :3] <= high)).all(dim=1)
    code, best, index = code[inside].double().cpu(), best[inside].cpu(), index[inside].cpu()
    boxes = Boxes(
        centers=code[:, :3].numpy(),
        sizes=code[:, 3:6].exp().numpy(),
        yaws=torch.atan2(code[:, 6], code[:, 7]).numpy(),
        velocities=code[:, 8:10].numpy(),
    )
    return Detections(
        stamp_ns=stamp_ns,
        boxes=boxes,
        scores=best.double().numpy(),
        labels=(index % config.num_classes).numpy(),
        class_names=config.class_names,
        frame="model",
    )
