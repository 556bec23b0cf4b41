"""``streampetr replay``: a recording or the synthetic world through the pipeline, without ROS."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from streampetr_ros.backends.opening import (
    AUTO,
    BACKENDS,
    default_weights,
    is_random,
    open_backend,
)
from streampetr_ros.config import load_config
from streampetr_ros.memory_policy import MemoryPolicyConfig
from streampetr_ros.model.config import MODEL_NAMES
from streampetr_ros.pipeline import PipelineConfig, StreamingPipeline
from streampetr_ros.sources import open_source
from streampetr_ros.tools.replay_output import PictureOptions, ReplayWriter
from streampetr_ros.tools.replay_run import replay_source
from streampetr_ros.tools.reporting import known_model, user_errors
from streampetr_ros.track import TrackingConfig

_RANDOM_NOTICE = (
    "NOTE: the network has RANDOM WEIGHTS ({weights}), so its boxes mean nothing; give trained "
    "ones with --weights FILE. Geometry, timings and files are real."
)
#: Keeps what is said on the way apart from the results.
_SAY = partial(typer.echo, err=True)


def replay(  # noqa: PLR0913, PLR0917 - one argument per command line option
    source: Annotated[str, typer.Argument(help="Recording folder, or synthetic[:SEED].")],
    model: Annotated[
        str, typer.Option(help=f"One of {', '.join(MODEL_NAMES)}.", callback=known_model)
    ],
    out: Annotated[Path, typer.Option(help="Folder for boxes, pictures and summary.")],
    weights: Annotated[
        str,
        typer.Option(
            help="Weights file, folder of exported graphs, or random:SEED; else those that come "
            "with the package, or random:0."
        ),
    ] = "",
    backend: Annotated[str, typer.Option(help=f"One of {', '.join(BACKENDS)}.")] = AUTO,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: PyTorch's choice.")] = 0,
    limit: Annotated[int, typer.Option(help="Process only so many sets; 0: all.")] = 0,
    draw_above: Annotated[float, typer.Option(help="Lowest score drawn in pictures.")] = 0.3,
    pictures: Annotated[bool, typer.Option(help="Write pictures.")] = True,
    truth: Annotated[bool, typer.Option(help="Draw annotations, dashed.")] = True,
    memory_interval: Annotated[
        float, typer.Option(help="Seconds between memory writes; negative: as trained.")
    ] = -1.0,
    tracking: Annotated[bool, typer.Option(help="Follow objects over time.")] = True,
    tracking_config: Annotated[
        Path | None, typer.Option(help="YAML file of tracker settings.")
    ] = None,
) -> None:
    """Detect and follow objects in SOURCE; write boxes, timings and pictures to a folder.

    detections.jsonl holds one line per frame set with boxes and tracks in the base frame (x
    forward, y left, z up); summary.json what was run and how long it took; cameras/ and top_view/
    the pictures.
    """
    with user_errors():
        weights = weights or default_weights(model)
        frames = open_source(source)
        opened = open_backend(weights, model, device, threads, backend, _SAY)
        config = PipelineConfig(
            policy=_policy(memory_interval),
            tracking=_tracking(tracking_config) if tracking else None,
        )
        if is_random(weights):
            typer.echo(_RANDOM_NOTICE.format(weights=weights), err=True)
        pipeline = StreamingPipeline(opened, config)
        options = PictureOptions(
            draw_above=draw_above,
            truth=truth,
            caption=f"{model}, random weights" if is_random(weights) else model,
        )
        count = min(limit or len(frames), len(frames))
        with ReplayWriter(out, options if pictures else None) as writer:
            progress = tqdm(total=count, unit="set", disable=None)
            summary = replay_source(frames, pipeline, writer, count, progress.update)
            progress.close()
            writer.write_summary({"source": source, "weights": weights, **summary})
        pipeline.close()
    for line in _lines(summary):
        typer.echo(line)
    typer.echo(f"written to {out}")


def _policy(memory_interval: float) -> MemoryPolicyConfig:
    try:
        return MemoryPolicyConfig(memory_interval=memory_interval)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _tracking(file: Path | None) -> TrackingConfig:
    return TrackingConfig() if file is None else load_config(file, TrackingConfig)


def _lines(summary: dict[str, object]) -> list[str]:
    """Say what happened, in a few lines."""
    lines = [
        f"{summary['sets']} sets with {summary['model']} on {summary['backend']}, "
        f"{summary['boxes']} boxes, resets: {summary['resets']}"
    ]
    stages = summary["milliseconds"]
    if isinstance(stages, dict):
        lines += [
            f"  {name:<10} p50 {times['p50']:8.1f} ms   p99 {times['p99']:8.1f} ms"
            for name, times in stages.items()
        ]
    return lines
