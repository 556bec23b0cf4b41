"""``streampetr track``: identities for a file of detections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streampetr_ros.tools.reporting import user_errors


def track(
    results: Annotated[Path, typer.Argument(help="Detections, nuScenes result format.")],
    drives: Annotated[
        Path,
        typer.Option(
            help="Where stamps and poses come from: folder of nuScenes tables (.../v1.0-trainval), "
            "recording or sequence file."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; tracking_result.json beside RESULTS."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of tracker settings.")] = None,
) -> None:
    """Follow objects through a file of detections and write a nuScenes tracking result file."""
    from streampetr_ros.core.config import load_config  # noqa: PLC0415
    from streampetr_ros.evaluation.result_file import read_drives, track_file  # noqa: PLC0415
    from streampetr_ros.evaluation.tracking import own_tracker  # noqa: PLC0415
    from streampetr_ros.track import TrackingConfig  # noqa: PLC0415

    target = output or results.with_name("tracking_result.json")
    with user_errors():
        settings = load_config(config, TrackingConfig) if config else TrackingConfig()
        done = track_file(results, target, read_drives(drives), lambda: own_tracker(settings))
    typer.echo(
        f"wrote {target}: {done.boxes} boxes of {done.identities} objects in {done.samples} "
        f"samples of {done.scenes} scenes, from {done.detections} detections"
    )
