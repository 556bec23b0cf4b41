"""Turns a finished run into weights that ship: one file, and a manifest that accounts for it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.core.config import load_config, to_mapping
from streampetr_ros.core.files import replacing, sha256
from streampetr_ros.evaluation.report import Evaluation, evaluate
from streampetr_ros.evaluation.scenes import Protocol
from streampetr_ros.model.checkpoints.weights import load_weights, read_metadata
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.run.start import WEIGHTS_FILE

#: Largest weights file that may ship, bytes.
LARGEST = 16 * 2**20

_LICENCE = "Apache-2.0"
# A detector that is as good as when it shipped loses a little to other versions of PyTorch only.
_SLACK = 0.9
_SUFFIX = ".yaml"
#: Settings that name files of the machine the run was on, and do not shape the result.
_LOCAL_SETTINGS = ("cache", "root")


class ShippingError(RuntimeError):
    """Weights that cannot ship; the message names the file and the remedy."""


def quick_check(weights: Path) -> float:
    """Return the mAP within 40 m on a short drive that never changes: 20 frame sets of 2 scenes.

    The drive goes through the same pipeline as that of the node.
    """
    protocol = Protocol(every=5, judge_every=5, max_frames=50)
    wanted = Evaluation(
        weights=str(weights), source="synthetic:0-1", protocol=protocol, farthest=40.0
    )
    return evaluate(wanted).report.overall.mean_ap


def ship(run: Path, metrics: Path, target: Path) -> dict[str, Any]:
    """Copy the weights of a run and write their manifest beside them.

    Args:
        run: result folder of the training.
        metrics: written by ``streampetr evaluate --json``.
        target: weights file to write; the manifest has the same name and ends in ``.yaml``.

    Returns:
        The manifest.

    Raises:
        ShippingError: if a file is missing, unreadable, too large or of other weights.
        CheckpointError: if the weights cannot be read.
    """
    weights = run / WEIGHTS_FILE
    config, _ = load_weights(weights)
    recipe = load_config(run / "config.yaml", TrainConfig)
    size = weights.stat().st_size
    if size > LARGEST:
        raise ShippingError(
            f"'{weights}' has {size} bytes, more than the {LARGEST} that ship; use a smaller model"
        )
    details = read_metadata(weights)
    numbers = _metrics(metrics, sha256(weights))
    mean_ap = quick_check(weights)
    if _at_least(mean_ap) <= 0:
        raise ShippingError(f"'{weights}' finds nothing (mAP {mean_ap:.3f}); train on")
    manifest = {
        "file": target.name,
        "sha256": sha256(weights),
        "bytes": size,
        "licence": _LICENCE,
        "model": config.name,
        "seed": int(details["seed"]),
        "steps": int(details["step"]),
        "training_intervals_s": sorted(set(recipe.data.intervals)),
        "metrics": numbers,
        "quick_check": {"mAP": round(mean_ap, 4), "at_least": _at_least(mean_ap)},
        "recipe": _without_local(to_mapping(recipe)),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        shutil.copyfile(weights, temporary)
    with replacing(manifest_path(target)) as temporary:
        temporary.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    return manifest


def manifest_path(weights: Path) -> Path:
    """Return where the manifest of a weights file lies."""
    return weights.with_suffix(_SUFFIX)


def read_manifest(weights: Path) -> dict[str, Any]:
    """Read the manifest of a weights file and check that it is about this very file.

    Raises:
        ShippingError: if it is missing, incomplete or of another file.
    """
    path = manifest_path(weights)
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        expected = manifest["sha256"]
    except OSError as error:
        raise ShippingError(f"cannot read manifest '{path}': {error.strerror}") from error
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise ShippingError(f"'{path}' is no manifest of weights; write it again") from error
    if expected != sha256(weights):
        raise ShippingError(
            f"'{weights}' is not the file that '{path}' is about; restore both from the same commit"
        )
    return dict(manifest)


def _metrics(path: Path, digest: str) -> dict[str, Any]:
    """Take the numbers of an evaluation and how they were made, without names of local files."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        evaluation = content["evaluation"]
        if content["weights_sha256"] != digest:
            raise ShippingError(f"'{path}' judges other weights; evaluate those of this run")
        return {
            "source": evaluation["source"],
            "protocol": evaluation["protocol"],
            "farthest_m": evaluation["farthest"],
            "frames": content["frames"],
            "overall": content["overall"],
            "by_distance": content["by_distance"],
        }
    except OSError as error:
        raise ShippingError(f"cannot read metrics '{path}': {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ShippingError(
            f"'{path}' holds no metrics; write it with: streampetr evaluate WEIGHTS --json FILE"
        ) from error


def _at_least(mean_ap: float) -> float:
    return math.floor(100 * _SLACK * mean_ap) / 100


def _without_local(recipe: dict[str, Any]) -> dict[str, Any]:
    data = {key: value for key, value in recipe["data"].items() if key not in _LOCAL_SETTINGS}
    # The folder of a run has the name of its recipe, the folders above are those of a machine.
    starts = {
        key: "/".join(Path(recipe[key]).parts[-2:])
        for key in ("initial_weights", "initial_heads", "backbone_weights")
    }
    return recipe | starts | {"data": data}
