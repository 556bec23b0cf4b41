"""What verbs share in talking to the user: errors of one line, and names of things in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from streampetr_ros.backends.base import is_short_of_memory
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import detector_config


@contextmanager
def user_errors(code: int = 1) -> Iterator[None]:
    """Turn expected failures into one line and an exit code; anything else is a defect and shows.

    Args:
        code: for what the user can mend; 1 for lack of memory.
    """
    try:
        yield
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        sentence = expected_sentence(error)
        if sentence is None:
            raise
        typer.echo(f"error: {sentence}", err=True)
        raise typer.Exit(code if isinstance(error, (UserError, OSError)) else 1) from error


def expected_sentence(error: Exception) -> str | None:
    """Return what to tell the user about a failure; None if it is a defect."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        where = f" '{error.filename}'" if error.filename else ""
        return f"cannot access{where}: {error.strerror or error}"
    if is_short_of_memory(error):
        return (
            "there is too little free memory; close other programs, or choose a smaller model or "
            "fewer jobs"
        )
    return None


def known_model(model: str) -> str:
    """Check a model given as an option; see `detector_config`. None may be given at all.

    Raises:
        typer.BadParameter: if there is no such model, or its file cannot be used.
    """
    try:
        if model:
            detector_config(model)
    except UserError as error:
        raise typer.BadParameter(str(error)) from error
    return model
