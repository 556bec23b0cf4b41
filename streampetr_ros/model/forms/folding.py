"""Batch norms folded into convolutions: the same numbers for less work at inference."""

from __future__ import annotations

from copy import deepcopy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streampetr_ros.model.detector import Detector


def folded(detector: Detector) -> Detector:
    """Return a copy for inference, whose batch norms are part of the convolutions before them.

    The copy's state dict is not that of a detector: neither train nor save it.

    Args:
        detector: stays as it is.
    """
    copy = deepcopy(detector).eval()
    _fold(copy.backbone)
    return copy


def _fold(module: nn.Module) -> None:
    """Fold every norm registered right after a convolution: all backbones run in that order."""
    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before and isinstance(before[1], nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, nn.Identity())
        else:
            _fold(child)
        before = (name, child)
