"""``streampetr replay``: a recording or the synthetic world through the pipeline, without ROS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from streampetr_ros.backends.opening import AUTO, Choice, default_weights, is_random
from streampetr_ros.core.config import load_config
from streampetr_ros.model.config import model_name
from streampetr_ros.parameters.bag import bag_options
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.sources import SourceError
from streampetr_ros.tools.replay.fleet import run_in_processes, run_on_ray
from streampetr_ros.tools.replay.job import ReplayJob, run_job
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.tools.run_options import (
    INPUT_NAMES,
    BackendOption,
    BaseFrameOption,
    CameraOption,
    CudaGraphsOption,
    DeviceOption,
    FixedFrameOption,
    MemoryIntervalOption,
    ModelOption,
    OdometryOption,
    PrecisionOption,
)
from streampetr_ros.track import TrackingConfig
from streampetr_ros.viz.frame_picture import PictureOptions

_RANDOM_NOTICE = (
    "NOTE: the network has RANDOM WEIGHTS ({weights}), so its boxes mean nothing; give trained "
    "ones with --weights FILE. Geometry, timings and files are real."
)
#: Keeps what is said on the way apart from the results.
_SAY = partial(typer.echo, err=True)


_Source = Annotated[
    list[str],
    typer.Argument(help="Bag, recording folder or synthetic[:SEED]; several are allowed."),
]
_Out = Annotated[Path, typer.Option(help="Folder for boxes, pictures and summary.")]
_Weights = Annotated[
    str,
    typer.Option(
        help="Weights file, folder of exported graphs, or random:SEED; else those that come "
        "with the package, or random:0."
    ),
]
_Threads = Annotated[int, typer.Option(help="CPU threads; 0: PyTorch's choice.")]
_Limit = Annotated[int, typer.Option(min=0, help="Process only so many sets; 0: all.")]
_DrawAbove = Annotated[float, typer.Option(help="Lowest score drawn in pictures.")]
_Pictures = Annotated[bool, typer.Option(help="Write pictures.")]
_Truth = Annotated[bool, typer.Option(help="Draw annotations, dashed.")]
_Tracking = Annotated[bool, typer.Option(help="Follow objects over time.")]
_TrackingConfig = Annotated[Path | None, typer.Option(help="YAML file of tracker settings.")]
_Video = Annotated[bool, typer.Option(help="Write video.mp4: cameras and top view.")]
_Mcap = Annotated[
    bool, typer.Option(help="Write a bag of images, TF and boxes for Foxglove or RViz.")
]
_Params = Annotated[
    Path | None, typer.Option(help="Bags: parameter file of the node that names the topics.")
]
_Jobs = Annotated[int, typer.Option(min=1, help="Sources processed at a time.")]
_RayAddress = Annotated[
    str, typer.Option(help="Run every source as a task of this Ray cluster; or local.")
]


def replay(  # noqa: PLR0913, PLR0917 - one argument per command line option
    source: _Source,
    model: ModelOption,
    out: _Out,
    weights: _Weights = "",
    backend: BackendOption = AUTO,
    precision: PrecisionOption = AUTO,
    device: DeviceOption = "cpu",
    cuda_graphs: CudaGraphsOption = AUTO,
    threads: _Threads = 0,
    limit: _Limit = 0,
    draw_above: _DrawAbove = 0.3,
    pictures: _Pictures = True,
    truth: _Truth = True,
    memory_interval: MemoryIntervalOption = -1.0,
    tracking: _Tracking = True,
    tracking_config: _TrackingConfig = None,
    video: _Video = False,
    mcap: _Mcap = False,
    params: _Params = None,
    camera: CameraOption = None,
    fixed_frame: FixedFrameOption = "",
    base_frame: BaseFrameOption = "",
    odometry: OdometryOption = "",
    jobs: _Jobs = 1,
    ray_address: _RayAddress = "",
) -> None:
    """Detect and follow objects in SOURCE; write boxes, timings and pictures to a folder.

    detections.jsonl holds one line per frame set with boxes and tracks in the base frame (x
    forward, y left, z up); summary.json what was run and how long it took; cameras/ and top_view/
    the pictures. Several sources get a folder each. The same command goes on where a run was ended.
    """
    weights = weights or default_weights(model)
    runs = {"backend": backend, "device": device, "precision": precision}
    choice = Choice(**runs, threads=threads, cuda_graphs=cuda_graphs)
    names = dict(zip(INPUT_NAMES, (fixed_frame, base_frame, odometry), strict=True))
    with user_errors():
        plain = ReplayJob(
            source=source[0],
            out=out,
            model=model,
            weights=weights,
            choice=choice,
            limit=limit,
            policy=MemoryPolicyConfig(memory_interval_s=memory_interval),
            tracking=_tracking(tracking_config) if tracking else None,
            bag=bag_options(params, camera or [], names),
            drawing=_drawing(draw_above, truth, model, weights),
            pictures=pictures,
            video=video,
            bag_out=mcap,
        )
        if is_random(weights):
            typer.echo(_RANDOM_NOTICE.format(weights=weights), err=True)
        if len(source) > 1 or ray_address:
            _run_all(_one_each(plain, source), jobs, ray_address)
        else:
            _run_one(plain)


def _run_one(job: ReplayJob) -> None:
    with tqdm(unit="set", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summary = run_job(job, _SAY, show)
    for line in _lines(summary):
        typer.echo(line)
    typer.echo(f"written to {job.out}")


def _run_all(jobs: Sequence[ReplayJob], processes: int, ray_address: str) -> None:
    """Run several sources; one that fails does not keep the others from their results."""
    ended = run_on_ray(jobs, ray_address) if ray_address else run_in_processes(jobs, processes)
    failed = 0
    for outcome in tqdm(ended, total=len(jobs), unit="source", disable=None):
        if outcome.summary is None:
            failed += 1
            typer.echo(f"error: {outcome.job.source}: {outcome.error}", err=True)
        else:
            sets, boxes = outcome.summary["sets"], outcome.summary["boxes"]
            typer.echo(f"{outcome.job.source}: {sets} sets, {boxes} boxes, in {outcome.job.out}")
    if failed:
        raise typer.Exit(1)


def _one_each(plain: ReplayJob, sources: Sequence[str]) -> list[ReplayJob]:
    """Give every source a folder of its own, named after it."""
    names = [Path(each.replace(":", "-")).name for each in sources]
    doubled = next((name for name in names if names.count(name) > 1), "")
    if doubled:
        raise SourceError(
            f"two sources are called '{doubled}'; rename one, their results go to folders of that "
            "name"
        )
    return [
        replace(plain, source=each, out=plain.out / name)
        for each, name in zip(sources, names, strict=True)
    ]


def _drawing(draw_above: float, truth: bool, model: str, weights: str) -> PictureOptions:
    name = model_name(model)
    caption = f"{name}, random weights" if is_random(weights) else name
    return PictureOptions(draw_above=draw_above, truth=truth, caption=caption)


def _tracking(file: Path | None) -> TrackingConfig:
    return TrackingConfig() if file is None else load_config(file, TrackingConfig)


def _lines(summary: Mapping[str, Any]) -> list[str]:
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
