"""Whether the weights that a node is to run are there, whole, and fit the cameras' pace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.backends.cuda.device import CudaDevice
from streampetr_ros.backends.exported import ExportedModel, open_exported
from streampetr_ros.backends.opening import check_choice, is_exported, is_random
from streampetr_ros.backends.stand_in import is_stand_in
from streampetr_ros.backends.tensorrt.api import RUNTIMES, load_tensorrt
from streampetr_ros.backends.tensorrt.build import Engines
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import sha256
from streampetr_ros.core.reading import read_yaml
from streampetr_ros.model.checkpoints.weights import check_model, load_weights
from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.parameters.node import ModelParameters

#: Frame sets may come this much slower than in training before it is worth a word.
_SLOWER = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsReport:
    """What was found; sentences as in `BagReport`."""

    facts: tuple[str, ...]
    problems: tuple[str, ...]


def check_weights(wanted: ModelParameters, period_s: float) -> WeightsReport:
    """Look at weights and engines; nothing is run or built.

    Args:
        wanted: what is to run.
        period_s: time between frame sets; 0 if it is not known.
    """
    facts: list[str] = []
    problems: list[str] = []
    try:
        check_choice(wanted.weights, wanted.choice)
        facts.extend(_lines(wanted, period_s, problems.append))
    except UserError as error:
        problems.append(str(error))
    return WeightsReport(facts=tuple(facts), problems=tuple(problems))


def manifest_path(weights: Path) -> Path:
    """Return where the manifest of a weights file lies."""
    return weights.with_suffix(".yaml")


def read_manifest(weights: Path) -> dict[str, Any]:
    """Read the manifest of a weights file and check that it is about this very file.

    Raises:
        UserError: if it is missing, incomplete or of another file.
    """
    path = manifest_path(weights)
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        expected = manifest["sha256"]
    except OSError as error:
        raise UserError(f"cannot read manifest '{path}': {error.strerror}") from error
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise UserError(f"'{path}' is no manifest of weights; write it again") from error
    if expected != sha256(weights):
        raise UserError(
            f"'{weights}' is not the file that '{path}' is about; restore both from the same commit"
        )
    return dict(manifest)


def _lines(
    wanted: ModelParameters, period_s: float, problem: Callable[[str], None]
) -> Iterable[str]:
    weights = wanted.weights
    if is_random(weights) or is_stand_in(weights):
        if wanted.name:
            detector_config(wanted.name)
        yield f"weights {weights}: nothing is trained, so boxes mean nothing"
        return
    if is_exported(weights):
        model = open_exported(Path(weights))
        check_model(model.config, wanted.name, f"folder '{weights}' holds")
        yield (
            f"weights {weights}: {model.config.name} as {model.precision} graphs for "
            f"{model.cameras} cameras, checksums fit"
        )
        yield from _pace(model.config, {}, period_s, problem)
        yield from _engines(model, wanted)
        return
    config, _ = load_weights(Path(weights), wanted.name)
    manifest = _manifest(Path(weights), problem)
    about = "as its manifest says" if manifest else "no manifest beside it"
    yield f"weights {weights}: {config.name}, SHA-256 {sha256(Path(weights))[:12]}, {about}"
    yield from _pace(config, manifest, period_s, problem)


def _manifest(weights: Path, problem: Callable[[str], None]) -> dict[str, Any]:
    """Read what a manifest says about the file, if there is one and not the file of its model."""
    path = manifest_path(weights)
    if not path.is_file():
        return {}
    try:
        content = read_yaml(path, "manifest")
        is_model = isinstance(content, dict) and "backbone" in content
        return {} if is_model else read_manifest(weights)
    except UserError as error:
        problem(str(error))
        return {}


def _pace(
    config: DetectorConfig,
    manifest: dict[str, Any],
    period_s: float,
    problem: Callable[[str], None],
) -> Iterable[str]:
    """Compare the time between frame sets with that of training."""
    if not config.temporal:
        return
    trained = [float(each) for each in manifest.get("training_intervals_s") or ()]
    slowest = max([*trained, config.training_interval])
    listed = ", ".join(f"{each:g}" for each in sorted({*trained, config.training_interval}))
    if period_s > _SLOWER * slowest:
        problem(
            f"a frame set comes every {period_s:.3f} s but the weights were trained at {listed} s, "
            "so that the memory is older than it ever was in training; raise the rate of the "
            "cameras"
        )
    elif period_s:
        yield (
            f"trained at {listed} s between frames, cameras give {period_s:.3f} s; by default the "
            f"memory is written every {config.training_interval:g} s"
        )


def _engines(model: ExportedModel, wanted: ModelParameters) -> Iterable[str]:
    """Say what a start on TensorRT would find."""
    if wanted.backend in RUNTIMES:
        runtime = load_tensorrt(wanted.backend)
        yield f"runtime {runtime.title} is installed"
        capability = CudaDevice(wanted.device).compute_capability
        yield from Engines(runtime=runtime, model=model, compute_capability=capability).states()
