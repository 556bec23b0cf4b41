"""Recorded frames on disk: folders with a ``frame.json`` and the camera images it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streampetr_ros.core.reading import read_json
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.sources.frames.frame_json import Entry, parse_frame

_FRAME_SCHEMA = "multicam_frame/1"
_SEQUENCE_SCHEMA = "multicam_sequence/1"


class FrameRecording:
    """Frame sets of a recording, in the order of the folder names.

    Args:
        path: folder with a frame.json, folder of such folders, or a sequence file.
        need_pixels: False also accepts sequence files, which hold no images; the pixels of such
            frames are black.

    Raises:
        SourceError: if nothing usable is there.
    """

    def __init__(self, path: Path, *, need_pixels: bool = True) -> None:
        if not path.exists():
            raise SourceError(
                f"'{path}' does not exist; give a folder with a frame.json, a folder of such "
                "folders, or 'synthetic'"
            )
        if path.suffix == ".bag" and path.is_file():
            raise SourceError(
                f"'{path}' is a bag of ROS 1 and no rosbag2 recording; convert it with "
                f"'rosbags-convert --src {path} --dst {path.with_suffix('')}'"
            )
        self._path = path
        self._need_pixels = need_pixels
        self._frames = sorted(path.rglob("frame.json")) if path.is_dir() else []
        self._sequence = [] if self._frames else self._open_sequence()

    @property
    def name(self) -> str:
        """Name of the folder or file."""
        return self._path.resolve().stem

    def __len__(self) -> int:
        return len(self._frames) or len(self._sequence)

    def __iter__(self) -> Iterator[FrameSet]:
        for file in self._frames:
            entry = Entry(read_described(file, _FRAME_SCHEMA), str(file))
            sequence = entry.text("scene_token", entry.text("scene", file.parent.name))
            yield parse_frame(entry, sequence, file.parent)
        for entry in self._sequence:
            yield parse_frame(entry, entry.text("scene", self.name), None)

    def _open_sequence(self) -> list[Entry]:
        """Read the poses and boxes of a sequence file, which has no images."""
        file = self._sequence_file()
        if self._need_pixels:
            raise SourceError(
                f"'{file}' holds poses and boxes but no images, so nothing can be detected in it; "
                "give a recording with a frame.json and its camera images"
            )
        content = read_described(file, _SEQUENCE_SCHEMA)
        scene = Entry(content, str(file)).text("scene", file.stem)
        frames = Entry(content, str(file)).entries("frames")
        return [Entry({"scene": scene, **frame.content}, frame.where) for frame in frames]

    def _sequence_file(self) -> Path:
        if self._path.is_file():
            return self._path
        files = sorted(self._path.glob("*.json"))
        if not files:
            raise SourceError(
                f"no frame.json was found in '{self._path}' or below; give the folder of a "
                "recording"
            )
        return files[0]


def read_described(file: Path, schema: str) -> dict[str, Any]:
    """Read a JSON object of a known schema.

    Raises:
        FileError: if the file cannot be read or is no JSON.
        SourceError: if it has another schema.
    """
    content = read_json(file, "recording")
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise SourceError(f"'{file}' has schema {found!r} but '{schema}' is what can be read")
    return dict(content)
