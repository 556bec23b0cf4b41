"""The detector cut into three graphs with explicit state (docs/model.md 10.1).

Images go through the *encoder*; calibration and ego motion through the *position* graph, which
need not run while projections stay the same; queries and memory through the *head*. Poses are
relative and prepared in float64 outside; only the last layer's predictions are computed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.head import CODE_SIZE
from streampetr_ros.model.memory import empty_memory
from streampetr_ros.model.position import STRIDE, TokenPosition
from streampetr_ros.model.state import MemoryState, ModelInputs

MEMORY_NAMES = MemoryState._fields


class GraphSignature(NamedTuple):
    """Names of a graph's tensors, in order.

    Attributes:
        inputs: names of the inputs.
        outputs: names of the outputs.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_POSITION_OUTPUTS = TokenPosition._fields
_STEP_INPUTS = ("now_from_previous", "elapsed", "continues", "camera_present")

#: Tensors of the three graphs; memory comes back under its name with the prefix ``next_``.
SIGNATURES = {
    "encoder": GraphSignature(("images",), ("features",)),
    "position": GraphSignature(("model_from_image", "focal_lengths"), _POSITION_OUTPUTS),
    "head": GraphSignature(
        ("features", *_POSITION_OUTPUTS, *_STEP_INPUTS, *MEMORY_NAMES),
        ("logits", "codes", *(f"next_{name}" for name in MEMORY_NAMES)),
    ),
}


def signatures(config: DetectorConfig) -> dict[str, GraphSignature]:
    """Return the tensors of a model's graphs; single-frame models have no state."""
    if config.temporal:
        return SIGNATURES
    inputs = ("features", *_POSITION_OUTPUTS, "camera_present")
    return {**SIGNATURES, "head": GraphSignature(inputs, ("logits", "codes"))}


class EncoderGraph(nn.Module):
    """Backbone and neck."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """(1, N, 3, H, W) to (1, N, C, h, w)."""
        return self.detector.encode_images(images)


class PositionGraph(nn.Module):
    """Position code and cone of the image tokens."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.position = detector.position

    def forward(self, model_from_image: Tensor, focal_lengths: Tensor) -> TokenPosition:
        """See `RayPosition.forward`."""
        position: TokenPosition = self.position(model_from_image, focal_lengths)
        return position


class HeadGraph(nn.Module):
    """Memory alignment, decoder, predictions and memory update."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(
        self, features: Tensor, code: Tensor, cone: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """Run the head on tensors in the order of its signature."""
        if self.detector.config.temporal:
            motion, memory = rest[:4], MemoryState(*rest[4:])
        else:
            # The head looks at the motion only to align a memory.
            motion, memory = (features, features, features, rest[0]), None
        inputs = ModelInputs(features, features, features, *motion)
        outputs, memory = self.detector.predict(features, TokenPosition(code, cone), inputs, memory)
        return (*outputs[-1], *(memory or ()))


def graph_modules(detector: Detector) -> dict[str, nn.Module]:
    """Return the three graphs by name."""
    return {
        "encoder": EncoderGraph(detector),
        "position": PositionGraph(detector),
        "head": HeadGraph(detector),
    }


def example_tensors(config: DetectorConfig, cameras: int) -> dict[str, Tensor]:
    """Return one tensor of every name, with the shapes the graphs are exported for.

    Of the memory they are those that go in; those that come out have the same shapes.

    Args:
        config: of the detector.
        cameras: number N of cameras.
    """
    image, channels = config.image, config.embed_dims
    height, width = image.height // STRIDE, image.width // STRIDE
    tokens, queries = cameras * height * width, config.total_queries
    tensors = {
        "images": torch.zeros(1, cameras, 3, image.height, image.width),
        "model_from_image": torch.eye(4).repeat(1, cameras, 1, 1),
        "focal_lengths": torch.full((1, cameras, 2), float(width)),
        "features": torch.zeros(1, cameras, channels, height, width),
        "code": torch.zeros(1, tokens, channels),
        "cone": torch.zeros(1, tokens, 8),
        "now_from_previous": torch.eye(4)[None],
        "elapsed": torch.zeros(1),
        "continues": torch.zeros(1),
        "camera_present": torch.ones(1, cameras, dtype=torch.bool),
        "logits": torch.zeros(1, queries, config.num_classes),
        "codes": torch.zeros(1, queries, CODE_SIZE),
    }
    if config.temporal:
        memory = empty_memory(config, 1, torch.device("cpu"))
        tensors.update(zip(MEMORY_NAMES, memory, strict=True))
    return tensors
