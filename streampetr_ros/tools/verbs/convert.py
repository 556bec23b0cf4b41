"""``streampetr convert``: a published checkpoint to a clean weights file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from streampetr_ros.model.checkpoints import weights as checkpoint
from streampetr_ros.tools.reporting import known_model, user_errors


def convert(
    official: Annotated[Path, typer.Argument(help="Published .pth file.")],
    model: Annotated[str, typer.Option(help="Model it was trained as.", callback=known_model)],
    output: Annotated[Path, typer.Option("--output", "-o", help=".safetensors file to write.")],
) -> None:
    """Read a published checkpoint strictly and write a clean weights file.

    Nothing in the checkpoint is executed; every entry must fit the model, or nothing is written.
    """
    with user_errors():
        detector = checkpoint.convert(official, model)
        checkpoint.save_weights(output, detector, {"converted_from": official.name})
        digest = hashlib.sha256(output.read_bytes()).hexdigest()
    count = sum(parameter.numel() for parameter in detector.parameters())
    typer.echo(f"wrote {output}: {model}, {count / 1e6:.1f} million parameters, sha256 {digest}")
