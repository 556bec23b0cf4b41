"""What a start on TensorRT would find: engines that fit, or work to do first."""

from __future__ import annotations

from streampetr_ros.backends.exported import ExportedModel
from streampetr_ros.backends.tensorrt.api import TensorRt
from streampetr_ros.backends.tensorrt.build import ENGINES, engine_key
from streampetr_ros.backends.tensorrt.engine_file import EngineFileError, read_engine
from streampetr_ros.model.forms.graphs import signatures


def engine_states(runtime: TensorRt, model: ExportedModel, compute_capability: str) -> list[str]:
    """Say of every graph of a model whether its engine is there; nothing is built.

    Args:
        runtime: that would run them.
        model: exported.
        compute_capability: of the GPU that would run them, such as "8.9".
    """
    return [
        f"engine {graph}: {_state(runtime, model, graph, compute_capability)}"
        for graph in signatures(model.config)
    ]


def _state(runtime: TensorRt, model: ExportedModel, graph: str, compute_capability: str) -> str:
    key = engine_key(runtime, model, graph, compute_capability)
    try:
        engine = read_engine(model.folder / ENGINES, key)
    except EngineFileError as error:
        return f"the first start builds it again, because {error}"
    if engine is None:
        return (
            f"none for {runtime.title} and compute capability {compute_capability}; the first "
            "start builds it, which can take minutes"
        )
    return f"{key.file_name}, whole and for this GPU"
