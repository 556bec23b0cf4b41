"""Files of a replay: boxes as JSON lines, pictures, summary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.core import geometry
from streampetr_ros.core.files import replacing
from streampetr_ros.core.types import Boxes, Detections, FrameSet, Tracks
from streampetr_ros.ingest.pictures.undistort import Rectifier
from streampetr_ros.pipeline.data import StepResult
from streampetr_ros.viz.bev import render_top_view
from streampetr_ros.viz.layer import detection_layer, truth_layer
from streampetr_ros.viz.overlay import render_cameras

RESULTS = "detections.jsonl"
SUMMARY = "summary.json"
#: Folders of the pictures.
PICTURES = ("cameras", "top_view")

_DECIMALS = 6
#: Names of pictures, and the Exif field "Software" by which they are known again.
_NUMBERED = re.compile(r"(\d{6,})\.(?:jpg|png)")
_SOFTWARE, _MARK = 0x0131, "streampetr replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """What pictures show.

    Attributes:
        draw_above: lowest score drawn.
        truth: whether annotations are drawn where the source has them.
        caption: written in a corner of the top view.
        width: of the camera pictures, pixels.
    """

    draw_above: float = 0.3
    truth: bool = True
    caption: str = ""
    width: int = 1600


class ReplayWriter:
    """Writes results as they come; use as a context manager.

    Args:
        folder: made if it is not there.
        pictures: None writes no pictures.
        kept: results of an interrupted run that are kept; what follows them is written anew.
    """

    def __init__(self, folder: Path, pictures: PictureOptions | None, kept: int = 0) -> None:
        self._folder = folder
        self._pictures = pictures
        self._count = kept
        self._rectify = Rectifier()
        folder.mkdir(parents=True, exist_ok=True)
        if pictures is not None:
            for name in PICTURES:
                (folder / name).mkdir(exist_ok=True)
        self._file = folder / RESULTS
        _keep_lines(self._file, kept)
        self._lines = self._file.open("a", encoding="utf-8")

    def __enter__(self) -> ReplayWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()

    def write(self, frame_set: FrameSet, result: StepResult, load_ms: float = 0.0) -> None:
        """Write the pictures and the line of one frame set.

        Args:
            frame_set: input of the step.
            result: of the step.
            load_ms: time it took to get the frame set.
        """
        if self._pictures is not None:
            self._draw(frame_set, result, self._pictures)
        line = {"index": self._count, **result_record(frame_set, result)}
        line["timings_ms"] = {"load": round(load_ms, 3), **line["timings_ms"]}
        # A line is whole on disk before anything counts it as done.
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        self._count += 1

    def records(self) -> list[dict[str, Any]]:
        """Read back what was written."""
        return read_records(self._folder)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write what was run and how long it took."""
        with replacing(self._folder / SUMMARY) as temporary:
            temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    def _draw(self, frame_set: FrameSet, result: StepResult, options: PictureOptions) -> None:
        # Boxes are projected by pinhole cameras.
        frame_set = self._rectify.frame_set(frame_set)
        base_from_model = frame_set.base_from_model
        layers = [detection_layer(result.detections_model, base_from_model, options.draw_above)]
        if options.truth and frame_set.truth is not None:
            layers.append(truth_layer(frame_set.truth, base_from_model))
        cameras = render_cameras(frame_set, layers, options.width)
        top_view = render_top_view(frame_set, layers, caption=options.caption)
        name = f"{self._count:06d}"
        _save(cameras, self._folder / "cameras" / f"{name}.jpg", "JPEG", quality=92)
        _save(top_view, self._folder / "top_view" / f"{name}.png", "PNG")


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


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Read the results in a folder, one record per frame set."""
    text = (folder / RESULTS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def recorded_boxes(objects: Sequence[Mapping[str, Any]]) -> Boxes:
    """Return the boxes of detections or tracks of a record, in its frame."""
    unknown = (float("nan"), float("nan"))
    return Boxes(
        centers=np.array([each["center"] for each in objects]).reshape(-1, 3),
        sizes=np.array([each["size_lwh"] for each in objects]).reshape(-1, 3),
        yaws=np.array([each["yaw"] for each in objects]).reshape(-1),
        velocities=np.array([each["velocity"] or unknown for each in objects]).reshape(-1, 2),
    )


def _keep_lines(file: Path, count: int) -> None:
    """Cut a file after so many lines."""
    lines = file.read_bytes().splitlines(keepends=True)[:count] if count else []
    file.write_bytes(b"".join(lines))


def result_record(frame_set: FrameSet, result: StepResult) -> dict[str, Any]:
    """Turn a result into plain values; boxes are in the base frame at the reference time."""
    reason = result.reset_reason
    return {
        "stamp_ns": frame_set.stamp_ns,
        "sequence": frame_set.sequence,
        "token": frame_set.token,
        "frame": result.detections.frame,
        "fixed_from_base": _pose(frame_set.fixed_from_base),
        "num_cameras": result.num_cameras,
        "reset_reason": None if reason is None else reason.value,
        "wrote_memory": result.wrote_memory,
        "timings_ms": {name: round(ms, 3) for name, ms in result.timings_ms.items()},
        "detections": detection_records(result.detections),
        "tracks": track_records(result.tracks),
    }


def detection_records(detections: Detections) -> list[dict[str, Any]]:
    """Turn detections into plain values, best first; `track_id` is 0 without a track."""
    track_ids = detections.track_ids
    return [
        {
            **_object_record(detections, row),
            **({} if track_ids is None else {"track_id": int(track_ids[row])}),
        }
        for row in range(len(detections))
    ]


def track_records(tracks: Tracks) -> list[dict[str, Any]]:
    """Turn tracks into plain values, most certain first; times in seconds."""
    return [
        {
            "track_id": int(tracks.ids[row]),
            **_object_record(tracks, row),
            "age": round(float(tracks.ages[row]), _DECIMALS),
            "unseen": round(float(tracks.unseen[row]), _DECIMALS),
        }
        for row in range(len(tracks))
    ]


def _object_record(found: Detections | Tracks, row: int) -> dict[str, Any]:
    boxes = found.boxes
    return {
        "class": found.class_names[found.labels[row]],
        "score": round(float(found.scores[row]), _DECIMALS),
        "center": _numbers(boxes.centers[row]),
        "size_lwh": _numbers(boxes.sizes[row]),
        "yaw": round(float(boxes.yaws[row]), _DECIMALS),
        "velocity": _numbers(boxes.velocities[row]),
    }


def _pose(transform: NDArray[np.float64]) -> dict[str, list[float]]:
    quaternion = geometry.quaternion_from_rotation(transform[:3, :3])
    return {"translation": transform[:3, 3].tolist(), "rotation_wxyz": quaternion.tolist()}


def _numbers(values: NDArray[np.float64]) -> list[float] | None:
    """Round; numbers that are unknown have no place in JSON."""
    if not np.isfinite(values).all():
        return None
    return [round(float(value), _DECIMALS) for value in values]
