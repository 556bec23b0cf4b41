"""Print what memory, ego motion, capture times, cameras and frame rate are worth, as Markdown.

The same weights see the same scenes of the synthetic world, deprived of one thing at a time.
Finished rows and rendered scenes are kept in the folder, so a stopped table goes on where it was.

    python studies/ablation_table.py models/tiny_synthetic.safetensors --workers 2
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.metrics import Metrics, Scope, run_devkit, summarise
from streampetr_ros.evaluation.scenes import Protocol, SceneJob, run_jobs
from streampetr_ros.evaluation.streams import open_stream
from streampetr_ros.model.config import detector_config
from streampetr_ros.nuscenes.devkit import import_devkit
from studies.rendered_scenes import Scenes, kept_row, rendered_scenes, seed_range

#: Frame sets per second of the scenes that every row picks from.
RATE = 10
#: Yaw rate of the vehicle from which on it counts as turning, rad/s.
TURNING = 0.1

_MODEL = "tiny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        title: what the line says.
        ablation: name in `ABLATIONS`.
        every: one frame set of so many is fed.
        memory_interval: seconds between memory writes; negative: as trained.
    """

    title: str
    ablation: str = "none"
    every: int = 5
    memory_interval: float = -1.0


#: Without memory, frame sets that are not judged have no effect and are left out.
ROWS: dict[str, Row] = {
    "all": Row(title="2 Hz, everything on"),
    "no-memory": Row(title="memory reset at every frame", ablation="no-memory", every=RATE),
    "no-ego-motion": Row(title="no ego-motion compensation", ablation="no-ego-motion"),
    "no-camera-motion": Row(title="no per-camera compensation", ablation="no-camera-motion"),
    "five-cameras": Row(title="5 cameras of 6 (front missing)", ablation="no-front-camera"),
    "5-hz": Row(title="5 Hz, memory written as at 2 Hz", every=2),
    "10-hz": Row(title="10 Hz, memory written as at 2 Hz", every=1),
    "10-hz-stored": Row(title="10 Hz, memory written at every frame", every=1, memory_interval=0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the rows have in common.

    Attributes:
        weights: safetensors file of the small model.
        folder: of finished rows and rendered scenes; the same folder continues the table.
        seeds: first and last seed of the scenes.
        seconds: of every scene; one frame set per second is judged, from the first second on.
        farthest: boxes beyond do not count, metres.
        min_visibility: truth below this visible share does not count.
        workers: scenes at a time.
    """

    weights: Path
    folder: Path
    seeds: tuple[int, int] = (0, 39)
    seconds: int = 6
    farthest: float = 40.0
    min_visibility: float = 0.0
    workers: int = 1

    @property
    def scenes(self) -> Scenes:
        """The scenes of all rows."""
        image = detector_config(_MODEL).image
        return rendered_scenes(self.folder, self.seeds, self.seconds * RATE + 1, 1 / RATE, image)


def turning_tokens(scenes: Scenes) -> set[str]:
    """Return the tokens of frame sets in which the vehicle turns."""
    turning = set()
    for name in scenes.names():
        members = list(scenes(name, 1))
        for before, now in zip(members[:-RATE:RATE], members[RATE::RATE], strict=True):
            now_from_before = geometry.inverse(now.fixed_from_base) @ before.fixed_from_base
            turned = abs(np.arctan2(now_from_before[1, 0], now_from_before[0, 0]))
            if turned * 1e9 > TURNING * (now.stamp_ns - before.stamp_ns):
                turning.add(now.token)
    return turning


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Numbers of a row.

    Attributes:
        frames: judged frame sets.
        overall: metrics of all of them.
        turning_frames: judged frame sets in which the vehicle turns.
        turning: metrics of those; None if there are none.
    """

    frames: int
    overall: Metrics
    turning_frames: int
    turning: Metrics | None


def judge_row(comparison: Comparison, name: str) -> Outcome:
    """Return the numbers of a row, from its file when they are there already."""
    row = ROWS[name]
    shared = ("seeds", "seconds", "farthest", "min_visibility")
    settings = {key: getattr(comparison, key) for key in shared} | {"row": dataclasses.asdict(row)}
    file = comparison.folder / "rows" / f"{name}.json"
    found = kept_row(file, comparison.weights, settings, lambda: _run(comparison, row))
    turning = found["turning"] and Metrics(**found["turning"])
    return Outcome(**{**found, "overall": Metrics(**found["overall"]), "turning": turning})


def _run(comparison: Comparison, row: Row) -> Outcome:
    protocol = Protocol(
        ablation=row.ablation,
        every=row.every,
        judge_every=RATE,
        judge_from=RATE,
        min_visibility=comparison.min_visibility,
    )
    scenes = comparison.scenes
    stream = partial(open_stream, str(comparison.weights), row.memory_interval)
    jobs = [
        SceneJob(protocol=protocol, open_scene=partial(scenes, name), open_stream=stream)
        for name in scenes.names()
    ]
    records = run_jobs(jobs, comparison.workers)
    judged = records.frame_sets
    turning = [judged[token] for token in turning_tokens(scenes) & set(judged)]

    def metrics(frame_sets: Collection[FrameSet]) -> Metrics:
        scope = Scope(farthest=comparison.farthest)
        return summarise(run_devkit(frame_sets, records.detections, scope))

    return Outcome(
        frames=len(judged),
        overall=metrics(judged.values()),
        turning_frames=len(turning),
        turning=metrics(turning) if turning else None,
    )


_ALL_COLUMNS = ("mAP", "NDS", "mATE m", "mASE", "mAOE rad", "mAVE m/s", "mAAE")
_TURNING_COLUMNS = ("turning: mAP", "NDS", "mAVE")

HEADER = f"| stream | {' | '.join(_ALL_COLUMNS + _TURNING_COLUMNS)} |"


def markdown_line(title: str, outcome: Outcome) -> str:
    """Format a row as Markdown."""
    metrics = outcome.overall
    numbers = [metrics.mean_ap, metrics.score, *metrics.errors.values()]
    if outcome.turning is not None:
        turning = outcome.turning
        numbers += [turning.mean_ap, turning.score, turning.errors["mAVE"]]
    cells = [f"{number:.3f}" for number in numbers]
    cells += ["-"] * (len(_ALL_COLUMNS + _TURNING_COLUMNS) - len(cells))
    return f"| {title} | {' | '.join(cells)} |"


def parsed() -> tuple[Comparison, list[str]]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("weights", type=Path, help="safetensors file of the small model")
    parser.add_argument("--folder", type=Path, default=Path("out/ablation"), help="of kept work")
    parser.add_argument("--seeds", type=seed_range, default="0-39", help="FIRST-LAST")
    parser.add_argument("--seconds", type=int, default=6, help="of every scene")
    parser.add_argument("--farthest", type=float, default=40.0, help="largest distance, metres")
    parser.add_argument("--min-visibility", type=float, default=0.0, help="smallest visible share")
    parser.add_argument("--workers", type=int, default=1, help="scenes at a time")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="to print")
    given = vars(parser.parse_args())
    rows = given.pop("rows")
    return Comparison(**given), rows


def main() -> None:
    """Judge the rows one after the other."""
    comparison, rows = parsed()
    try:
        import_devkit()
        print(HEADER, "|---" * HEADER.count(" | ") + "|---|", sep="\n", flush=True)
        for name in rows:
            outcome = judge_row(comparison, name)
            print(markdown_line(ROWS[name].title, outcome), flush=True)
    except (UserError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    first, last = comparison.seeds
    print(
        f"\nScenes {first} to {last}, {comparison.seconds} s each, one frame set per second judged "
        f"within {comparison.farthest:g} m ({outcome.frames}; turning faster than {TURNING} rad/s: "
        f"{outcome.turning_frames}), visible share at least {comparison.min_visibility:g}."
    )


if __name__ == "__main__":
    main()
