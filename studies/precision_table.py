#!/usr/bin/env python3
"""Print what precision and backend cost in mAP, NDS and largest errors, as Markdown.

Every row sees the same pictures of the synthetic world and is judged on the same frames. Graphs are
exported from the same weights. Finished rows and rendered scenes are kept in the folder, so a
stopped table goes on where it was.

    python studies/precision_table.py models/tiny_synthetic.safetensors
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before torch starts its threads: one gives the same numbers on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from streampetr_ros.core.errors import UserError
from streampetr_ros.evaluation.metrics import import_devkit
from studies.precision import HEADER, WAYS, PrecisionStudy, judge_way, markdown_line


def parsed() -> PrecisionStudy:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("weights", type=Path, help="safetensors file")
    parser.add_argument("--folder", type=Path, default=Path("out/precision"), help="of kept work")
    parser.add_argument("--seeds", default="0-19", help="FIRST-LAST, both included")
    parser.add_argument("--frames", type=int, default=20, help="frame sets of every scene, at 2 Hz")
    parser.add_argument("--farthest", type=float, default=40.0, help="largest distance, metres")
    parser.add_argument("--device", default="cpu", help="of PyTorch; graphs run on the CPU")
    parser.add_argument("--workers", type=int, default=1, help="scenes at a time")
    given = vars(parser.parse_args())
    first, _, last = given.pop("seeds").partition("-")
    return PrecisionStudy(seeds=(int(first), int(last or first)), **given)


def main() -> int:
    """Judge every way of running, one after the other."""
    try:
        study = parsed()
        import_devkit()
        print(HEADER, flush=True)
        exact = judge_way(study, WAYS[0])
        for way in WAYS:
            print(markdown_line(way, judge_way(study, way), exact), flush=True)
    except (UserError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    first, last = study.seeds
    print(
        f"\nScenes {first} to {last}, {study.frames} frame sets each, 2 Hz ({exact.frames} judged "
        f"within {study.farthest:g} m). Largest differences of outputs from the first row on the "
        "frame sets of the first scene."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
