"""Which work of a detector may be done in half precision, and a detector that does so.

Half precision is for the matrix work of the image encoder and of the transformer. In float32 stay,
for the reasons of docs/model.md 10.2: all positions, poses, ages, sines and inverse sigmoids, layer
norms, softmax and sigmoid, the residual stream of the decoder, the prediction branches and the
memory; so does all that goes in and comes out.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.attention import MultiHeadAttention
from streampetr_ros.model.detector import Detector

#: Parts of the head, by paths of modules, whose matrix work may be done in half precision; in the
#: encoder all may, where token positions are encoded none.
HALF_PARTS_OF_HEAD = (
    "memory_embed",
    "gate",
    "spatial_alignment",
    *(
        rf"decoder/layers[./]\d+/{part}"
        for part in ("self_attention", "cross_attention", "ffn_in", "ffn_out")
    ),
)
_HALF_IN_HEAD = re.compile("|".join(f"{part}/" for part in HALF_PARTS_OF_HEAD))


def make_half(detector: Detector, kind: torch.dtype) -> None:
    """Let a detector do the work that may be in half precision; it takes and gives float32.

    Its state dict is no longer that of a detector: neither train nor save it.

    Args:
        detector: changed in place.
        kind: torch.float16 or torch.bfloat16.

    Raises:
        UserError: if a weight is too large.
    """
    detector.add_module("backbone", _Cast(detector.backbone, kind, kind))
    detector.add_module("neck", _Cast(detector.neck, kind, torch.float32))
    _make_parts_half(detector.head, "", kind)


def _make_parts_half(module: nn.Module, path: str, kind: torch.dtype) -> None:
    for name, child in list(module.named_children()):
        inner = f"{path}{name}/"
        # Fused attention takes its softmax in float32 whatever the type of queries and keys.
        works = isinstance(child, nn.Linear | MultiHeadAttention)
        if works and _HALF_IN_HEAD.match(inner):
            setattr(module, name, _Cast(child, kind, torch.float32))
        elif not works:
            _make_parts_half(child, inner, kind)


class _Cast(nn.Module):
    """Runs a module in one type and gives its results in another.

    Args:
        module: its weights are converted.
        inside: type to compute in.
        outside: type of the results.
    """

    def __init__(self, module: nn.Module, inside: torch.dtype, outside: torch.dtype) -> None:
        super().__init__()
        _check_range(module, inside)
        self.module = module.to(inside)
        self.inside = inside
        self.outside = outside

    def forward(self, *values: Tensor | None) -> Any:
        """Run the module; masks stay masks."""
        return _converted(self.module(*_converted(values, self.inside)), self.outside)


def _converted(values: Any, kind: torch.dtype) -> Any:
    if isinstance(values, tuple):
        return tuple(_converted(value, kind) for value in values)
    if isinstance(values, Tensor) and values.is_floating_point():
        return values.to(kind)
    return values


def _check_range(module: nn.Module, kind: torch.dtype) -> None:
    largest = torch.finfo(kind).max
    for name, value in module.named_parameters():
        if value.detach().abs().max() > largest:
            raise UserError(
                f"weight '{name}' has values beyond {largest:.0f}, which half precision cannot "
                "hold; choose precision fp32 or bf16"
            )
