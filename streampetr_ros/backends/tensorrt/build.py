"""From exported graphs to engines: parsed, built for one kind of GPU, kept beside the graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
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

#: Called with a sentence on what is being done.
BuildProgress = Callable[[str], None]

_LOGGER = logging.getLogger(__name__)
_OPSETS = range(17, 25)
#: How the check of `onnx` begins to say that a file cannot be read at all.
_UNREADABLE = "Unable to parse proto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines of an exported model for one runtime and kind of GPU, kept beside its graphs.

    Attributes:
        runtime: that builds and runs them.
        model: exported.
        compute_capability: of the GPU that runs them, such as "8.9"; building needs none.
        progress: told what is being done.
    """

    runtime: TensorRt
    model: ExportedModel
    compute_capability: str
    progress: BuildProgress = _LOGGER.info

    @property
    def files(self) -> dict[str, Path]:
        """Where they belong, by graph name."""
        folder = self.model.engines
        return {
            graph: folder / self.key(graph).file_name for graph in signatures(self.model.config)
        }

    def key(self, graph: str) -> EngineKey:
        """Return what the engine of a graph depends on."""
        return EngineKey(
            graph=graph,
            onnx_sha256=self.model.sha256[graph],
            precision=self.model.precision,
            runtime=self.runtime.name,
            version=self.runtime.version,
            compute_capability=self.compute_capability,
        )

    def build(self) -> dict[str, Path]:
        """Make sure that all of them exist; this needs no GPU by itself.

        Returns:
            Engine file by graph name.

        Raises:
            BackendError: if the runtime cannot build one; the message names the graph and the
                reason.
        """
        for graph in self.files:
            self.read(graph)
        return self.files

    def read(self, graph: str) -> bytes:
        """Return the engine of a graph from its file, built anew unless that is whole and fits."""
        try:
            known = read_engine(self.model.engines, self.key(graph))
        except EngineFileError as error:
            self.progress(f"building again, because {error}")
            known = None
        return known or self.rebuild(graph)

    def rebuild(self, graph: str) -> bytes:
        """Build the engine of a graph and write its file, whatever is there."""
        self.progress(
            f"building {graph} {self.model.precision} for compute capability "
            f"{self.compute_capability} with {self.runtime.title}; this can take minutes"
        )
        engine = self._built(graph)
        path = write_engine(self.model.engines, self.key(graph), engine)
        self.progress(f"wrote {path} ({len(engine) / 1e6:.0f} MB)")
        return engine

    def states(self) -> list[str]:
        """Say of every graph whether its engine is there; nothing is built."""
        return [f"engine {graph}: {self._state(graph)}" for graph in self.files]

    def _state(self, graph: str) -> str:
        key = self.key(graph)
        try:
            engine = read_engine(self.model.engines, key)
        except EngineFileError as error:
            return f"the first start builds it again, because {error}"
        if engine is None:
            return (
                f"none for {self.runtime.title} and compute capability {self.compute_capability}; "
                "the first start builds it, which can take minutes"
            )
        return f"{key.file_name}, whole and for this GPU"

    def _built(self, graph: str) -> bytes:
        runtime = self.runtime
        runtime.reason()
        builder = runtime.builder()
        network = runtime.network(builder)
        # The build refers to weights that the parser owns and to the monitor.
        parser = _parse(runtime, network, self.model, graph)
        config = runtime.builder_config(builder, self.compute_capability)
        monitor = runtime.watch(
            config, lambda phase, step, steps: self.progress(f"{graph}: {phase} {step}/{steps}")
        )
        engine = builder.build_serialized_network(network, config)
        del parser, monitor
        if engine is None:
            raise BackendError(_why_not_built(runtime, self.model.path(graph)))
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
    text = str(error.desc())
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
