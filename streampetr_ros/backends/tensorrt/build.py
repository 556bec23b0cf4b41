"""From exported graphs to engines: parsed, built for one kind of GPU, kept beside the graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.exported import ExportedModel
from streampetr_ros.backends.tensorrt.api import TensorRt
from streampetr_ros.backends.tensorrt.engine_file import (
    EngineFileError,
    EngineKey,
    read_engine,
    write_engine,
)
from streampetr_ros.core.errors import first_line
from streampetr_ros.model.forms.graphs import signatures

#: Folder inside that of the graphs.
ENGINES = "engines"
#: Called with a sentence on what is being done.
BuildProgress = Callable[[str], None]

_LOGGER = logging.getLogger(__name__)
_OPSETS = range(17, 25)
#: How the check of `onnx` begins to say that a file cannot be read at all.
_UNREADABLE = "Unable to parse proto"


def build_engines(
    runtime: TensorRt, model: ExportedModel, compute_capability: str, progress: BuildProgress
) -> dict[str, Path]:
    """Make sure that the engines of a model exist for a kind of GPU; this needs no GPU by itself.

    Args:
        runtime: that will run them.
        model: exported.
        compute_capability: of the GPU that will run them, such as "8.9".
        progress: told what is being done.

    Returns:
        Engine file by graph name.

    Raises:
        BackendError: if the runtime cannot build one; the message names the graph and the reason.
    """
    for graph in signatures(model.config):
        engine_bytes(runtime, model, graph, compute_capability, progress)
    return engine_files(runtime, model, compute_capability)


def engine_files(
    runtime: TensorRt, model: ExportedModel, compute_capability: str
) -> dict[str, Path]:
    """Return where the engines of a model belong, by graph name."""
    folder = model.folder / ENGINES
    return {
        graph: folder / engine_key(runtime, model, graph, compute_capability).file_name
        for graph in signatures(model.config)
    }


def engine_key(
    runtime: TensorRt, model: ExportedModel, graph: str, compute_capability: str
) -> EngineKey:
    """Return what an engine of this graph depends on."""
    return EngineKey(
        graph=graph,
        onnx_sha256=model.sha256[graph],
        precision=model.precision,
        runtime=runtime.name,
        version=runtime.version,
        compute_capability=compute_capability,
    )


def engine_bytes(
    runtime: TensorRt,
    model: ExportedModel,
    graph: str,
    compute_capability: str,
    progress: BuildProgress,
) -> bytes:
    """Return the engine of a graph from its file, built anew unless that is whole and fits."""
    key = engine_key(runtime, model, graph, compute_capability)
    try:
        known = read_engine(model.folder / ENGINES, key)
    except EngineFileError as error:
        progress(f"building again, because {error}")
        known = None
    return known or rebuilt_engine(runtime, model, key, progress)


def rebuilt_engine(
    runtime: TensorRt, model: ExportedModel, key: EngineKey, progress: BuildProgress
) -> bytes:
    """Build an engine and write its file, whatever is there."""
    progress(
        f"building {key.graph} {key.precision} for compute capability {key.compute_capability} "
        f"with {runtime.title}; this can take minutes"
    )
    engine = _build(runtime, model, key, progress)
    path = write_engine(model.folder / ENGINES, key, engine)
    progress(f"wrote {path} ({len(engine) / 1e6:.0f} MB)")
    return engine


def _build(
    runtime: TensorRt, model: ExportedModel, key: EngineKey, progress: BuildProgress
) -> bytes:
    runtime.reason()
    builder = runtime.builder()
    network = runtime.network(builder)
    # The build refers to weights that the parser owns and to the monitor.
    parser = _parse(runtime, network, model, key.graph)
    config = runtime.builder_config(builder, key.compute_capability)
    monitor = runtime.watch(
        config, lambda phase, step, steps: progress(f"{key.graph}: {phase} {step}/{steps}")
    )
    engine = builder.build_serialized_network(network, config)
    del parser, monitor
    if engine is None:
        raise BackendError(_why_not_built(runtime, model.path(key.graph)))
    return bytes(engine)


def _why_not_built(runtime: TensorRt, path: Path) -> str:
    reason = runtime.reason()
    if "memory" in reason.lower():
        return (
            f"{runtime.title} ran out of memory building '{path}'{reason}; close other programs, "
            "or build on a larger machine of the same GPU generation"
        )
    return (
        f"{runtime.title} cannot build '{path}'{reason}; try another version of it, or backend "
        "onnxruntime"
    )


def _parse(runtime: TensorRt, network: Any, model: ExportedModel, graph: str) -> Any:
    path = model.path(graph)
    check_graph_file(path)
    parser = runtime.module.OnnxParser(network, runtime.log)
    if not parser.parse_from_file(str(path)):
        reason = "; ".join(_described(parser.get_error(i)) for i in range(parser.num_errors))
        raise BackendError(
            f"{runtime.title} cannot read '{path}': {reason}; export the model again with this "
            "version of streampetr_ros, or try another version of the runtime"
        )
    # Parsers accept empty files and files that are something else.
    names = [network.get_output(index).name for index in range(network.num_outputs)]
    if names != list(signatures(model.config)[graph].outputs):
        raise BackendError(
            f"'{path}' is not the {graph} of {model.config.name}: its outputs are {names}; export "
            "the model again"
        )
    return parser


def _described(error: Any) -> str:
    """Say what a parser found."""
    operator, node = error.node_operator(), error.node_name()
    text = " ".join(str(error.desc()).split())
    return f"operator {operator} ('{node}') is not supported ({text})" if operator else text


def check_graph_file(path: Path) -> None:
    """Check that a file is an ONNX graph of a version that runtimes know.

    Raises:
        BackendError: if it is not, or the package `onnx` is missing.
    """
    try:
        import onnx  # noqa: PLC0415
    except ImportError as error:
        raise BackendError(
            "building engines needs the package 'onnx'; install it with 'pip install onnx'"
        ) from error
    try:
        onnx.checker.check_model(str(path))
    except (OSError, onnx.checker.ValidationError) as error:
        reason = first_line(error)
        # Operators of a strange version fail the check with a puzzling reason.
        if isinstance(error, onnx.checker.ValidationError) and _UNREADABLE not in reason:
            _check_opsets(path, onnx.load(path, load_external_data=False))
        raise BackendError(
            f"'{path}' is no valid ONNX graph ({reason}); export the model again"
        ) from error
    _check_opsets(path, onnx.load(path, load_external_data=False))


def _check_opsets(path: Path, model: Any) -> None:
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx") or opset.version not in _OPSETS:
            raise BackendError(
                f"'{path}' uses opset {opset.version} of '{opset.domain or 'ai.onnx'}', but "
                f"{_OPSETS.start} to {_OPSETS.stop - 1} are supported; export the model again"
            )
