"""Sources of frame sets: recordings on disk, bags and the synthetic world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streampetr_ros.core.source import Source, SourceError
from streampetr_ros.sources.frames.recording import FrameRecording

if TYPE_CHECKING:
    from streampetr_ros.parameters.bag import BagOptions
    from streampetr_ros.sources.bag.source import BagSource

__all__ = ["FrameRecording", "Source", "SourceError", "is_bag", "open_bag", "open_source"]

_BAG_SUFFIXES = (".mcap", ".db3")


def open_source(spec: str | Path, *, need_pixels: bool = True) -> Source:
    """Open a source by what a user types.

    Args:
        spec: folder with a frame.json, folder of such folders, rosbag2 folder or file, or
            ``synthetic[:seed]``.
        need_pixels: False also accepts recordings without images; their pixels are black.

    Raises:
        SourceError: if there is nothing to read; names the remedy.
    """
    kind, _, seed = str(spec).partition(":")
    if kind != "synthetic":
        path = Path(spec)
        return open_bag(path) if is_bag(path) else FrameRecording(path, need_pixels=need_pixels)
    if seed and not seed.isdecimal():
        raise SourceError(f"'{spec}' has no number behind the colon; write for example synthetic:7")
    # The renderer is heavy and not needed for recordings.
    from streampetr_ros.sources.synthetic import SyntheticSource  # noqa: PLC0415

    return SyntheticSource(seed=int(seed or 0))


def is_bag(path: Path) -> bool:
    """Tell whether a path is meant as a bag, from its name and content alone."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(map(_is_part, path.iterdir()))
    return _is_part(path)


def open_bag(
    path: Path, options: BagOptions | None = None, warn: Callable[[str], None] | None = None
) -> BagSource:
    """Open a bag.

    Args:
        path: rosbag2 folder, .mcap or .db3 file.
        options: what the bag itself does not tell.
        warn: hears the first of each kind of problem with its frame sets.

    Raises:
        SourceError: if it cannot be read, or the library that reads it is missing.
    """
    try:
        # An installed ROS comes without the library, and live topics do not need it.
        from streampetr_ros.sources.bag.source import BagSource  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(
            f"bag '{path}' needs the Python package rosbags ({error}); pip install rosbags"
        ) from error
    return BagSource(path, options, warn)


def _is_part(path: Path) -> bool:
    return path.suffix in _BAG_SUFFIXES
