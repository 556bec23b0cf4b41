"""A video of a replay: cameras beside the top view, from the pictures it drew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.core.files import replacing
from streampetr_ros.core.source import SourceError
from streampetr_ros.viz.bev import beside
from streampetr_ros.viz.overlay import fitted

VIDEO = "video.mp4"

#: MPEG-4 part 2: the one mp4 codec that every build of OpenCV brings.
_CODEC = "mp4v"
_SLOWEST, _FASTEST = 1.0, 60.0


def write_video(folder: Path, stamps_ns: Sequence[int]) -> Path:
    """Write the video of a replay, completely or not at all.

    Args:
        folder: with the pictures in cameras/ and top_view/.
        stamps_ns: of the frame sets; set the pace.

    Returns:
        The file.

    Raises:
        SourceError: if OpenCV has no encoder for it.
    """
    target = folder / VIDEO
    names = [f"{index:06d}" for index in range(len(stamps_ns))]
    size = _canvas(folder, names)
    with replacing(target) as temporary:
        named = temporary.with_suffix(".mp4")
        writer = cv2.VideoWriter(
            str(named), cv2.VideoWriter.fourcc(*_CODEC), _rate(stamps_ns), size
        )
        try:
            if not writer.isOpened():
                raise SourceError(
                    f"OpenCV {cv2.__version__} has no encoder for '{target}'; install "
                    "opencv-python-headless with pip, or leave out --video: the pictures are in "
                    f"'{folder / 'cameras'}'"
                )
            for name in names:
                # The encoder leaves out pictures of another size without a word.
                picture, _ = fitted(_picture(folder, name), size)
                writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            writer.release()
            named.rename(temporary)
        finally:
            writer.release()
            named.unlink(missing_ok=True)
    return target


def _canvas(folder: Path, names: Sequence[str]) -> tuple[int, int]:
    """Return even width and height in which every joined picture has room."""
    sizes = []
    for name in names:
        with Image.open(folder / "cameras" / f"{name}.jpg") as cameras:
            # The square top view beside them takes their height.
            sizes.append((cameras.width + cameras.height, cameras.height))
    width, height = np.max(sizes, axis=0) // 2 * 2
    return int(width), int(height)


def _picture(folder: Path, name: str) -> NDArray[np.uint8]:
    """Put the cameras and the top view of a frame set side by side."""
    cameras = Image.open(folder / "cameras" / f"{name}.jpg").convert("RGB")
    top_view = Image.open(folder / "top_view" / f"{name}.png").convert("RGB")
    return beside(np.asarray(cameras), np.asarray(top_view), gap=0)


def _rate(stamps_ns: Sequence[int]) -> float:
    """Return frames per second at which the video runs as fast as the recording."""
    steps = np.diff(np.asarray(stamps_ns, dtype=np.int64))
    steps = steps[steps > 0]
    if not steps.size:
        return _SLOWEST
    return float(np.clip(1e9 / np.median(steps), _SLOWEST, _FASTEST))
