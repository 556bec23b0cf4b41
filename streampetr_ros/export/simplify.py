"""Makes traced graphs plain: nothing that is known beforehand, nothing that runtimes trip over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

_Known = dict[str, NDArray[Any]]
#: Stands for minus infinity in attention masks: weights behind it underflow to exactly 0 in float32
#: as in float16, and where nothing may be looked at there is a mean instead of no number.
_BLOCKED = -1e4


def fold_constants(model: Any) -> Any:
    """Return the model without nodes whose results are fixed by weights and static shapes.

    Tracing leaves hundreds of them, mainly arithmetic on shapes, which take time to load and hide
    the types of what they lead to.

    Args:
        model: ONNX model with static shapes; changed in place.
    """
    while _fold_once(model):
        # Shapes behind a folded node may have become known.
        pass
    return model


def make_masks_finite(model: Any) -> Any:
    """Return the model with finite attention masks and without guards against their NaNs.

    The guards stand between softmax and product, where TensorRT-RTX fails to fuse attention.

    Args:
        model: after `fold_constants`; changed in place.
    """
    graph = model.graph
    for item in graph.initializer:
        values = numpy_helper.to_array(item)
        if values.dtype == np.float32 and np.isneginf(values).any():
            finite = np.where(np.isneginf(values), np.float32(_BLOCKED), values)
            item.CopyFrom(numpy_helper.from_array(finite, item.name))
    questions = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "IsNaN"}
    guarded = {
        node.output[0]: node.input[2]
        for node in graph.node
        if node.op_type == "Where" and questions.get(node.input[0]) == node.input[2]
    }
    kept = [
        node
        for node in graph.node
        if node.op_type != "IsNaN" and not guarded.keys() & set(node.output)
    ]
    for node in kept:
        node.input[:] = [guarded.get(name, name) for name in node.input]
    used = {name for node in kept for name in node.input}
    replace_field(graph.node, kept)
    replace_field(graph.initializer, [item for item in graph.initializer if item.name in used])
    return model


def _fold_once(model: Any) -> bool:
    graph = model.graph
    shapes = _static_shapes(model)
    known: _Known = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    given = set(known)
    kept = []
    for node in graph.node:
        values = _fixed_results(node, known, shapes)
        if values is None:
            kept.append(node)
        else:
            known.update(zip(node.output, values, strict=True))
    changed = len(kept) < len(graph.node)
    used = {name for node in kept for name in node.input} | {item.name for item in graph.output}
    old = [item for item in graph.initializer if item.name in used]
    new = [numpy_helper.from_array(known[name], name) for name in known if name in used - given]
    replace_field(graph.node, kept)
    replace_field(graph.initializer, [*old, *new])
    return changed


def _fixed_results(node: Any, known: _Known, shapes: _Known) -> list[NDArray[Any]] | None:
    """Return the outputs of a node if they are fixed."""
    inputs = [name for name in node.input if name]
    if node.op_type == "Shape" and not node.attribute and inputs[0] in shapes:
        return [shapes[inputs[0]]]
    if not all(name in known for name in inputs):
        return None
    results = ReferenceEvaluator(node).run(None, {name: known[name] for name in inputs})
    return [np.asarray(result) for result in results]


def _static_shapes(model: Any) -> _Known:
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {}
    for item in [*graph.value_info, *graph.input, *graph.output]:
        shape = item.type.tensor_type.shape
        if item.type.tensor_type.HasField("shape") and all(
            size.HasField("dim_value") for size in shape.dim
        ):
            shapes[item.name] = np.array([size.dim_value for size in shape.dim], dtype=np.int64)
    return shapes


def replace_field(field: Any, items: list[Any]) -> None:
    """Replace the content of a repeated field of an ONNX message."""
    # The items may be parts of the field itself, so they are copied before it is emptied.
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)
