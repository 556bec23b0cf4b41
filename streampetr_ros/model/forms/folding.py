"""Batch norms folded into convolutions: the same numbers for less work at inference."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streampetr_ros.model.detector import Detector


def folded(detector: Detector) -> Detector:
    """Return a copy for inference, whose batch norms are part of the convolutions before them.

    The copy's state dict is not that of a detector: neither train nor save it.

    Args:
        detector: stays as it is.
    """
    copy = deepcopy(detector).eval()
    if any(isinstance(part, nn.BatchNorm2d) for part in copy.backbone.modules()):
        _fold(copy.backbone)
    return copy


def _fold(trunk: nn.Module) -> None:
    """Fold every norm that alone takes what a convolution gives, whatever their order as parts."""
    calls = [node for node in fx.Tracer().trace(trunk).nodes if node.op == "call_module"]
    counts = Counter(node.target for node in calls)
    parts = dict(trunk.named_modules())
    for node in calls:
        source, norm = node.args[0], parts[node.target]
        convolution = parts.get(source.target) if source in calls else None
        alone = counts[node.target] == counts[source.target] == len(source.users) == 1
        if isinstance(norm, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d) and alone:
            _replace(trunk, source.target, fuse_conv_bn_eval(convolution, norm))
            _replace(trunk, node.target, nn.Identity())


def _replace(trunk: nn.Module, path: str, part: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(trunk.get_submodule(parent), name, part)
