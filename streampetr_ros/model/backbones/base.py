"""What the detector asks of an image backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A trunk that gives feature maps of stride 16 and 32.

    Attributes:
        channels_out: of the two maps.
    """

    channels_out: tuple[int, int]

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to maps of stride 16 and 32."""

    @staticmethod
    def own_key(published: str) -> str:
        """Translate a key of the published trunk, without its prefix; most have the same keys."""
        return published
