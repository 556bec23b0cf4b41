"""``streampetr evaluate``: nuScenes metrics of a weights file on scenes with truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streampetr_ros.backends.opening import AUTO, Choice
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.tools.run_options import (
    BackendOption,
    CudaGraphsOption,
    DeviceOption,
    MemoryIntervalOption,
    PrecisionOption,
)

if TYPE_CHECKING:
    from streampetr_ros.evaluation.report import Judged

_Source = Annotated[
    str, typer.Option(help="synthetic:0-39, a recording, nuscenes:ROOT:VERSION:SPLIT.")
]


def evaluate(  # noqa: PLR0913, PLR0917 - one argument per command line option
    weights: Annotated[Path, typer.Argument(help="Weights file or folder of exported graphs.")],
    source: _Source = "synthetic:0-39",
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for result file and plots.")] = None,
    ablation: Annotated[str, typer.Option(help="What the stream is deprived of.")] = "none",
    every: Annotated[int, typer.Option(help="Feed one frame set of so many.")] = 1,
    judge_every: Annotated[int, typer.Option(help="Judge one frame set of so many.")] = 1,
    min_visibility: Annotated[float, typer.Option(help="Smallest visible share.")] = 0.0,
    farthest: Annotated[float, typer.Option(help="Largest distance, metres.")] = 50.0,
    max_frames: Annotated[int, typer.Option(help="Frame sets of a scene; 0: all.")] = 0,
    workers: Annotated[int, typer.Option(help="Scenes at a time.")] = 1,
    memory_interval: MemoryIntervalOption = -1.0,
    tracking: Annotated[bool, typer.Option(help="Track the boxes and judge the tracks.")] = False,
    backend: BackendOption = AUTO,
    precision: PrecisionOption = AUTO,
    device: DeviceOption = "cpu",
    cuda_graphs: CudaGraphsOption = AUTO,
) -> None:
    """Evaluate detections with the metrics of nuscenes-devkit, one stream per scene.

    With --out, the official result file and plots are written too.
    """
    from streampetr_ros.evaluation import report  # noqa: PLC0415
    from streampetr_ros.evaluation.scenes import Protocol  # noqa: PLC0415

    with user_errors(code=2):
        wanted = report.Evaluation(
            weights=str(weights),
            source=source,
            protocol=Protocol(
                ablation=ablation,
                every=every,
                judge_every=judge_every,
                min_visibility=min_visibility,
                max_frames=max_frames,
            ),
            farthest=farthest,
            workers=workers,
            memory_interval=memory_interval,
            tracking=tracking,
            choice=Choice(
                backend=backend,
                device=device,
                precision=precision,
                threads=1,
                cuda_graphs=cuda_graphs,
            ),
        )
        judged = report.evaluate(wanted)
    # What took long is on the screen before anything can go wrong with files.
    typer.echo("\n".join(judged.report.lines()))
    _write(judged, json, out)


def _write(judged: Judged, json: Path | None, out: Path | None) -> None:
    from streampetr_ros.evaluation.report import write_json  # noqa: PLC0415

    with user_errors():
        if json is not None:
            write_json(judged.report, json)
        if out is not None:
            judged.write(out)
