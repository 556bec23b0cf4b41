"""Copy the weights of a finished run to models/ and write the manifest that accounts for them.

Measures the short drive that the tests repeat, and takes everything else from the run and from an
evaluation of its weights:

    streampetr evaluate out/train/tiny_synthetic/model.safetensors --source synthetic:0-39 \
        --every 5 --judge-every 5 --farthest 40 --json out/evaluation.json
    python studies/ship_weights.py out/train/tiny_synthetic --metrics out/evaluation.json
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.core.config import load_config, to_mapping
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import replacing, sha256
from streampetr_ros.evaluation.report import Evaluation, evaluate
from streampetr_ros.evaluation.scenes import Protocol
from streampetr_ros.model.checkpoints.weights import load_weights, read_metadata
from streampetr_ros.model.config import model_name
from streampetr_ros.tools.check.weights import manifest_path
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.run.start import WEIGHTS_FILE

TARGET = Path(__file__).resolve().parents[1] / "models" / "tiny_synthetic.safetensors"

#: Largest weights file that may ship, bytes.
LARGEST = 16 * 2**20

_LICENCE = "Apache-2.0"
# A detector that is as good as when it shipped loses a little to other versions of PyTorch only.
_SLACK = 0.9
#: Settings that name files of the machine the run was on, and do not shape the result.
_LOCAL_SETTINGS = ("cache", "root")


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
        UserError: if a file is missing, unreadable, too large or of other weights.
    """
    weights = run / WEIGHTS_FILE
    config, _ = load_weights(weights)
    recipe = load_config(run / "config.yaml", TrainConfig)
    size = weights.stat().st_size
    if size > LARGEST:
        raise UserError(
            f"'{weights}' has {size} bytes, more than the {LARGEST} that ship; use a smaller model"
        )
    details = read_metadata(weights)
    numbers = _metrics(metrics, sha256(weights))
    mean_ap = quick_check(weights)
    if _at_least(mean_ap) <= 0:
        raise UserError(f"'{weights}' finds nothing (mAP {mean_ap:.3f}); train on")
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


def _metrics(path: Path, digest: str) -> dict[str, Any]:
    """Take the numbers of an evaluation and how they were made, without names of local files."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        evaluation = content["evaluation"]
        if content["weights_sha256"] != digest:
            raise UserError(f"'{path}' judges other weights; evaluate those of this run")
        return {
            "source": evaluation["source"],
            "protocol": evaluation["protocol"],
            "farthest_m": evaluation["farthest"],
            "frames": content["frames"],
            "overall": content["overall"],
            "by_distance": content["by_distance"],
        }
    except OSError as error:
        raise UserError(f"cannot read metrics '{path}': {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
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
    return recipe | starts | {"model": model_name(recipe["model"]), "data": data}


def main() -> None:
    """Ship one run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="result folder of the training")
    parser.add_argument("--metrics", type=Path, required=True, help="of streampetr evaluate --json")
    parser.add_argument("--target", type=Path, default=TARGET, help="weights file to write")
    given = parser.parse_args()
    try:
        manifest = ship(given.run, given.metrics, given.target)
    except (UserError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"wrote {given.target} and {manifest_path(given.target).name}: {manifest['quick_check']}")


if __name__ == "__main__":
    main()
