"""From what a user names to a backend."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from streampetr_ros.backends.base import Backend, BackendError
from streampetr_ros.backends.cuda.device import CUDA_GRAPHS, CudaDevice
from streampetr_ros.backends.exported import DESCRIPTION, ExportedModel, open_exported
from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.pytorch.torch_backend import DTYPES, TorchBackend
from streampetr_ros.backends.stand_in import StandInBackend, is_stand_in, stand_in_ms
from streampetr_ros.backends.tensorrt.api import RUNTIMES, load_tensorrt
from streampetr_ros.backends.tensorrt.backend import TensorRtBackend
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import shipped
from streampetr_ros.model.checkpoints.weights import check_model, load_weights
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import Detector, build_detector

AUTO = "auto"
#: What can be asked for.
BACKENDS = (AUTO, "torch", "onnxruntime", *RUNTIMES)
PRECISIONS = (AUTO, *DTYPES)

_LOGGER = logging.getLogger(__name__)
_RANDOM = "random"
_SHIPPED_WEIGHTS = {"tiny": "models/tiny_synthetic.safetensors"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What runs a network, and how.

    Attributes:
        backend: one of `BACKENDS`; "auto" is torch for weights and onnxruntime for graphs.
        device: "cpu", "cuda" or "cuda:N".
        precision: one of `PRECISIONS`; "auto" is fp32 for weights and, for graphs, what they were
            exported in.
        threads: CPU threads; 0 leaves the choice to the runtime.
        cuda_graphs: one of `CUDA_GRAPHS`; for torch and TensorRT on a GPU.
    """

    backend: str = AUTO
    device: str = "cpu"
    precision: str = AUTO
    threads: int = 0
    cuda_graphs: str = AUTO


_PLAIN = Choice()


def open_backend(
    weights: str,
    model: str = "",
    choice: Choice = _PLAIN,
    progress: Callable[[str], None] = _LOGGER.info,
) -> Backend:
    """Open a detector by the name of its weights.

    Args:
        weights: a ``.safetensors`` file, a folder of exported graphs, ``random:SEED`` for
            untrained weights, or ``stand_in:MILLISECONDS`` for something that only takes its time.
        model: name or file, see `detector_config`; empty takes the one stored with the weights.
        choice: what runs it, and how.
        progress: told about engines being built.

    Raises:
        UserError: if the weights cannot be read, are of another model or do not fit the precision,
            or a folder is no complete exported model.
        BackendError: if runtime or device is missing, or does not run what is given or not in
            that precision.
        ConfigError: if there is no such model.
    """
    check_choice(weights, choice)
    if is_exported(weights):
        exported = open_exported(Path(weights))
        check_model(exported.config, model, f"folder '{weights}' holds")
        return _open_graphs(exported, choice, progress)
    if is_stand_in(weights):
        if not model:
            raise UserError(f"'{weights}' needs a model name to stand for; name one")
        return StandInBackend(detector_config(model), stand_in_ms(weights))
    if choice.threads:
        torch.set_num_threads(choice.threads)
    precision = "fp32" if choice.precision == AUTO else choice.precision
    detector = open_detector(weights, model)
    return TorchBackend(detector, choice.device, precision, choice.cuda_graphs)


def check_choice(weights: str, choice: Choice) -> None:
    """Refuse what does not exist, or does not run this kind of weights.

    Args:
        weights: see `open_backend`.
        choice: what is to run them.

    Raises:
        BackendError: naming what to choose.
        UserError: if a folder is no complete exported model.
    """
    _check_backend(weights, choice.backend)
    if choice.cuda_graphs not in CUDA_GRAPHS:
        raise BackendError(
            f"cuda_graphs cannot be '{choice.cuda_graphs}'; choose one of {', '.join(CUDA_GRAPHS)}"
        )
    precision = choice.precision
    if precision not in PRECISIONS:
        raise BackendError(f"no precision '{precision}'; choose one of {', '.join(PRECISIONS)}")
    if precision == AUTO:
        return
    if is_exported(weights):
        found = open_exported(Path(weights)).precision
        if found != precision:
            raise BackendError(
                f"'{weights}' holds {found} graphs, which cannot run in {precision}; export the "
                f"model again with another --precision, or choose precision {found}"
            )
    if is_stand_in(weights):
        raise BackendError(f"'{weights}' computes nothing, in no precision; choose precision auto")


def _check_backend(weights: str, backend: str) -> None:
    if backend not in BACKENDS:
        raise BackendError(f"no backend '{backend}'; choose one of {', '.join(BACKENDS)}")
    exported = is_exported(weights)
    if exported and backend == "torch":
        raise BackendError(
            f"'{weights}' is a folder of exported graphs, which backend torch does not run; "
            "give a weights file, or choose another backend"
        )
    if not exported and backend not in (AUTO, "torch"):
        raise BackendError(
            f"backend '{backend}' runs exported graphs, but '{weights}' is no folder of them; make "
            "one with 'streampetr export'"
        )


def is_exported(weights: str) -> bool:
    """Tell whether weights are a folder of exported graphs."""
    return Path(weights, DESCRIPTION).is_file()


def default_weights(model: str) -> str:
    """Return the weights of a model that come with the package, else random ones."""
    file = shipped(_SHIPPED_WEIGHTS[model]) if model in _SHIPPED_WEIGHTS else None
    return str(file or f"{_RANDOM}:0")


def is_random(weights: str) -> bool:
    """Tell whether weights are named ``random:SEED``."""
    return weights.partition(":")[0] == _RANDOM


def open_detector(weights: str, model: str = "") -> Detector:
    """Load or make a detector.

    Args:
        weights: a ``.safetensors`` file or ``random:SEED``.
        model: name or file, see `detector_config`; empty takes the one stored with the weights.

    Raises:
        UserError: if the weights cannot be read or are of another model.
        ConfigError: if there is no such model.
    """
    if not is_random(weights):
        return load_weights(Path(weights), model)[1]
    seed = weights.partition(":")[2] or "0"
    if not seed.isdecimal():
        raise UserError(f"'{weights}' has no number behind the colon; write random:0")
    if not model:
        raise UserError(f"weights '{weights}' need a model name; name one")
    with torch.random.fork_rng():
        torch.manual_seed(int(seed))
        return build_detector(detector_config(model))


def _open_graphs(model: ExportedModel, choice: Choice, progress: Callable[[str], None]) -> Backend:
    if choice.backend in RUNTIMES:
        runtime = load_tensorrt(choice.backend)
        device = CudaDevice(choice.device, choice.cuda_graphs)
        return TensorRtBackend(model, runtime, device, progress)
    return OnnxBackend(model, choice.device, choice.threads)
