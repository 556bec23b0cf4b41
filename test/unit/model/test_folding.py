"""Batch norms are folded by the way of the data, not by the order in which parts are registered."""

from types import SimpleNamespace

import torch
from torch import nn

from streampetr_ros.model.forms.folding import folded


class Trunk(nn.Module):
    """Holds every case: a norm behind its convolution, before it, and two that must stay."""

    def __init__(self):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.inner = nn.ModuleDict({"conv": nn.Conv2d(4, 4, 1), "norm": nn.BatchNorm2d(4)})
        self.forked, self.forked_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.shared, self.shared_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.stem_norm(self.stem(x)).relu()
        x = self.inner["conv"](self.inner["norm"](x))
        x = self.forked(x)
        x = x + self.forked_norm(x)
        return self.shared_norm(self.shared(self.shared(x)))


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Trunk()
        self.config = SimpleNamespace()


def test_only_norms_that_alone_follow_a_convolution_are_folded():
    torch.manual_seed(0)
    detector = Detector().eval()
    with torch.no_grad():
        for buffer in detector.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
    copy = folded(detector)
    left = [name for name, part in copy.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert left == [f"backbone.{name}" for name in ("inner.norm", "forked_norm", "shared_norm")]
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(copy.backbone(images), detector.backbone(images))
    assert isinstance(detector.backbone.stem_norm, nn.BatchNorm2d)
