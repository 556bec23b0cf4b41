"""Weights on disk: our own files, and strict reading of published checkpoints.

Own files are safetensors with the detector's configuration as JSON in the metadata. Published
checkpoints are read with ``weights_only=True``: nothing in them is executed.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streampetr_ros.core.config import from_mapping, to_mapping
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import replacing
from streampetr_ros.core.reading import parse_json
from streampetr_ros.model.checkpoints import published as official
from streampetr_ros.model.config import DetectorConfig, detector_config, is_model_file, model_name
from streampetr_ros.model.detector import Detector, build_detector

#: Tolerance when constants in a published checkpoint are compared with the configuration.
_CONSTANT_TOLERANCE = 1e-5
_CONFIG_FIELD = "streampetr_config"


def config_to_json(config: DetectorConfig) -> str:
    """Serialise a configuration."""
    return json.dumps(to_mapping(config))


def config_from_json(text: str) -> DetectorConfig:
    """Read a configuration back.

    Raises:
        ConfigError: if it has unknown or missing entries.
        FileError: if it is not JSON.
    """
    return from_mapping(DetectorConfig, parse_json(text, "detector configuration"))


def check_model(found: DetectorConfig, wanted: str, what: str) -> None:
    """Refuse weights of another model than the one asked for.

    Args:
        found: configuration stored with the weights.
        wanted: see `detector_config`; empty takes any. Of a shipped model only the name has to
            agree, of a user's file everything but what is for training alone.
        what: the weights as the beginning of a sentence that names a model.

    Raises:
        UserError: naming both.
    """
    name = model_name(wanted)
    if name not in ("", found.name):
        raise UserError(f"{what} model '{found.name}', not '{name}'; choose that model")
    if not is_model_file(wanted):
        return
    described = to_mapping(detector_config(wanted))
    for key, value in to_mapping(found).items():
        if key != "dropout" and value != described[key]:
            raise UserError(
                f"{what} model '{name}' with {key} {value}, but '{wanted}' says {described[key]}; "
                "give the file as it was for these weights, or other weights"
            )


def save_weights(path: Path, detector: Detector, metadata: Mapping[str, str] | None = None) -> None:
    """Write a detector with its configuration; the file appears whole or not at all.

    Args:
        path: target; an existing file is replaced.
        detector: weights and configuration.
        metadata: further text entries for the header, such as recipe and seed.

    Raises:
        UserError: if the file cannot be written.
    """
    header = dict(metadata or {}) | {_CONFIG_FIELD: config_to_json(detector.config)}
    save_tensors(path, detector.state_dict(), header)


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors; the file appears whole or not at all.

    Args:
        path: target; an existing file is replaced.
        tensors: by name, on any device.
        metadata: text entries for the header.

    Raises:
        UserError: if the file cannot be written.
    """
    plain = {key: value.contiguous().cpu() for key, value in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.touch()
            permissions = partial.stat().st_mode
            save_file(plain, partial, metadata=dict(metadata or {}))
            # safetensors makes files that only their owner can read.
            partial.chmod(permissions)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write weights to '{path}': {error}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the header entries of an own weights file.

    Raises:
        UserError: if the file is missing, truncated or of another kind.
    """
    with _opened(path) as file:
        return dict(file.metadata() or {})


def load_weights(path: Path, model: str = "") -> tuple[DetectorConfig, Detector]:
    """Read a detector from an own weights file.

    Args:
        path: a ``.safetensors`` file written by `save_weights`.
        model: that the caller expects, see `check_model`.

    Returns:
        Configuration and detector on the CPU, in evaluation mode.

    Raises:
        UserError: if the file is missing, truncated, of another kind or another model.
    """
    metadata = read_metadata(path)
    if _CONFIG_FIELD not in metadata:
        raise UserError(
            f"weights '{path}' carry no detector configuration; write them with "
            "'streampetr convert' or 'streampetr train'"
        )
    try:
        config = config_from_json(metadata[_CONFIG_FIELD])
    except ValueError as error:
        raise UserError(f"weights '{path}' have an unreadable header: {error}") from error
    check_model(config, model, f"weights '{path}' are for")
    with _opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    detector = build_detector(config)
    _fill(detector, tensors, path)
    return config, detector.eval()


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"weights file '{path}' does not exist; check the path")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"weights '{path}' are not a complete safetensors file ({error}); "
            "copy the file again, or convert a .pth with 'streampetr convert'"
        ) from error


def _fill(detector: Detector, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into the detector; every key must fit exactly."""
    expected = detector.state_dict()
    missing = sorted(expected.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - expected.keys())
    if missing or unknown:
        problem = f"lack '{missing[0]}'" if missing else f"have the unknown key '{unknown[0]}'"
        raise UserError(
            f"weights '{path}' {problem} ({len(missing)} missing, {len(unknown)} unknown keys); "
            f"they are of another architecture than '{detector.config.name}'"
        )
    for key, value in tensors.items():
        if value.shape != expected[key].shape:
            raise UserError(
                f"weights '{path}': '{key}' has shape {tuple(value.shape)} instead of "
                f"{tuple(expected[key].shape)}; they are of another architecture than "
                f"'{detector.config.name}'"
            )
        if not bool(torch.isfinite(value).all()):
            raise UserError(
                f"weights '{path}': '{key}' holds values that are not finite; the file comes from "
                "a training that diverged, or is damaged"
            )
    detector.load_state_dict(tensors)


def convert(path: Path, model: str) -> Detector:
    """Read a published ``.pth`` checkpoint strictly.

    Args:
        path: checkpoint of the original framework.
        model: that it belongs to, see `detector_config`.

    Returns:
        The detector, in evaluation mode.

    Raises:
        UserError: if anything about the file does not fit exactly.
        ValueError: if there is no model of that name.
    """
    return load_official(read_official(path), detector_config(model), path)


def read_official(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a published checkpoint without executing anything in it.

    Raises:
        UserError: if the file is missing, truncated, not a checkpoint or contains code.
    """
    if not path.is_file():
        raise UserError(f"checkpoint '{path}' does not exist; check the path")
    try:
        with torch.serialization.safe_globals(_plain_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint '{path}' is damaged or contains more than weights and was not executed; "
            "download it again from its source"
        ) from error
    except Exception as error:  # damaged files bring about errors of any kind
        raise UserError(
            f"checkpoint '{path}' is truncated or not a PyTorch file; download it again"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(map(_is_weight, state.items())):
        raise UserError(
            f"checkpoint '{path}' holds no state dict of tensors; choose a file of trained weights"
        )
    wrapper = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(wrapper): value for key, value in state.items()}


def _plain_numbers() -> list[Any]:
    """Name NumPy's scalars as harmless: logs that training frameworks store may contain some."""
    rebuild = np.float64(0.0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")]
    return [np.dtype, *kinds, *((rebuild, name) for name in names)]


def _is_weight(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def load_official(state: Mapping[str, Tensor], config: DetectorConfig, path: Path) -> Detector:
    """Build a detector from a published state dict; every key must be consumed exactly once.

    Constants are compared with the configuration, the copies of the shared branches with each
    other, and the 2D auxiliary head is set aside.

    Raises:
        UserError: naming the first key that does not fit.
    """
    _check_constants(state, config, path)
    _check_branches(state, config.num_layers, path)
    known_constants = official.constants(config)
    detector = build_detector(config)
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in known_constants or key.startswith(official.IMAGE_HEAD_PREFIX):
            continue
        if official.branch_copy(key) not in (None, key):
            continue
        translated = official.own_key(key, detector.backbone)
        if translated is None or translated in tensors:
            raise UserError(
                f"checkpoint '{path}' has the key '{key}', which model '{config.name}' does not "
                "know or already has; choose the model it was trained as"
            )
        tensors[translated] = value
    own = detector.state_dict()
    for key in own:
        # Older files do not count batches; evaluation never reads the counter.
        if key.endswith("num_batches_tracked"):
            tensors.setdefault(key, own[key])
    _fill(detector, tensors, path)
    return detector.eval()


def _check_constants(state: Mapping[str, Tensor], config: DetectorConfig, path: Path) -> None:
    for key, expected in official.constants(config).items():
        if key not in state:
            raise UserError(
                f"checkpoint '{path}' lacks '{key}'; it is not a checkpoint of this model family"
            )
        stored = state[key].float()
        same = stored.shape == expected.shape and bool(
            torch.allclose(stored, expected, rtol=0.0, atol=_CONSTANT_TOLERANCE)
        )
        if not same:
            raise UserError(
                f"checkpoint '{path}': '{key}' is {stored.flatten().tolist()[:6]}, but model "
                f"'{config.name}' expects {expected.tolist()[:6]}; choose the model it was "
                "trained as"
            )


def _check_branches(state: Mapping[str, Tensor], layers: int, path: Path) -> None:
    copies: dict[str, int] = {}
    for key, value in state.items():
        first = official.branch_copy(key)
        if first is None:
            continue
        if first not in state or not torch.equal(value, state[first]):
            raise UserError(
                f"checkpoint '{path}': '{key}' differs from '{first}', but the prediction "
                "branches of this model are shared by all layers"
            )
        copies[first] = copies.get(first, 0) + 1
    for first, count in copies.items():
        if count != layers:
            raise UserError(
                f"checkpoint '{path}' has {count} copies of '{first}' instead of {layers}; it is "
                "damaged or of another model"
            )
