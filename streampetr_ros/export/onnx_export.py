"""Writes a detector as three ONNX files with a description beside them."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

import torch

from streampetr_ros.backends.exported import (
    DESCRIPTION,
    ExportedModel,
    ExportError,
    checksum,
    describe,
)
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.graphs import example_tensors, graph_modules, signatures

OPSET = 17


def export_onnx(detector: Detector, folder: Path, cameras: int = 6) -> ExportedModel:
    """Export a detector; the folder appears whole or not at all.

    Args:
        detector: with its weights; put in evaluation mode.
        folder: to write; replaced when it is an earlier export.
        cameras: number of cameras.

    Raises:
        ExportError: if the folder holds something else or cannot be written.
    """
    if folder.exists() and not (folder / DESCRIPTION).is_file() and any(folder.iterdir()):
        raise ExportError(f"folder '{folder}' holds other files; choose a new one")
    detector.eval()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}."))
    try:
        _write_graphs(detector, partial, cameras)
        model = ExportedModel(
            folder=folder,
            config=detector.config,
            cameras=cameras,
            precision="fp32",
            sha256={name: checksum(partial / f"{name}.onnx") for name in graph_modules(detector)},
        )
        (partial / DESCRIPTION).write_text(describe(model))
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise ExportError(f"cannot write the exported model to '{folder}': {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return model


def _write_graphs(detector: Detector, folder: Path, cameras: int) -> None:
    tensors = example_tensors(detector.config, cameras)
    tables = signatures(detector.config)
    for name, module in graph_modules(detector).items():
        inputs = tuple(tensors[key] for key in tables[name].inputs)
        with warnings.catch_warnings(), torch.inference_mode():
            # The tracer warns about shapes that become constants: they are meant to be static.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                inputs,
                str(folder / f"{name}.onnx"),
                input_names=list(tables[name].inputs),
                output_names=list(tables[name].outputs),
                opset_version=OPSET,
                dynamo=False,
            )
