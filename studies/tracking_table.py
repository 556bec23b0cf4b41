"""Compare the tracker with the greedy baseline on trajectories with simulated detector faults.

The trajectories come from a recording with truth (such as a nuScenes sequence file) or from the
synthetic world; the detections from `NoisyDetector`, one run per seed; the numbers from the
TrackingEval of nuscenes-devkit. The tracker's default settings were chosen with detector seeds
100-104, which this script never uses (it multiplies its seeds by 1000), and looked at on synthetic
worlds 100-103, which should not be used here. The last column is CPU time, records included.

    python studies/tracking_table.py --drive synthetic:0-3 --seeds 0 1 2
    python studies/tracking_table.py --drive "$STREAMPETR_DATA/nusc_mini_val_meta" --seeds 0 1 2 3 4
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.result_file import read_drives
from streampetr_ros.evaluation.tracking import (
    RecordTracker,
    TrackingScores,
    evaluate_tracks,
    own_tracker,
    track_scenes,
)
from streampetr_ros.nuscenes.results import Record, detection_records
from studies.drives import densified, synthetic_drive
from studies.greedy_baseline import GreedyConfig, greedy_tracker
from studies.noisy_detector import NoisyDetector
from studies.rendered_scenes import seed_range

TRACKERS: dict[str, Callable[[], RecordTracker]] = {
    "greedy": greedy_tracker,
    "greedy, score 0.1": lambda: greedy_tracker(GreedyConfig(score_threshold=0.1)),
    "ours": own_tracker,
}
HEADER = "| tracker | seed | AMOTA | AMOTP (m) | MOTA | IDS | FRAG | recall | ms per frame |"


def open_drives(spec: str) -> list[FrameSet]:
    """Open ``synthetic:FIRST-LAST`` or a path."""
    kind, _, seeds = spec.partition(":")
    if kind != "synthetic":
        return read_drives(Path(spec))
    first, last = seed_range(seeds)
    worlds = range(first, last + 1)
    return [frame_set for world in worlds for frame_set in synthetic_drive(world)]


def simulate(frame_sets: Sequence[FrameSet], seed: int) -> dict[str, list[Record]]:
    """Detect every frame set, with a detector of its own for every scene."""
    detectors: dict[str, NoisyDetector] = {}
    records = {}
    for frame_set in frame_sets:
        name = frame_set.sequence
        scene_seed = 1000 * seed + len(detectors)
        detector = detectors.setdefault(name, NoisyDetector(scene_seed))
        records[frame_set.token] = detection_records(detector.step(frame_set), frame_set)
    return records


def row(name: str, seed: str, scores: TrackingScores, milliseconds: float) -> str:
    """Format a line of the table."""
    return (
        f"| {name} | {seed} | {scores.amota:.3f} | {scores.amotp:.3f} | {scores.mota:.3f} "
        f"| {scores.switches} | {scores.fragments} | {scores.recall:.3f} | {milliseconds:.1f} |"
    )


def mean(all_scores: Sequence[TrackingScores]) -> TrackingScores:
    """Average over seeds."""
    names = ("amota", "amotp", "mota", "recall")
    return replace(
        all_scores[0],
        switches=round(statistics.mean(scores.switches for scores in all_scores)),
        fragments=round(statistics.mean(scores.fragments for scores in all_scores)),
        **{name: statistics.mean(getattr(s, name) for s in all_scores) for name in names},
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--drive", default="synthetic:0-3", help="path or synthetic:FIRST-LAST")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the detector")
    parser.add_argument("--times-rate", type=int, default=1, help="feed at so many times the rate")
    arguments = parser.parse_args()
    judged = open_drives(arguments.drive)
    fed = densified(judged, arguments.times_rate) if arguments.times_rate > 1 else judged
    collected: dict[str, list[tuple[TrackingScores, float]]] = {name: [] for name in TRACKERS}
    print(HEADER, "|---|---|---|---|---|---|---|---|---|", sep="\n", flush=True)
    for seed in arguments.seeds:
        detections = simulate(fed, seed)
        for name, new_tracker in TRACKERS.items():
            started = time.process_time()
            results = track_scenes(fed, detections, new_tracker)
            milliseconds = 1e3 * (time.process_time() - started) / len(fed)
            kept = {frame_set.token: results[frame_set.token] for frame_set in judged}
            scores = evaluate_tracks(judged, kept)
            collected[name].append((scores, milliseconds))
            print(row(name, str(seed), scores, milliseconds), flush=True)
    for name, runs in collected.items():
        average = mean([scores for scores, _ in runs])
        cost = statistics.mean(milliseconds for _, milliseconds in runs)
        print(row(f"**{name}**", "mean", average, cost))


if __name__ == "__main__":
    main()
