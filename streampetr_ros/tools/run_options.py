"""Options of the command line that verbs share: how the network runs, how bags are read."""

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

CameraOption = Annotated[
    list[str] | None,
    typer.Option(help="Of bags: NAME=IMAGE_TOPIC[,INFO_TOPIC]; repeat in training order."),
]
FixedFrameOption = Annotated[str, typer.Option(help="Of bags: frame that does not move.")]
BaseFrameOption = Annotated[str, typer.Option(help="Of bags: frame of the vehicle.")]
OdometryOption = Annotated[str, typer.Option(help="Of bags: topic of the pose instead of TF.")]
#: Parameters of the node that the last three stand for, in their order.
INPUT_NAMES = ("frames.fixed", "frames.base", "pose.odometry_topic")
