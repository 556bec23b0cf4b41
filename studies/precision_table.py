"""Print what precision and backend cost in mAP, NDS and largest errors, as Markdown.

Every row sees the same pictures of the synthetic world and is judged on the same frames. Graphs are
exported from the same weights. Finished rows and rendered scenes are kept in the folder, so a
stopped table goes on where it was.

    python studies/precision_table.py models/tiny_synthetic.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from streampetr_ros.backends.base import Backend
from streampetr_ros.backends.opening import Choice, is_exported, open_backend, open_detector
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import sha256
from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.metrics import Metrics, Scope, run_devkit, summarise
from streampetr_ros.evaluation.scenes import Protocol, SceneJob, run_jobs
from streampetr_ros.evaluation.streams import open_stream
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.export.parity import largest_differences
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.model.state import ModelInputs
from streampetr_ros.nuscenes.devkit import import_devkit
from streampetr_ros.preprocess.inputs import InputConfig, PreviousFrame, prepare_inputs
from studies.rendered_scenes import kept_row, rendered_scenes, seed_range

#: Seconds between frame sets.
_INTERVAL = 0.5
#: Frame sets of a scene that are not judged, while the memory fills.
_UNJUDGED = 2


class Way(NamedTuple):
    """How weights are run: names of a backend and a precision."""

    backend: str
    precision: str


#: The first one is what the others are compared with.
WAYS = (
    Way("torch", "fp32"),
    Way("torch", "bf16"),
    Way("torch", "fp16"),
    Way("onnxruntime", "fp32"),
    Way("onnxruntime", "fp16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionStudy:
    """What the ways of running have in common.

    Attributes:
        weights: safetensors file.
        folder: of finished rows, exported graphs and rendered scenes; the same folder goes on.
        seeds: first and last seed of the scenes.
        frames: frame sets of every scene, half a second apart; all but the first two are judged.
        farthest: boxes beyond do not count, metres.
        device: of PyTorch; exported graphs run on the CPU.
        workers: scenes at a time.
    """

    weights: Path
    folder: Path
    seeds: tuple[int, int] = (0, 19)
    frames: int = 20
    farthest: float = 40.0
    device: str = "cpu"
    workers: int = 1

    def __post_init__(self) -> None:
        if self.frames <= _UNJUDGED:
            raise ValueError(f"frames must be above {_UNJUDGED}, got {self.frames}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOutcome:
    """Numbers of one way of running.

    Attributes:
        frames: judged frame sets.
        overall: metrics of all of them.
        differences: largest ones from the first way on the frame sets of the first scene, each
            from the memory of the first way; see `largest_differences`.
    """

    frames: int
    overall: Metrics
    differences: dict[str, float]


def judge_way(study: PrecisionStudy, way: Way) -> WayOutcome:
    """Return the numbers of a way, from its file when they are there already."""
    weights, choice = _weights_for(study, way), _choice(study, way)
    backend = open_backend(weights, choice=choice)
    scenes = [study.seeds, study.frames, study.farthest]
    found = kept_row(
        study.folder / "rows" / f"{way.backend}_{way.precision}.json",
        study.weights,
        {"runtime": backend.name, "scenes": scenes},
        lambda: _run(study, backend, weights, choice),
    )
    return WayOutcome(**{**found, "overall": Metrics(**found["overall"])})


def _choice(study: PrecisionStudy, way: Way) -> Choice:
    device = study.device if way.backend == "torch" else "cpu"
    return Choice(backend=way.backend, device=device, precision=way.precision, threads=1)


def _weights_for(study: PrecisionStudy, way: Way) -> str:
    """Return the weights file, or graphs exported from it, which are made once."""
    if way.backend == "torch":
        return str(study.weights)
    folder = study.folder / "graphs" / f"{sha256(study.weights)[:12]}_{way.precision}"
    if not is_exported(str(folder)):
        export_onnx(open_detector(str(study.weights)), folder, precision=way.precision)
    return str(folder)


def _run(study: PrecisionStudy, backend: Backend, weights: str, choice: Choice) -> WayOutcome:
    image = backend.config.image
    scenes = rendered_scenes(study.folder, study.seeds, study.frames, _INTERVAL, image)
    jobs = [
        SceneJob(
            protocol=Protocol(judge_from=_UNJUDGED),
            open_scene=partial(scenes, name),
            open_stream=partial(open_stream, weights, choice=choice),
        )
        for name in scenes.names()
    ]
    records = run_jobs(jobs, study.workers)
    judged, scope = records.frame_sets.values(), Scope(farthest=study.farthest)
    exact = open_backend(str(study.weights), choice=_choice(study, WAYS[0]))
    first = scenes(scenes.names()[0], 1)
    return WayOutcome(
        frames=len(judged),
        overall=summarise(run_devkit(judged, records.detections, scope)),
        differences=largest_differences(exact, backend, _inputs(first, image)),
    )


def _inputs(frame_sets: Iterable[FrameSet], image: ImageConfig) -> Iterator[ModelInputs]:
    """Prepare consecutive frame sets, of which every one writes the memory."""
    previous: PreviousFrame | None = None
    for frame_set in frame_sets:
        yield prepare_inputs(frame_set, previous, InputConfig(image=image))
        previous = PreviousFrame.of(frame_set)


_COLUMNS = (
    "backend",
    "precision",
    "mAP",
    "NDS",
    "mAP - fp32",
    "NDS - fp32",
    "logits",
    "centers mm",
    "other box codes",
)
HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


def markdown_line(way: Way, outcome: WayOutcome, exact: WayOutcome) -> str:
    """Format a row as Markdown.

    Args:
        way: of running.
        outcome: its numbers.
        exact: numbers of the first way.
    """
    ours, theirs, worst = outcome.overall, exact.overall, outcome.differences
    cells = [
        *way,
        f"{ours.mean_ap:.4f}",
        f"{ours.score:.4f}",
        f"{ours.mean_ap - theirs.mean_ap:+.4f}",
        f"{ours.score - theirs.score:+.4f}",
        f"{worst['logits']:.1e}",
        f"{1e3 * worst['centers_m']:.2f}",
        f"{worst['other_codes']:.1e}",
    ]
    return f"| {' | '.join(cells)} |"


def parsed() -> PrecisionStudy:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("weights", type=Path, help="safetensors file")
    parser.add_argument("--folder", type=Path, default=Path("out/precision"), help="of kept work")
    parser.add_argument("--seeds", type=seed_range, default="0-19", help="FIRST-LAST")
    parser.add_argument("--frames", type=int, default=20, help="frame sets of every scene, at 2 Hz")
    parser.add_argument("--farthest", type=float, default=40.0, help="largest distance, metres")
    parser.add_argument("--device", default="cpu", help="of PyTorch; graphs run on the CPU")
    parser.add_argument("--workers", type=int, default=1, help="scenes at a time")
    return PrecisionStudy(**vars(parser.parse_args()))


def main() -> None:
    """Judge every way of running, one after the other."""
    try:
        study = parsed()
        import_devkit()
        print(HEADER, flush=True)
        exact = judge_way(study, WAYS[0])
        for way in WAYS:
            print(markdown_line(way, judge_way(study, way), exact), flush=True)
    except (UserError, OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    first, last = study.seeds
    print(
        f"\nScenes {first} to {last}, {study.frames} frame sets each, 2 Hz ({exact.frames} judged "
        f"within {study.farthest:g} m). Largest differences of outputs from the first row on the "
        "frame sets of the first scene."
    )


if __name__ == "__main__":
    main()
