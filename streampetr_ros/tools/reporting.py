"""What verbs share in talking to the user: errors of one line, and names of things in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from streampetr_ros.backends.base import BackendError, is_short_of_memory
from streampetr_ros.backends.exported import ExportError
from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.source import SourceError
from streampetr_ros.model.checkpoints.weights import CheckpointError
from streampetr_ros.model.config import MODEL_NAMES
from streampetr_ros.pipeline.streaming import PipelineError
from streampetr_ros.preprocess.image import PreprocessError

_EXPECTED = (
    BackendError,
    CheckpointError,
    ConfigError,
    ExportError,
    PipelineError,
    PreprocessError,
    SourceError,
)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn expected failures into one line and exit code 1; anything else is a defect and shows."""
    try:
        yield
    except (*_EXPECTED, OSError, MemoryError, RuntimeError) as error:
        sentence = expected_sentence(error)
        if sentence is None:
            raise
        typer.echo(f"error: {sentence}", err=True)
        raise typer.Exit(1) from error


def expected_sentence(error: Exception) -> str | None:
    """Return what to tell the user about a failure; None if it is a defect."""
    if isinstance(error, _EXPECTED):
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


def known_model(name: str) -> str:
    """Check a model name given as an option.

    Raises:
        typer.BadParameter: if there is no such model; the message lists the names.
    """
    if name not in MODEL_NAMES:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(MODEL_NAMES)}")
    return name
