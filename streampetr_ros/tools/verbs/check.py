"""``streampetr check``: what is missing in a bag or on a vehicle, before anything runs on it."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from streampetr_ros.backends.opening import default_weights
from streampetr_ros.core.source import SourceError
from streampetr_ros.model.config import is_model_file
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.tools.run_options import (
    INPUT_NAMES,
    BackendOption,
    BaseFrameOption,
    CameraOption,
    DeviceOption,
    FixedFrameOption,
    ModelOption,
    OdometryOption,
)

if TYPE_CHECKING:
    from streampetr_ros.parameters.bag import BagOptions
    from streampetr_ros.parameters.node import ModelParameters
    from streampetr_ros.sources.bag.log import HeardRecording, Recording
    from streampetr_ros.sources.checks.recording_check import BagReport


#: Parameters of the node that options stand for.
_GIVEN = (
    *INPUT_NAMES,
    *("model.name", "model.weights", "model.backend", "model.device"),
)
#: How long the ROS graph is listened to unless told otherwise.
_LISTENING_S = 5.0


def check(  # noqa: PLR0913, PLR0917 - one argument per command line option
    source: Annotated[
        Path | None, typer.Argument(help="rosbag2 folder, .mcap or .db3 file; not with --live.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Listen to the ROS graph instead.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.5, help="Time to listen (5), or to look at of a bag (all of it)."),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(help="Parameter file of the node that names topics, model and weights."),
    ] = None,
    camera: CameraOption = None,
    fixed_frame: FixedFrameOption = "",
    base_frame: BaseFrameOption = "",
    odometry: OdometryOption = "",
    sets: Annotated[int, typer.Option(min=1, help="Frame sets to try.")] = 20,
    model: ModelOption = "",
    weights: Annotated[
        str, typer.Option(help="Weights file or folder of exported graphs to look at as well.")
    ] = "",
    backend: BackendOption = "",
    device: DeviceOption = "",
    write_params: Annotated[
        Path | None, typer.Option(help="Write a parameter file of the node for these topics.")
    ] = None,
) -> None:
    """Say what SOURCE or the ROS graph holds and what is missing, and exit with 1 if something is.

    Weights, and engines if a TensorRT backend is named, are looked at too.
    """
    from streampetr_ros.parameters.bag import bag_options  # noqa: PLC0415
    from streampetr_ros.sources.checks.recording_check import check_recording  # noqa: PLC0415

    if (source is None) != live:
        raise typer.BadParameter("give either a bag or --live")
    words = (fixed_frame, base_frame, odometry, model, weights, backend, device)
    with user_errors():
        options = bag_options(params, camera or [], dict(zip(_GIVEN, words, strict=True)))
        wanted = _wanted(options.parameters.model)
        recording = _recording(source, options, seconds or _LISTENING_S)
        report = check_recording(recording, options, sets, seconds or math.inf)
        facts, problems = _weights(wanted, report)
        if write_params is not None and not report.topics.problems:
            _write(write_params, report, options, wanted)
    for fact in (*report.facts, *facts):
        typer.echo(fact)
    for problem in (*report.problems, *problems):
        typer.echo(f"problem: {problem}", err=True)
    if report.problems or problems:
        raise typer.Exit(1)
    typer.echo("nothing is missing")


def _recording(source: Path | None, options: BagOptions, seconds: float) -> Recording:
    from streampetr_ros.sources.bag.file import BagFile  # noqa: PLC0415

    return _heard(options, seconds) if source is None else BagFile(source)


def _heard(options: BagOptions, seconds: float) -> HeardRecording:
    """Listen by the part that needs ROS, which no other verb does."""
    try:
        live = importlib.import_module("streampetr_ros.ros.listen.live")
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        raise SourceError(
            f"--live needs ROS 2, but Python finds no '{package}'; source the set-up file of the "
            "ROS installation, or check a bag"
        ) from error
    heard: HeardRecording = live.listen(options, seconds)
    return heard


def _wanted(model: ModelParameters) -> ModelParameters | None:
    """Return what is to run; None if neither model nor weights are named."""
    if not model.name and not model.weights:
        return None
    return replace(model, weights=model.weights or default_weights(model.name))


def _weights(
    wanted: ModelParameters | None, report: BagReport
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from streampetr_ros.tools.check.weights import check_weights  # noqa: PLC0415

    if wanted is None:
        return ("weights: not looked at; name --model or --weights",), ()
    found = check_weights(wanted, report.period_s)
    return found.facts, found.problems


def _write(
    file: Path, report: BagReport, options: BagOptions, wanted: ModelParameters | None
) -> None:
    from streampetr_ros.sources.checks.recording_check import parameters  # noqa: PLC0415

    content: dict[str, Any] = parameters(report, options)
    if wanted is not None:
        names = ("name", "weights", "backend", "device", "precision")
        named = {name: getattr(wanted, name) for name in names}
        content.setdefault("model", {}).update(named | _in_full(wanted))
    text = yaml.safe_dump({"/**": {"ros__parameters": content}}, sort_keys=False)
    file.write_text(text, encoding="utf-8")


def _in_full(wanted: ModelParameters) -> dict[str, str]:
    """Name files in full, since the node may be started in another folder."""
    files = {"weights": wanted.weights}
    if is_model_file(wanted.name):
        files["name"] = wanted.name
    return {key: str(Path(file).resolve()) for key, file in files.items() if Path(file).exists()}
