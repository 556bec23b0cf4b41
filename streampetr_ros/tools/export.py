"""``streampetr export``: weights to ONNX graphs with explicit memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.torch_backend import TorchBackend
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.export.parity import FRAMES, compare
from streampetr_ros.model.checkpoint import load_weights
from streampetr_ros.tools.reporting import user_errors


def export(
    weights: Annotated[Path, typer.Argument(help="Weights file (.safetensors).")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    cameras: Annotated[int, typer.Option(min=1, max=16, help="Number of cameras.")] = 6,
) -> None:
    """Write encoder, position and head as ONNX and compare them with PyTorch.

    The folder can be given wherever weights are asked for; it then runs on ONNX Runtime.
    """
    with user_errors():
        _, detector = load_weights(weights)
        export_onnx(detector, out, cameras)
        differences = compare(TorchBackend(detector), OnnxBackend(out), cameras)
    typer.echo(f"wrote {out}: {detector.config.name} for {cameras} cameras, float32")
    for name, value in differences.items():
        typer.echo(f"  largest difference over {FRAMES} frames, {name}: {value:.1e}")
