"""Options of the command line on how the network runs; verbs share them."""

from __future__ import annotations

from typing import Annotated

import typer

from streampetr_ros.backends.cuda.device import CUDA_GRAPHS
from streampetr_ros.backends.opening import BACKENDS, PRECISIONS
from streampetr_ros.model.config import MODEL_NAMES
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.tools.reporting import known_model

MODELS = f"Of {', '.join(MODEL_NAMES)}, or the YAML file of another."
ModelOption = Annotated[str, typer.Option(help=MODELS, callback=known_model)]

BackendOption = Annotated[str, typer.Option(help=f"One of {', '.join(BACKENDS)}.")]
PrecisionOption = Annotated[
    str, typer.Option(help=f"One of {', '.join(PRECISIONS)}; auto: fp32, or as exported.")
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
CudaGraphsOption = Annotated[
    str,
    typer.Option(
        help=f"On a GPU, one of {', '.join(CUDA_GRAPHS)}: record the network and warn where that "
        "fails, record it or fail, or do not record."
    ),
]


def _memory_interval(seconds: float) -> float:
    try:
        return MemoryPolicyConfig(memory_interval_s=seconds).memory_interval_s
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


MemoryIntervalOption = Annotated[
    float,
    typer.Option(
        help="Seconds between memory writes; negative: as trained.", callback=_memory_interval
    ),
]
