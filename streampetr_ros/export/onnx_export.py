"""Writes a detector as three ONNX files with a description beside them."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch

from streampetr_ros.backends.exported import (
    DESCRIPTION,
    EXPORT_PRECISIONS,
    ExportedModel,
    describe_export,
)
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import sha256
from streampetr_ros.export.half import to_half
from streampetr_ros.export.simplify import fold_constants, make_masks_finite
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.forms.graphs import example_tensors, graph_modules, signatures

OPSET = 17


def export_onnx(
    detector: Detector,
    folder: Path,
    cameras: int = 6,
    precision: str = "fp32",
    check: Callable[[Path], object] | None = None,
) -> ExportedModel:
    """Export a detector; the folder appears whole and checked, or not at all.

    Args:
        detector: with its weights; put in evaluation mode.
        folder: to write; replaced when it is an earlier export.
        cameras: number of cameras.
        precision: "fp32" or "fp16", see `to_half`.
        check: called with a folder of the finished graphs; what it raises keeps `folder` as it was.

    Raises:
        UserError: if the folder holds something else or cannot be written, or a weight does not
            fit the precision.
    """
    if precision not in EXPORT_PRECISIONS:
        raise UserError(f"no precision '{precision}'; choose one of {', '.join(EXPORT_PRECISIONS)}")
    if folder.exists() and not (folder / DESCRIPTION).is_file() and any(folder.iterdir()):
        raise UserError(f"folder '{folder}' holds other files; choose a new one")
    detector.eval()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}."))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        # The temporary folder is its owner's alone; this one is for whom other folders are.
        partial = holder / folder.name
        partial.mkdir()
        _write_graphs(detector, partial, cameras, precision)
        model = ExportedModel(
            folder=folder,
            config=detector.config,
            cameras=cameras,
            precision=precision,
            sha256={name: sha256(partial / f"{name}.onnx") for name in graph_modules(detector)},
        )
        (partial / DESCRIPTION).write_text(describe_export(model))
        if check is not None:
            check(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)
    return model


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"cannot write the exported model to '{folder}': {error}")


def _write_graphs(detector: Detector, folder: Path, cameras: int, precision: str) -> None:
    tensors = example_tensors(detector.config, cameras)
    tables = signatures(detector.config)
    for name, module in graph_modules(detector).items():
        inputs = tuple(tensors[key] for key in tables[name].inputs)
        path = folder / f"{name}.onnx"
        with warnings.catch_warnings(), torch.inference_mode():
            # The tracer warns about shapes that become constants: they are meant to be static.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                inputs,
                str(path),
                input_names=list(tables[name].inputs),
                output_names=list(tables[name].outputs),
                opset_version=OPSET,
                dynamo=False,
            )
        graph = make_masks_finite(fold_constants(onnx.load(path)))
        onnx.save(to_half(graph, name) if precision == "fp16" else graph, path)
