#!/usr/bin/env python3
"""Copy the weights of a finished run to models/ and write the manifest that accounts for them.

Measures the short drive that the tests repeat, and takes everything else from the run and from an
evaluation of its weights:

    streampetr evaluate out/train/tiny_synthetic/model.safetensors --source synthetic:0-39 \
        --every 5 --judge-every 5 --farthest 40 --json out/evaluation.json
    python studies/ship_weights.py out/train/tiny_synthetic --metrics out/evaluation.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from streampetr_ros.core.errors import UserError
from streampetr_ros.evaluation.shipping import ShippingError, manifest_path, ship

TARGET = Path(__file__).resolve().parents[1] / "models" / "tiny_synthetic.safetensors"


def main() -> int:
    """Ship one run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="result folder of the training")
    parser.add_argument("--metrics", type=Path, required=True, help="of streampetr evaluate --json")
    parser.add_argument("--target", type=Path, default=TARGET, help="weights file to write")
    given = parser.parse_args()
    try:
        manifest = ship(given.run, given.metrics, given.target)
    except (UserError, OSError, ShippingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {given.target} and {manifest_path(given.target).name}: {manifest['quick_check']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
