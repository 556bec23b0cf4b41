#!/usr/bin/env python3
"""Print what precision and backend cost in mAP and NDS, as Markdown.

Every row sees the same pictures of the synthetic world and is judged on the same frames, as by
`streampetr evaluate --source synthetic:0-3 --every 5 --judge-every 5 --farthest 40`. Graphs are
exported from the same weights, and checked against PyTorch on the way.

    python scripts/precision_table.py models/tiny_synthetic.safetensors
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

# Before torch starts its threads: one gives the same numbers on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.exported import PRECISIONS, ExportError
from streampetr_ros.backends.opening import Choice, open_detector
from streampetr_ros.backends.torch_backend import KINDS
from streampetr_ros.evaluation.metrics import (
    EvaluationError,
    Metrics,
    Scope,
    import_devkit,
    run_devkit,
    summarise,
)
from streampetr_ros.evaluation.scenes import Protocol, SceneRecords, run_scene
from streampetr_ros.evaluation.streams import open_scene, open_stream, scene_names
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.model.checkpoint import CheckpointError

HEADER = "| backend | precision | mAP | NDS | mAP - torch fp32 | NDS - torch fp32 |"


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("weights", help="safetensors file")
    parser.add_argument("--source", default="synthetic:0-3", help="as of streampetr evaluate")
    parser.add_argument("--every", type=int, default=5, help="one frame set of so many")
    parser.add_argument("--farthest", type=float, default=40.0, help="largest distance, metres")
    parser.add_argument("--max-frames", type=int, default=0, help="of a scene; 0: all")
    parser.add_argument("--device", default="cpu", help="of PyTorch; graphs run on the CPU")
    return parser.parse_args()


def runs(weights: str, device: str, folder: Path) -> Iterator[tuple[str, Choice]]:
    """Yield weights or exported graphs, and what runs them."""
    for precision in KINDS:
        yield weights, Choice(backend="torch", device=device, precision=precision, threads=1)
    detector = open_detector(weights)
    for precision in PRECISIONS:
        export_onnx(detector, folder / precision, precision=precision)
        choice = Choice(backend="onnxruntime", precision=precision, threads=1)
        yield str(folder / precision), choice


def judged(given: argparse.Namespace, folder: Path) -> tuple[int, dict[Choice, Metrics]]:
    """Return the number of judged frame sets and the metrics of every run."""
    protocol = Protocol(every=given.every, judge_every=given.every, max_frames=given.max_frames)
    wanted = list(runs(given.weights, given.device, folder))
    records = {choice: SceneRecords() for _, choice in wanted}
    for scene in scene_names(given.source):
        # Rendered once for all of them.
        count = -(-given.max_frames // given.every) or None
        frame_sets = list(islice(open_scene(scene, given.every), count))
        for weights, choice in wanted:
            step = open_stream(weights, choice=choice)
            records[choice].merge(run_scene(frame_sets, step, protocol))
        print(f"{scene}: {len(frame_sets)} frame sets", file=sys.stderr, flush=True)
    scope = Scope(farthest=given.farthest)
    return len(next(iter(records.values())).truth), {
        choice: summarise(run_devkit(found.truth, found.detections, found.places, scope))
        for choice, found in records.items()
    }


def table(results: dict[Choice, Metrics]) -> list[str]:
    """Lay out one line per run; the first one is what the others are compared with."""
    exact = next(iter(results.values()))
    return [HEADER, "|---" * (HEADER.count("|") - 1) + "|"] + [
        f"| {choice.backend} | {choice.precision} | {found.mean_ap:.4f} | {found.score:.4f} | "
        f"{found.mean_ap - exact.mean_ap:+.4f} | {found.score - exact.score:+.4f} |"
        for choice, found in results.items()
    ]


def main() -> int:
    """Judge every run."""
    given = parsed()
    try:
        import_devkit()
        with tempfile.TemporaryDirectory() as folder:
            frames, results = judged(given, Path(folder))
    except (BackendError, CheckpointError, EvaluationError, ExportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(table(results)))
    print(f"\n{given.source}, {frames} frame sets, within {given.farthest:g} m.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
