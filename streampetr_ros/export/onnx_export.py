"""Writes a detector as three ONNX files with a description beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from streampetr_ros.export.graphs import example_tensors, graph_modules, signatures
from streampetr_ros.model.checkpoint import config_from_json, config_to_json
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.detector import Detector

OPSET = 17
_DESCRIPTION = "model.json"


class ExportError(RuntimeError):
    """A model that cannot be exported, or an exported folder that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """Three graphs on disk.

    Attributes:
        folder: that holds them.
        config: of the detector.
        cameras: number of cameras the shapes are for.
        precision: "fp32".
        sha256: checksum of each file by graph name.
    """

    folder: Path
    config: DetectorConfig
    cameras: int
    precision: str
    sha256: dict[str, str]

    def path(self, graph: str) -> Path:
        """Return the file of a graph: "encoder", "position" or "head"."""
        return self.folder / f"{graph}.onnx"


def export_onnx(detector: Detector, folder: Path, cameras: int = 6) -> ExportedModel:
    """Export a detector; the folder appears whole or not at all.

    Args:
        detector: with its weights; put in evaluation mode.
        folder: to write; replaced when it is an earlier export.
        cameras: number of cameras.

    Raises:
        ExportError: if the folder holds something else or cannot be written.
    """
    if folder.exists() and not (folder / _DESCRIPTION).is_file() and any(folder.iterdir()):
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
            sha256={name: _sha256(partial / f"{name}.onnx") for name in graph_modules(detector)},
        )
        (partial / _DESCRIPTION).write_text(_to_json(model))
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


def open_exported(folder: Path) -> ExportedModel:
    """Open an exported model and check that its files are complete.

    Raises:
        ExportError: naming the file that is missing or damaged.
    """
    try:
        content = json.loads((folder / _DESCRIPTION).read_text())
        config = config_from_json(json.dumps(content.pop("config")))
        model = ExportedModel(folder=folder, config=config, **content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"folder '{folder}' is no exported model ({error}); make one with 'streampetr export'"
        ) from error
    for name, expected in model.sha256.items():
        if not model.path(name).is_file() or _sha256(model.path(name)) != expected:
            raise ExportError(
                f"file '{model.path(name)}' is missing or damaged; export the model again"
            )
    return model


def _to_json(model: ExportedModel) -> str:
    content = asdict(model)
    del content["folder"]
    content["config"] = json.loads(config_to_json(model.config))
    return json.dumps(content, indent=2)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
