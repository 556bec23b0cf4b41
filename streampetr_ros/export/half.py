"""Rewrites a graph to half precision with the types written into it.

Newer TensorRT takes types from the graph alone, so every conversion is an explicit Cast. What may
be computed in half precision and what stays float32 is as in `streampetr_ros.model.forms.half`; all
graph inputs and outputs are float32 too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from streampetr_ros.core.errors import UserError
from streampetr_ros.export.simplify import replace_field
from streampetr_ros.model.forms.half import HALF_PARTS_OF_HEAD

#: By graph, the names of nodes that may run in half precision. The position graph has none.
_SCOPES = {
    "encoder": re.compile(r".*"),
    "position": re.compile(r"(?!)"),
    "head": re.compile(
        "|".join(f"/head/{part}/" for part in HALF_PARTS_OF_HEAD)
        + r"|/head/decoder/layers\.\d+/Relu"
    ),
}
#: Operators that do not lose more than rounding; in the scopes above all others stay float32.
_OPERATORS = {
    *("Conv", "MatMul", "Gemm", "MaxPool", "Relu", "Resize"),
    *("Concat", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
}
#: Likewise, but only where what they work on comes from half precision anyway.
_ELEMENTWISE = {"Add", "Mul"}
#: Inputs from here on are float32 whatever the data: the scales of a resize.
_DATA_INPUTS = {"Resize": 1}
_LARGEST = float(np.finfo(np.float16).max)


def to_half(model: Any, graph: str) -> Any:
    """Return the model with its matrix work in half precision.

    Args:
        model: ONNX model in float32.
        graph: "encoder", "position" or "head".

    Raises:
        UserError: if a weight is too large for half precision.
    """
    return _HalfWriter(model, graph).write()


class _HalfWriter:
    """Assigns every node a precision, and puts casts where precisions meet."""

    def __init__(self, model: Any, graph: str) -> None:
        self._model = shape_inference.infer_shapes(model)
        self._scope = _SCOPES[graph]
        self._weights = {item.name: item for item in model.graph.initializer}
        self._floats = _float_names(self._model.graph)
        self._half: set[str] = set()
        self._casts: dict[tuple[str, int], str] = {}
        self._new_weights: dict[str, Any] = {}

    def write(self) -> Any:
        """Return the rewritten model."""
        graph = self._model.graph
        nodes = [new for node in graph.node for new in self._rewritten(node)]
        outputs = {item.name for item in graph.output} & self._half
        for node in nodes:
            for names in (node.input, node.output):
                names[:] = [_inner(name) if name in outputs else name for name in names]
        nodes += [_cast(_inner(name), name, TensorProto.FLOAT) for name in sorted(outputs)]
        used = {name for node in nodes for name in node.input}
        weights = [*graph.initializer, *self._new_weights.values()]
        wanted = [weight for weight in weights if weight.name in used]
        replace_field(graph.node, nodes)
        replace_field(graph.initializer, wanted)
        del graph.value_info[:]
        onnx.checker.check_model(self._model)
        return self._model

    def _rewritten(self, node: Any) -> Iterator[Any]:
        """Yield the node behind the casts that it needs."""
        if node.op_type == "Identity" and node.input[0] in self._weights:
            # Weights shared by layers come as copies; each is as good as the original.
            self._weights[node.output[0]] = self._weights[node.input[0]]
        half = self._runs_half(node)
        wanted = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        for index in range(min(len(node.input), _DATA_INPUTS.get(node.op_type, len(node.input)))):
            name = node.input[index]
            if name not in self._floats or half == (name in self._half):
                continue
            if half and name in self._weights:
                node.input[index] = self._half_weight(name)
            else:
                if (name, wanted) not in self._casts:
                    self._casts[name, wanted] = f"{name}_as_{'half' if half else 'float'}"
                    yield _cast(name, self._casts[name, wanted], wanted)
                node.input[index] = self._casts[name, wanted]
        if half:
            self._half.update(set(node.output) & self._floats)
        yield node

    def _runs_half(self, node: Any) -> bool:
        if not self._scope.match(node.name) or not self._floats & set(node.output):
            return False
        if node.op_type in _ELEMENTWISE:
            rest = [name for name in node.input if name not in self._weights]
            return all(name in self._half for name in rest)
        is_copy = node.op_type == "Identity" and node.input[0] in self._weights
        return node.op_type in _OPERATORS and not is_copy

    def _half_weight(self, name: str) -> str:
        values = numpy_helper.to_array(self._weights[name])
        if not np.abs(values).max(initial=0.0) <= _LARGEST:
            raise UserError(
                f"weight '{name}' has values beyond {_LARGEST:.0f}, which half precision cannot "
                "hold; export with --precision fp32"
            )
        new = f"{name}_half"
        self._new_weights[new] = numpy_helper.from_array(values.astype(np.float16), new)
        return new


def _float_names(graph: Any) -> set[str]:
    """Return the names of all float32 tensors of a graph whose types are inferred."""
    described = [*graph.value_info, *graph.input, *graph.output]
    names = {
        item.name for item in described if item.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    return names | {item.name for item in graph.initializer if item.data_type == TensorProto.FLOAT}


def _inner(name: str) -> str:
    return f"{name}_inner"


def _cast(source: str, target: str, kind: int) -> Any:
    return helper.make_node("Cast", [source], [target], name=f"{target}/Cast", to=kind)
