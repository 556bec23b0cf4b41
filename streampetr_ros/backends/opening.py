"""From what a user names to a backend."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from streampetr_ros.backends.base import Backend
from streampetr_ros.backends.exported import DESCRIPTION
from streampetr_ros.backends.torch_backend import TorchBackend
from streampetr_ros.model.checkpoint import CheckpointError, load_weights
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import Detector, build_detector

_RANDOM = "random"
#: Folders of weights that come with the package: beside the sources, and where it is installed.
_SHIPPED_IN = (
    Path(__file__).resolve().parents[2] / "models",
    *(
        Path(prefix) / "share" / "streampetr_ros" / "models"
        for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        if prefix
    ),
)
_SHIPPED_FILES = {"tiny": "tiny_synthetic.safetensors"}


def open_backend(weights: str, model: str = "", device: str = "cpu", threads: int = 0) -> Backend:
    """Open a detector by the name of its weights.

    Args:
        weights: a ``.safetensors`` file, a folder of exported graphs, or ``random:SEED`` for
            untrained weights.
        model: configuration name; empty takes the one stored with the weights.
        device: "cpu", "cuda" or "cuda:N".
        threads: CPU threads; 0 leaves the choice to the runtime.

    Raises:
        CheckpointError: if the weights cannot be read or are of another model.
        BackendError: if runtime or device is missing.
        ExportError: if a folder is no complete exported model.
        ValueError: if there is no model of that name.
    """
    if is_exported(weights):
        return _open_exported(Path(weights), model, device, threads)
    if threads:
        torch.set_num_threads(threads)
    return TorchBackend(open_detector(weights, model), device)


def is_exported(weights: str) -> bool:
    """Tell whether weights are a folder of exported graphs."""
    return Path(weights, DESCRIPTION).is_file()


def default_weights(model: str) -> str:
    """Return the weights of a model that come with the package, else random ones."""
    files = [folder / _SHIPPED_FILES[model] for folder in _SHIPPED_IN if model in _SHIPPED_FILES]
    return next((str(file) for file in files if file.is_file()), f"{_RANDOM}:0")


def is_random(weights: str) -> bool:
    """Tell whether weights are named ``random:SEED``."""
    return weights.partition(":")[0] == _RANDOM


def open_detector(weights: str, model: str = "") -> Detector:
    """Load or make a detector.

    Args:
        weights: a ``.safetensors`` file or ``random:SEED``.
        model: configuration name; empty takes the one stored with the weights.

    Raises:
        CheckpointError: if the weights cannot be read or are of another model.
        ValueError: if there is no model of that name.
    """
    if not is_random(weights):
        return load_weights(Path(weights), model or None)[1]
    seed = weights.partition(":")[2] or "0"
    if not seed.isdecimal():
        raise CheckpointError(f"'{weights}' has no number behind the colon; write random:0")
    if not model:
        raise CheckpointError(f"weights '{weights}' need a model name; name one")
    with torch.random.fork_rng():
        torch.manual_seed(int(seed))
        return build_detector(detector_config(model))


def _open_exported(folder: Path, model: str, device: str, threads: int) -> Backend:
    # onnxruntime is optional and slow to load.
    from streampetr_ros.backends.onnx_backend import OnnxBackend  # noqa: PLC0415

    backend = OnnxBackend(folder, device, threads)
    if model and backend.config.name != model:
        raise CheckpointError(
            f"folder '{folder}' holds model '{backend.config.name}', not '{model}'; choose that "
            "model"
        )
    return backend
