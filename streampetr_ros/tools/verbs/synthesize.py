"""``streampetr synthesize``: the synthetic world as a data set that nuScenes tools open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from streampetr_ros.nuscenes.export import ExportOptions, export_nuscenes
from streampetr_ros.sources.synthetic import SyntheticSource
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions
from streampetr_ros.tools.reporting import user_errors


def synthesize(  # noqa: PLR0913, PLR0917 - one argument per command line option
    out: Annotated[Path, typer.Argument(help="Folder that becomes the data root.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the first scene.")] = 0,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes, of consecutive seeds.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a scene.")] = 20.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Frame sets per second.")] = 2.0,
    key_every: Annotated[
        int, typer.Option(min=1, help="One frame set of so many is annotated; others are sweeps.")
    ] = 1,
    width: Annotated[int, typer.Option(min=16, help="Of the images, pixels.")] = 800,
    height: Annotated[int, typer.Option(min=16, help="Of the images, pixels.")] = 450,
) -> None:
    """Write scenes of the synthetic world as tables and images in the nuScenes schema.

    nuscenes-devkit opens OUT as version v1.0-synthetic; all scenes are in the split "synthetic".
    """
    options = SceneOptions(duration=seconds, rate=rate, rig=RigOptions(width=width, height=height))
    source = SyntheticSource(seed, options, scenes)
    chosen = ExportOptions(key_every=key_every)
    frame_sets = tqdm(source.frame_sets(), total=len(source), unit="set", disable=None)
    with user_errors():
        count = export_nuscenes(frame_sets, out, chosen)
    typer.echo(
        f"wrote {scenes} scenes with {count} key frames; evaluate on them with "
        f"--source nuscenes:{out}:{chosen.version}:{chosen.split}"
    )
