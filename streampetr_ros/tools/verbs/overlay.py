"""``streampetr overlay``: distances on the ground, and annotations, drawn on camera images."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from streampetr_ros.core.types import FrameSet
from streampetr_ros.preprocess.undistort import Rectifier
from streampetr_ros.sources import open_source
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.viz.drawing import Canvas
from streampetr_ros.viz.ground import RINGS, draw_ground
from streampetr_ros.viz.layer import truth_layer
from streampetr_ros.viz.overlay import render_cameras


def overlay(
    source: Annotated[str, typer.Argument(help="What streampetr replay takes.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    ground: Annotated[float, typer.Option(help="Height of the ground in the base frame, m.")] = 0.0,
    limit: Annotated[int, typer.Option(min=1, help="Frame sets to draw.")] = 1,
    width: Annotated[int, typer.Option(min=320, help="Width of a picture, pixels.")] = 2400,
) -> None:
    """Check a calibration by eye: do known distances lie where they should?

    Rings on the ground around the vehicle, its axes (x red, y green), the horizon and, where the
    source has them, annotated boxes are projected by the chain that prepares network inputs.
    """
    with user_errors():
        rectify = Rectifier()
        out.mkdir(parents=True, exist_ok=True)
        for index, frame_set in enumerate(islice(open_source(source), limit)):
            pinhole = rectify.frame_set(frame_set)
            path = out / f"{index:06d}.jpg"
            Image.fromarray(_picture(pinhole, ground, width)).save(path, quality=92)
            typer.echo(f"{path}: {len(pinhole.cameras)} cameras")
    rings = ", ".join(f"{radius:.0f}" for radius in RINGS)
    typer.echo(f"rings at {rings} m around the base frame's origin, {ground:g} m above it")


def _picture(frame_set: FrameSet, ground: float, width: int) -> Canvas:
    layers = []
    if frame_set.truth is not None:
        layers.append(truth_layer(frame_set.truth, frame_set.base_from_model))
    cameras = tuple(draw_ground(frame, frame_set, ground) for frame in frame_set.cameras)
    return render_cameras(replace(frame_set, cameras=cameras), layers, width)
