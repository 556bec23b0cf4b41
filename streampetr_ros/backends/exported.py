"""A detector exported as graphs on disk: what is in the folder, and whether it is whole.

- ``encoder.onnx``, ``position.onnx``, ``head.onnx``: the graphs, see `SIGNATURES`
- ``model.json``: number of cameras, precision, checksums of the graphs, the whole configuration
- ``engines/``: what TensorRT built from the graphs, one file per graph, runtime and kind of GPU
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from streampetr_ros.backends.base import BackendError
from streampetr_ros.core.config import from_mapping, to_mapping
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import sha256
from streampetr_ros.core.reading import read_json
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.forms.graphs import SIGNATURES
from streampetr_ros.model.state import ModelInputs

#: File that describes the graphs beside it.
DESCRIPTION = "model.json"
#: Of the matrix work; see `streampetr_ros.export.half` for what stays float32 in "fp16".
EXPORT_PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """Three graphs on disk.

    Attributes:
        folder: that holds them.
        config: of the detector.
        cameras: number of cameras the shapes are for.
        precision: one of `EXPORT_PRECISIONS`.
        sha256: checksum of each file by graph name.
    """

    folder: Path
    config: DetectorConfig
    cameras: int
    precision: str
    sha256: dict[str, str]

    @property
    def engines(self) -> Path:
        """Folder of engines; it need not be there."""
        return self.folder / "engines"

    def path(self, graph: str) -> Path:
        """Return the file of a graph: "encoder", "position" or "head"."""
        return self.folder / f"{graph}.onnx"

    def check_inputs(self, inputs: ModelInputs) -> None:
        """Refuse another number of streams or cameras than the graphs were made for.

        Raises:
            BackendError: in that case.
        """
        if inputs.images.shape[:2] != (1, self.cameras):
            raise BackendError(
                f"'{self.folder}' was exported for 1 stream of {self.cameras} cameras, but got "
                f"{tuple(inputs.images.shape[:2])}; export it again"
            )


def open_exported(folder: Path) -> ExportedModel:
    """Open an exported model and check that its files are complete.

    Raises:
        UserError: naming the file that is missing or damaged.
    """
    try:
        content = read_json(folder / DESCRIPTION, "description")
        config = from_mapping(DetectorConfig, content.pop("config"))
        model = ExportedModel(folder=folder, config=config, **content)
        _check(model)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"folder '{folder}' is no exported model ({error}); make one with 'streampetr export'"
        ) from error
    for name, expected in model.sha256.items():
        if not model.path(name).is_file() or sha256(model.path(name)) != expected:
            raise UserError(
                f"file '{model.path(name)}' is missing or damaged; export the model again"
            )
    return model


def _check(model: ExportedModel) -> None:
    if model.precision not in EXPORT_PRECISIONS:
        raise ValueError(
            f"precision '{model.precision}' is not one of {', '.join(EXPORT_PRECISIONS)}"
        )
    if set(model.sha256) != set(SIGNATURES):
        raise ValueError(f"its graphs are {sorted(model.sha256)}, not {sorted(SIGNATURES)}")
    if not isinstance(model.cameras, int) or model.cameras < 1:
        raise ValueError(f"number of cameras {model.cameras!r} is none")


def describe_export(model: ExportedModel) -> str:
    """Return the content of the description file."""
    content = to_mapping(model)
    del content["folder"]
    return json.dumps(content, indent=2)
