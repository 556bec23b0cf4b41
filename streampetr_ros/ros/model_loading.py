"""From parameters to a backend that holds the weights."""

from __future__ import annotations

from pathlib import Path

import torch

from streampetr_ros.backends.base import Backend
from streampetr_ros.backends.torch_backend import TorchBackend
from streampetr_ros.model.checkpoint import load_weights
from streampetr_ros.model.config import MODEL_NAMES, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.ros.parameter_tree import ParameterError
from streampetr_ros.ros.params import ModelParameters

_RANDOM = "random"


def load_backend(parameters: ModelParameters) -> Backend:
    """Build the network with its weights on its device.

    Raises:
        ParameterError: if no weights or no such model are named.
        CheckpointError: if the weights cannot be used.
        BackendError: if the device is not there.
    """
    if not parameters.weights:
        raise ParameterError(
            "parameter 'model.weights' is empty; name a .safetensors file written by 'streampetr "
            "convert', or 'random:0' to try topics and timing without trained weights"
        )
    return TorchBackend(_detector(parameters), parameters.device)


def _detector(parameters: ModelParameters) -> Detector:
    kind, _, seed = parameters.weights.partition(":")
    if kind == _RANDOM:
        return _random_detector(parameters.name, seed)
    _, detector = load_weights(Path(parameters.weights), parameters.name or None)
    return detector


def _random_detector(name: str, seed: str) -> Detector:
    if seed and not seed.isdecimal():
        raise ParameterError(
            f"parameter 'model.weights' is 'random:{seed}' but a whole number must follow the colon"
        )
    if name not in MODEL_NAMES:
        raise ParameterError(
            f"parameter 'model.name' is '{name}' but random weights need one of "
            f"{', '.join(MODEL_NAMES)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed or 0))
        return build_detector(detector_config(name))
