"""``streampetr record``: a drive as a rosbag2 recording, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from streampetr_ros.core.types import FrameSet
from streampetr_ros.messages.vehicle import IMAGE_ENCODINGS
from streampetr_ros.sources import Source, SourceError, open_source
from streampetr_ros.tools.reporting import user_errors


def record(
    source: Annotated[str, typer.Argument(help="synthetic[:SEED], recording folder or bag.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the bag; must not exist.")],
    storage: Annotated[str, typer.Option(help="mcap or sqlite3.")] = "mcap",
    encoding: Annotated[
        str, typer.Option(help="Of the images: jpeg, png (every pixel kept) or raw.")
    ] = "jpeg",
    limit: Annotated[int, typer.Option(min=0, help="Write only so many sets; 0: all.")] = 0,
) -> None:
    """Write SOURCE as a bag: images, CameraInfo, /tf and /tf_static as the node expects them."""
    # Help is shown without rosbags.
    from streampetr_ros.sources.bag.writer import STORAGES, write_bag  # noqa: PLC0415

    _require_one_of("--storage", storage, STORAGES)
    _require_one_of("--encoding", encoding, IMAGE_ENCODINGS)
    with user_errors():
        if out.exists():
            raise SourceError(f"'{out}' exists already; name a folder that does not")
        frames = open_source(source)
        count = min(limit or len(frames), len(frames))
        written = write_bag(_shown(frames, count), out, storage=storage, encoding=encoding)
    typer.echo(f"wrote {written} frame sets to {out}; play it with: ros2 bag play --clock {out}")


def _shown(frames: Source, count: int) -> Iterator[FrameSet]:
    return iter(tqdm(islice(iter(frames), count), total=count, unit="set", disable=None))


def _require_one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise typer.BadParameter(f"{option} '{value}' is not one of {', '.join(known)}")
