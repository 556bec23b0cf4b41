"""Raw pictures of distorting lenses to those of a pinhole camera, by tables made once.

The pinhole camera has the size and the camera matrix of the raw one.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.ingest.lens import pixels_beyond_fold

#: OpenCV's integer tables of `cv2.remap`, several times faster than float ones: (H, W, 2) int16 x
#: and y of the source pixel, (H, W) uint16 distances in 32nds of a pixel: 32 * below + right.
MapTables: TypeAlias = tuple[NDArray[np.int16], NDArray[np.uint16]]


class Rectifier:
    """Removes lens distortion from camera frames; keeps tables per camera. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[CameraCalibration, MapTables]] = {}
        self._lock = Lock()

    def __call__(self, frame: CameraFrame) -> CameraFrame:
        """Return the frame as a pinhole camera would have taken it.

        What the lens model does not lead to is black.
        """
        tables = self.tables(frame.calibration)
        if tables is None:
            return frame
        straight = cv2.remap(frame.pixels, *tables, interpolation=cv2.INTER_LINEAR)
        calibration = replace(frame.calibration, distortion_model="none", distortion=np.zeros(0))
        return replace(frame, calibration=calibration, pixels=np.asarray(straight, dtype=np.uint8))

    def frame_set(self, frame_set: FrameSet) -> FrameSet:
        """Return the set with all its frames as pinhole cameras would have taken them."""
        return replace(frame_set, cameras=tuple(map(self, frame_set.cameras)))

    def tables(self, calibration: CameraCalibration) -> MapTables | None:
        """Return those of a camera, the same while its lens stays; None for a pinhole camera."""
        if calibration.distortion_model == "none":
            return None
        with self._lock:
            known = self._known.get(calibration.name)
            if known is None or not known[0].has_lens_of(calibration):
                known = self._known[calibration.name] = (calibration, _tables(calibration))
            return known[1]


def _tables(calibration: CameraCalibration) -> MapTables:
    make_tables = (
        cv2.fisheye.initUndistortRectifyMap
        if calibration.distortion_model == "equidistant"
        else cv2.initUndistortRectifyMap
    )
    places, fractions = make_tables(
        calibration.intrinsic,
        calibration.distortion,
        np.eye(3),
        calibration.intrinsic,
        (calibration.width, calibration.height),
        cv2.CV_16SC2,
    )
    beyond = pixels_beyond_fold(calibration, calibration.intrinsic)
    if beyond is not None:
        places[beyond], fractions[beyond] = -2, 0
    return places.astype(np.int16, copy=False), fractions.astype(np.uint16, copy=False)
