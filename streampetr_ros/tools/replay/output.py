"""Files of a replay as it goes on: lines of results, pictures, summary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.core.files import replacing
from streampetr_ros.core.types import FrameSet
from streampetr_ros.pipeline.data import StepResult
from streampetr_ros.preprocess.undistort import Rectifier
from streampetr_ros.tools.replay.records import RESULTS, result_record
from streampetr_ros.viz.frame_picture import PictureOptions, draw_frame_set

#: Folders of the pictures.
PICTURES = ("cameras", "top_view")

#: Names of pictures, and the Exif field "Software" by which they are known again.
_NUMBERED = re.compile(r"(\d{6,})\.(?:jpg|png)")
_SOFTWARE, _MARK = 0x0131, "streampetr replay"


class ReplayWriter:
    """Writes results as they come.

    Args:
        folder: made if it is not there.
        pictures: None writes no pictures.
        kept: results of an interrupted run that are kept; what follows them is written anew.

    Attributes:
        folder: as given.
        count: results in it.
    """

    def __init__(self, folder: Path, pictures: PictureOptions | None, kept: int = 0) -> None:
        self.folder = folder
        self._pictures = pictures
        self.count = kept
        self._rectify = Rectifier()
        folder.mkdir(parents=True, exist_ok=True)
        if pictures is not None:
            for name in PICTURES:
                (folder / name).mkdir(exist_ok=True)
        self._file = folder / RESULTS
        lines = self._file.read_bytes().splitlines(keepends=True)[:kept] if kept else []
        self._file.write_bytes(b"".join(lines))

    def write(self, frame_set: FrameSet, result: StepResult, load_ms: float = 0.0) -> None:
        """Write the pictures and the line of one frame set.

        Args:
            frame_set: input of the step.
            result: of the step.
            load_ms: time it took to get the frame set.
        """
        if self._pictures is not None:
            self._draw(frame_set, result, self._pictures)
        line = {"index": self.count, **result_record(frame_set, result)}
        line["timings_ms"] = {"load": round(load_ms, 3), **line["timings_ms"]}
        # A line is whole on disk before anything counts it as done.
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        self.count += 1

    def _draw(self, frame_set: FrameSet, result: StepResult, options: PictureOptions) -> None:
        # Boxes are projected by pinhole cameras.
        frame_set = self._rectify.frame_set(frame_set)
        base_from_model = frame_set.base_from_model
        cameras, top_view = draw_frame_set(
            frame_set, result.detections_model, base_from_model, options
        )
        name = f"{self.count:06d}"
        _save(cameras, self.folder / "cameras" / f"{name}.jpg", "JPEG", quality=92)
        _save(top_view, self.folder / "top_view" / f"{name}.png", "PNG")


def remove_pictures(folder: Path, start: int = 0) -> None:
    """Remove the pictures that a replay drew, and their folders where nothing else is in them.

    Args:
        folder: of the replay.
        start: pictures before this number stay.
    """
    for number, file in _pictures(folder):
        if number >= start and _is_ours(file):
            file.unlink()
    for name in PICTURES:
        place = folder / name
        if place.is_dir() and not place.is_symlink() and not any(place.iterdir()):
            place.rmdir()


def foreign_picture(folder: Path) -> Path | None:
    """Return a file that has the place of a picture but was not drawn by a replay."""
    return next((file for _, file in _pictures(folder) if not _is_ours(file)), None)


def _save(picture: NDArray[np.uint8], file: Path, kind: str, **options: Any) -> None:
    """Write a picture with the mark of a replay, completely or not at all."""
    exif = Image.Exif()
    exif[_SOFTWARE] = _MARK
    with replacing(file) as temporary:
        Image.fromarray(picture).save(temporary, kind, exif=exif, **options)


def _is_ours(file: Path) -> bool:
    try:
        with Image.open(file) as picture:
            return bool(picture.getexif().get(_SOFTWARE) == _MARK)
    except (OSError, ValueError, SyntaxError):  # no picture, or a damaged one
        return False


def _pictures(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield number and file of what has the name of a picture."""
    for place in (folder / name for name in PICTURES):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            if named := _NUMBERED.fullmatch(file.name):
                yield int(named[1]), file
