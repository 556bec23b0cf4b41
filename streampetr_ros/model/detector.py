"""The detector: images and memory in, predictions and new memory out. It holds weights only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streampetr_ros.model.backbones import BACKBONES
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.head import ExtraQueries, StreamHead
from streampetr_ros.model.memory import empty_memory
from streampetr_ros.model.neck import FinestLevelNeck
from streampetr_ros.model.position import RayPosition, TokenPosition
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs


class Detector(nn.Module):
    """Streaming (or, with `temporal=False`, single-frame) camera-only 3D detector.

    Args:
        config: architecture and ranges.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = BACKBONES[config.backbone]()
        self.neck = FinestLevelNeck(self.backbone.channels_out, config.embed_dims)
        self.position = RayPosition(config)
        self.head = StreamHead(config)

    def forward(
        self, inputs: ModelInputs, memory: MemoryState | None = None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame of each stream.

        Args:
            inputs: the frame.
            memory: after the previous frame; None starts every stream afresh.

        Returns:
            Predictions of the last layer and the memory after the frame (None without memory).
        """
        features = self.encode_images(inputs.images)
        position = self.token_position(inputs)
        outputs, memory = self.predict(features, position, inputs, memory)
        return outputs[-1], memory

    def encode_images(self, images: Tensor) -> Tensor:
        """(B, N, 3, H, W) images to (B, N, C, H / 16, W / 16) features."""
        features = self.neck(*self.backbone(images.flatten(0, 1)))
        batched: Tensor = features.unflatten(0, images.shape[:2])
        return batched

    def token_position(self, inputs: ModelInputs) -> TokenPosition:
        """Encode where the image tokens look; depends on calibration and ego motion only."""
        position: TokenPosition = self.position(inputs.model_from_image, inputs.focal_lengths)
        return position

    def predict(
        self,
        features: Tensor,
        position: TokenPosition,
        inputs: ModelInputs,
        memory: MemoryState | None,
        extra: ExtraQueries | None = None,
    ) -> tuple[list[DetectorOutputs], MemoryState | None]:
        """Run the head; see `StreamHead.forward`. A memory of None starts every stream afresh."""
        inputs, memory = self._started(inputs, memory)
        outputs, memory = self.head(features, position, inputs, memory, extra)
        return outputs, memory

    def _started(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[ModelInputs, MemoryState | None]:
        """Replace a missing memory by one that starts every stream afresh."""
        if not self.config.temporal:
            return inputs, None
        if memory is not None:
            return inputs, memory
        streams = inputs.continues
        empty = empty_memory(self.config, len(streams), streams.device)
        return inputs._replace(continues=torch.zeros_like(streams)), empty


def build_detector(config: DetectorConfig) -> Detector:
    """Build a detector with freshly initialised weights from PyTorch's global generator."""
    return Detector(config)
