"""Weights files of this project: safetensors with the whole configuration as JSON in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streampetr_ros.core.config import from_mapping, to_mapping
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import replacing
from streampetr_ros.core.reading import parse_json
from streampetr_ros.model.config import DetectorConfig, detector_config, is_model_file, model_name
from streampetr_ros.model.detector import Detector, build_detector

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
    with _opened(path) as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
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
    detector = build_detector(config)
    fill_detector(detector, tensors, path)
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


def fill_detector(detector: Detector, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a detector.

    Args:
        detector: changed in place.
        tensors: of exactly its keys and shapes.
        path: that they came from, for the sentence.

    Raises:
        UserError: naming the first that does not fit.
    """
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
