"""Feature pyramid neck of which only the finest level is used (docs/model.md 3.3)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class FinestLevelNeck(nn.Module):
    """Adds the up-sampled stride-32 map to the stride-16 map and smooths the sum.

    Args:
        channels_in: channels of the stride-16 and stride-32 maps.
        channels_out: channels C of the result.
    """

    def __init__(self, channels_in: tuple[int, int], channels_out: int) -> None:
        super().__init__()
        self.lateral16 = nn.Conv2d(channels_in[0], channels_out, 1)
        self.lateral32 = nn.Conv2d(channels_in[1], channels_out, 1)
        self.smooth = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        for convolution in (self.lateral16, self.lateral32, self.smooth):
            nn.init.xavier_uniform_(convolution.weight)
            nn.init.zeros_(convolution.get_parameter("bias"))

    def forward(self, stride16: Tensor, stride32: Tensor) -> Tensor:
        """(B, C16, h, w) and (B, C32, h / 2, w / 2) to (B, C, h, w)."""
        coarse = F.interpolate(self.lateral32(stride32), size=stride16.shape[-2:], mode="nearest")
        smoothed: Tensor = self.smooth(self.lateral16(stride16) + coarse)
        return smoothed
