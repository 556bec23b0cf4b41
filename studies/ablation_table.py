#!/usr/bin/env python3
"""Print what memory, ego motion, capture times, cameras and frame rate are worth, as Markdown.

The same weights see the same scenes of the synthetic world, deprived of one thing at a time.
Finished rows and rendered scenes are kept in the folder, so a stopped table goes on where it was.

    python studies/ablation_table.py models/tiny_synthetic.safetensors --workers 2
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before torch starts its threads: one per worker is fastest.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from streampetr_ros.core.errors import UserError
from streampetr_ros.evaluation.metrics import import_devkit
from studies.comparison import HEADER, ROWS, TURNING, Comparison, judge_row, markdown_line


def parsed() -> tuple[Comparison, list[str]]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("weights", type=Path, help="safetensors file of the small model")
    parser.add_argument("--folder", type=Path, default=Path("out/ablation"), help="of kept work")
    parser.add_argument("--seeds", default="0-39", help="FIRST-LAST, both included")
    parser.add_argument("--seconds", type=int, default=6, help="of every scene")
    parser.add_argument("--farthest", type=float, default=40.0, help="largest distance, metres")
    parser.add_argument("--min-visibility", type=float, default=0.0, help="smallest visible share")
    parser.add_argument("--workers", type=int, default=1, help="scenes at a time")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="to print")
    given = vars(parser.parse_args())
    first, _, last = given.pop("seeds").partition("-")
    rows = given.pop("rows")
    return Comparison(seeds=(int(first), int(last or first)), **given), rows


def main() -> int:
    """Judge the rows one after the other."""
    comparison, rows = parsed()
    try:
        import_devkit()
        print(HEADER, "|---" * HEADER.count(" | ") + "|---|", sep="\n", flush=True)
        for name in rows:
            outcome = judge_row(comparison, name)
            print(markdown_line(ROWS[name].title, outcome), flush=True)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    first, last = comparison.seeds
    print(
        f"\nScenes {first} to {last}, {comparison.seconds} s each, one frame set per second judged "
        f"within {comparison.farthest:g} m ({outcome.frames}; turning faster than {TURNING} rad/s: "
        f"{outcome.turning_frames}), visible share at least {comparison.min_visibility:g}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
