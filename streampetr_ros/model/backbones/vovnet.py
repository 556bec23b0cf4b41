"""VoVNet-99 with effective squeeze-and-excitation (docs/model.md 3.2)."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streampetr_ros.model.backbones.base import Backbone

_STAGES = ((1, 128, 256), (3, 160, 512), (9, 192, 768), (3, 224, 1024))
_LAYERS_PER_BLOCK = 5
#: Published names and ours; stages are counted from 2 and blocks from 1 there.
_PUBLISHED = (
    (r"^stem\.stem_(\d)/(conv|norm)", lambda m: f"stem.{int(m[1]) - 1}.{m[2]}"),
    (
        r"^stage(\d)\.OSA\d_(\d)\.layers\.(\d)\.OSA\d_\d_\d/(conv|norm)",
        lambda m: f"stages.{int(m[1]) - 2}.{int(m[2]) - 1}.layers.{m[3]}.{m[4]}",
    ),
    (
        r"^stage(\d)\.OSA\d_(\d)\.concat\.OSA\d_\d_concat/(conv|norm)",
        lambda m: f"stages.{int(m[1]) - 2}.{int(m[2]) - 1}.concat.{m[3]}",
    ),
    (
        r"^stage(\d)\.OSA\d_(\d)\.ese\.fc",
        lambda m: f"stages.{int(m[1]) - 2}.{int(m[2]) - 1}.gate",
    ),
)


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Cin, H, W) to (B, Cout, H / stride, W / stride)."""
        return F.relu(self.norm(self.conv(x)), inplace=True)


class OneShotAggregation(nn.Module):
    """Five 3x3 convolutions whose outputs are all concatenated, then gated by channel."""

    def __init__(self, channels_in: int, width: int, channels_out: int, identity: bool) -> None:
        super().__init__()
        self.identity = identity
        inputs = [channels_in] + [width] * (_LAYERS_PER_BLOCK - 1)
        self.layers = nn.ModuleList(ConvNormRelu(c, width, 3) for c in inputs)
        gathered = channels_in + _LAYERS_PER_BLOCK * width
        self.concat = ConvNormRelu(gathered, channels_out, 1)
        self.gate = nn.Conv2d(channels_out, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Cin, H, W) to (B, Cout, H, W)."""
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        out: Tensor = self.concat(torch.cat(maps, dim=1))
        pooled = self.gate(out.mean(dim=(2, 3), keepdim=True))
        out = out * (F.relu6(pooled + 3.0) / 6.0)
        return out + x if self.identity else out


class VoVNet(Backbone):
    """VoVNet-99-eSE."""

    channels_out = (768, 1024)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvNormRelu(3, 64, 3, 2), ConvNormRelu(64, 64, 3, 1), ConvNormRelu(64, 128, 3, 2)
        )
        channels = 128
        self.stages = nn.ModuleList()
        for depth, width, channels_out in _STAGES:
            blocks = []
            for index in range(depth):
                blocks.append(OneShotAggregation(channels, width, channels_out, identity=index > 0))
                channels = channels_out
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Backbone.forward`."""
        x = self.stages[0](self.stem(images))
        maps = []
        for stage in list(self.stages)[1:]:
            x = stage(F.max_pool2d(x, 3, 2, ceil_mode=True))
            maps.append(x)
        return maps[-2], maps[-1]

    @staticmethod
    def own_key(published: str) -> str:
        """Translate a key of the published trunk; see `Backbone.own_key`."""
        for pattern, replacement in _PUBLISHED:
            own, count = re.subn(pattern, replacement, published)
            if count:
                return own
        return published
