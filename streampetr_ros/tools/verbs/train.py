"""``streampetr train``: train from a YAML configuration, in slices if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streampetr_ros.core.config import load_config
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.training.config import TrainConfig


def train(
    config: Annotated[Path, typer.Argument(help="YAML file, see config/train.")],
    out: Annotated[Path | None, typer.Option(help="Result folder [out/train/NAME].")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")] = False,
    max_minutes: Annotated[float, typer.Option(help="Stop after this time; 0: no limit.")] = 0.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a detector; run it under torchrun for several GPUs or machines.

    A stopped or killed run continues with --resume where its last checkpoint left it.
    """
    with user_errors(code=2):
        settings = load_config(config, TrainConfig)
        from streampetr_ros.training.run.start import WEIGHTS_FILE, train_slice  # noqa: PLC0415

        folder = out or Path("out/train") / settings.name
        complete = train_slice(
            settings, folder, resume=resume, max_minutes=max_minutes, device=device
        )
    state = "complete" if complete else "not complete yet, go on with --resume"
    typer.echo(f"training {state}; weights: {folder / WEIGHTS_FILE}")
