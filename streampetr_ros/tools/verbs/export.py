"""``streampetr export``: weights to checked ONNX graphs, and these to TensorRT engines."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import torch
import typer

from streampetr_ros.backends.exported import ExportedModel, open_exported
from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.opening import is_exported, open_detector
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.backends.tensorrt.api import TensorRt, load_tensorrt
from streampetr_ros.backends.tensorrt.build import Engines
from streampetr_ros.core.errors import UserError
from streampetr_ros.export.parity import FRAMES, compare_backends
from streampetr_ros.model.detector import Detector
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.tools.run_options import ModelOption


class Target(str, Enum):
    """What to write."""

    ONNX = "onnx"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt_rtx"


class Precision(str, Enum):
    """Of the matrix work; positions, norms, softmax and memory are float32 in both."""

    FP32 = "fp32"
    FP16 = "fp16"


def export(  # noqa: PLR0913, PLR0917 - one argument per command line option
    weights: Annotated[
        str, typer.Argument(help="Weights file, random:SEED, or a folder exported before.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    model: ModelOption = "",
    to: Annotated[Target, typer.Option(help="Graphs, or also engines.")] = Target.ONNX,
    precision: Annotated[
        Precision, typer.Option(help="Of the matrix work in the graphs.")
    ] = Precision.FP32,
    cameras: Annotated[int, typer.Option(min=1, max=16, help="Number of cameras.")] = 6,
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(help="Of the GPU that will run, such as 8.9; repeat it for more."),
    ] = None,
) -> None:
    """Write encoder, position and head as ONNX, compared with PyTorch before they appear.

    With --to tensorrt or tensorrt_rtx engines are built beside the graphs; for an exported folder
    in place of weights that is all that is done. The folder can be given wherever weights are.
    """
    with user_errors():
        # What is missing for engines shows before minutes are spent on graphs.
        runtime = None if to is Target.ONNX else load_tensorrt(to.value)
        capabilities = compute_capability or ([_own_capability()] if runtime else [])
        if is_exported(weights):
            exported = _reopened(Path(weights), out, to)
        else:
            detector = open_detector(weights, model)
            exported = _export(detector, out, cameras, precision.value)
        if runtime:
            _build(exported, runtime, capabilities)


def _reopened(folder: Path, out: Path | None, to: Target) -> ExportedModel:
    if out is not None or to is Target.ONNX:
        raise UserError(
            f"'{folder}' is exported already; add --to tensorrt or --to tensorrt_rtx to build its "
            "engines in place (without --out), or give the weights to export them again"
        )
    return open_exported(folder)


def _export(detector: Detector, out: Path | None, cameras: int, precision: str) -> ExportedModel:
    if out is None:
        raise UserError("no folder to write to; name one with --out")
    try:
        from streampetr_ros.export.onnx_export import export_onnx  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"exporting needs the package '{error.name}'; install it with 'pip install onnx "
            "onnxruntime'"
        ) from error
    differences: dict[str, float] = {}

    def check(folder: Path) -> None:
        subject = OnnxBackend(open_exported(folder))
        differences.update(compare_backends(TorchBackend(detector), subject, cameras, precision))

    exported = export_onnx(detector, out, cameras, precision, check)
    typer.echo(f"wrote {out}: {detector.config.name} for {cameras} cameras, {precision}")
    typer.echo(f"  largest differences from PyTorch float32 over {FRAMES} frames with a reset:")
    for name, value in differences.items():
        typer.echo(f"    {name:<12} {value:.1e}")
    return exported


def _build(exported: ExportedModel, runtime: TensorRt, capabilities: list[str]) -> None:
    for capability in capabilities:
        engines = Engines(
            runtime=runtime, model=exported, compute_capability=capability, progress=typer.echo
        )
        typer.echo(f"compute capability {capability}: {len(engines.build())} engines are ready")


def _own_capability() -> str:
    if not torch.cuda.is_available():
        raise UserError(
            "there is no GPU here to build engines for; name one with --compute-capability, such "
            "as 8.6, 8.9 or 12.0"
        )
    major, minor = torch.cuda.get_device_capability()
    return f"{major}.{minor}"
