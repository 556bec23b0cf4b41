"""``streampetr convert``: a published checkpoint to a clean weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streampetr_ros.core.files import sha256
from streampetr_ros.model.checkpoints.published import convert as converted
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.tools.reporting import user_errors
from streampetr_ros.tools.run_options import ModelOption


def convert(
    published: Annotated[Path, typer.Argument(help="Published .pth file.")],
    model: ModelOption,
    output: Annotated[Path, typer.Option("--output", "-o", help=".safetensors file to write.")],
) -> None:
    """Read a published checkpoint strictly and write a clean weights file.

    Nothing in the checkpoint is executed; every entry must fit the model, or nothing is written.
    """
    with user_errors():
        detector = converted(published, model)
        save_weights(output, detector, {"converted_from": published.name})
        digest = sha256(output)
    count = sum(parameter.numel() for parameter in detector.parameters())
    name = detector.config.name
    typer.echo(f"wrote {output}: {name}, {count / 1e6:.1f} million parameters, sha256 {digest}")
