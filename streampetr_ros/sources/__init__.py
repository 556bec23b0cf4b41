"""Sources of frame sets: recordings on disk and the synthetic world."""

from __future__ import annotations

from pathlib import Path

from streampetr_ros.sources.base import Source, SourceError
from streampetr_ros.sources.recording import Recording

__all__ = ["Recording", "Source", "SourceError", "open_source"]


def open_source(spec: str | Path, *, need_pixels: bool = True) -> Source:
    """Open a source by what a user types.

    Args:
        spec: folder with a frame.json, folder of such folders, or ``synthetic[:seed]``.
        need_pixels: False also accepts recordings without images; their pixels are black.

    Raises:
        SourceError: if there is nothing to read; names the remedy.
    """
    kind, _, seed = str(spec).partition(":")
    if kind != "synthetic":
        return Recording(Path(spec), need_pixels=need_pixels)
    if seed and not seed.isdecimal():
        raise SourceError(f"'{spec}' has no number behind the colon; write for example synthetic:7")
    # The renderer is heavy and not needed for recordings.
    from streampetr_ros.sources.synthetic import SyntheticSource  # noqa: PLC0415

    return SyntheticSource(seed=int(seed or 0))
