"""Raw pictures of distorting lenses to those of a pinhole camera, by tables made once."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

import cv2
import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.ingest.lens import pixels_beyond_fold
from streampetr_ros.ingest.pictures.raw import Pixels, as_pixels


class Undistorter:
    """Turns pictures of one distorting camera into pinhole pictures of the same size.

    Args:
        calibration: of the raw pictures.
        intrinsic: (3, 3) camera matrix of the results; None keeps the raw one.

    Attributes:
        source: calibration of the raw pictures.
        calibration: of the results, without distortion.
        tables: OpenCV's integer tables of `cv2.remap`: (H, W, 2) int16 and (H, W) uint16.
    """

    def __init__(self, calibration: CameraCalibration, intrinsic: Array | None = None) -> None:
        self.source = calibration
        self.calibration = replace(
            calibration,
            intrinsic=calibration.intrinsic if intrinsic is None else intrinsic,
            distortion_model="none",
            distortion=np.zeros(0),
        )
        size = (calibration.width, calibration.height)
        make_tables = (
            cv2.fisheye.initUndistortRectifyMap
            if calibration.distortion_model == "equidistant"
            else cv2.initUndistortRectifyMap
        )
        places, fractions = make_tables(
            calibration.intrinsic,
            calibration.distortion,
            np.eye(3),
            self.calibration.intrinsic,
            size,
            cv2.CV_16SC2,  # integer tables: several times faster than float ones
        )
        beyond = pixels_beyond_fold(calibration, self.calibration.intrinsic)
        if beyond is not None:
            places[beyond], fractions[beyond] = -2, 0
        self.tables = places.astype(np.int16, copy=False), fractions.astype(np.uint16, copy=False)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Undistort (H, W, 3) pixels; what the lens model does not lead to is black."""
        return as_pixels(cv2.remap(pixels, *self.tables, interpolation=cv2.INTER_LINEAR))

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration of undistorted pictures of a camera mounted as `raw` is now."""
        return replace(self.calibration, base_from_camera=raw.base_from_camera)


class Rectifier:
    """Removes lens distortion from camera frames; keeps tables per camera. Thread-safe.

    Fits the `rectifier` argument of `StreamingPipeline`.
    """

    def __init__(self) -> None:
        self._undistorters: dict[str, Undistorter] = {}
        self._lock = Lock()

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration that the pictures of a camera have without distortion."""
        undistort = self.undistorter(raw)
        return raw if undistort is None else undistort.pinhole(raw)

    def __call__(self, frame: CameraFrame) -> CameraFrame:
        """Return the frame as a pinhole camera would have taken it."""
        undistort = self.undistorter(frame.calibration)
        if undistort is None:
            return frame
        return replace(
            frame,
            calibration=undistort.pinhole(frame.calibration),
            pixels=undistort(frame.pixels),
        )

    def frame_set(self, frame_set: FrameSet) -> FrameSet:
        """Return the set with all its frames as pinhole cameras would have taken them."""
        return replace(frame_set, cameras=tuple(map(self, frame_set.cameras)))

    def undistorter(self, calibration: CameraCalibration) -> Undistorter | None:
        """Return the one of a camera, the same while its lens stays; None for a pinhole camera."""
        if calibration.distortion_model == "none":
            return None
        with self._lock:
            known = self._undistorters.get(calibration.name)
            if known is None or not known.source.has_lens_of(calibration):
                known = self._undistorters[calibration.name] = Undistorter(calibration)
            return known
