"""``streampetr check``: what is missing in a bag, in words, before anything runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from streampetr_ros.tools.reporting import user_errors


def check(  # noqa: PLR0913, PLR0917 - one argument per command line option
    source: Annotated[Path, typer.Argument(help="rosbag2 folder, .mcap or .db3 file.")],
    params: Annotated[
        Path | None, typer.Option(help="Parameter file of the node that names the topics.")
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(help="NAME=IMAGE_TOPIC[,INFO_TOPIC]; repeat in training order."),
    ] = None,
    fixed_frame: Annotated[str, typer.Option(help="Frame that does not move.")] = "",
    base_frame: Annotated[str, typer.Option(help="Frame of the vehicle.")] = "",
    odometry: Annotated[str, typer.Option(help="Topic of the pose instead of TF.")] = "",
    sets: Annotated[int, typer.Option(min=1, help="Frame sets to try.")] = 20,
    write_params: Annotated[
        Path | None, typer.Option(help="Write a parameter file of the node for these topics.")
    ] = None,
) -> None:
    """Say what SOURCE holds and what is missing; the exit code is 1 if something is."""
    from streampetr_ros.sources.bag_check import check_bag, parameters  # noqa: PLC0415
    from streampetr_ros.sources.bag_options import bag_options  # noqa: PLC0415

    with user_errors():
        options = bag_options(params, camera or [], (fixed_frame, base_frame, odometry))
        report = check_bag(source, options, sets)
        if write_params is not None and not report.topics.problems:
            content = {"/**": {"ros__parameters": parameters(report.topics, options)}}
            write_params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    for fact in report.facts:
        typer.echo(fact)
    for problem in report.problems:
        typer.echo(f"problem: {problem}", err=True)
    if report.problems:
        raise typer.Exit(1)
    typer.echo("nothing is missing")
