"""CameraInfo messages to calibrations, built again only when something changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from sensor_msgs.msg import CameraInfo

from streampetr_ros.geometry import Array
from streampetr_ros.ingest import rig
from streampetr_ros.ingest.messages import camera_info_from, stamp_text
from streampetr_ros.ros.problems import Problem, SkippedSetError
from streampetr_ros.ros.settings import CameraSettings
from streampetr_ros.types import CameraCalibration


class InfoSource(Protocol):
    """What is needed of a camera's topics."""

    @property
    def settings(self) -> CameraSettings:
        """Wiring of the camera."""
        ...

    @property
    def info(self) -> CameraInfo | None:
        """Newest CameraInfo."""
        ...


class _Built(NamedTuple):
    content: rig.CameraInfo
    base_from_frame: Array
    calibration: CameraCalibration


class CalibrationStore:
    """Calibrations of all cameras; belongs to one thread.

    Args:
        sources: topics by camera.
    """

    def __init__(self, sources: Mapping[str, InfoSource]) -> None:
        self._sources = sources
        self._built: dict[str, _Built] = {}

    def require(self, camera: str, stamp_ns: int) -> CameraInfo:
        """Return the newest CameraInfo of a camera, refusing images that have none.

        Raises:
            SkippedSetError: if no CameraInfo has come.
        """
        source = self._sources[camera]
        if source.info is not None:
            return source.info
        topic = source.settings.info_topic
        raise SkippedSetError(
            Problem.NO_CAMERA_INFO,
            topic,
            f"image of camera '{camera}' at {stamp_text(stamp_ns)} has no CameraInfo yet; "
            f"publish it on '{topic}' or set parameter cameras.info_topics",
        )

    def calibration(self, camera: str, base_from_frame: Array, stamp_ns: int) -> CameraCalibration:
        """Return the calibration of a camera's images.

        Args:
            camera: name.
            base_from_frame: (4, 4) mounting of its optical frame.
            stamp_ns: of the image, for messages.

        Raises:
            SkippedSetError: if its CameraInfo cannot be used.
        """
        content = camera_info_from(self.require(camera, stamp_ns))
        built = self._built.get(camera)
        known = built is not None and built.content == content
        if known and np.array_equal(built.base_from_frame, base_from_frame):
            return built.calibration
        built = self._build(self._sources[camera], content, base_from_frame, stamp_ns)
        self._built[camera] = built
        return built.calibration

    def _build(
        self, source: InfoSource, content: rig.CameraInfo, base_from_frame: Array, stamp_ns: int
    ) -> _Built:
        settings = source.settings
        try:
            calibration = rig.build_calibration(
                settings.name, content, base_from_frame, rectified=settings.rectified
            )
        except rig.CalibrationError as error:
            raise SkippedSetError(
                Problem.BAD_CALIBRATION,
                settings.info_topic,
                f"CameraInfo on '{settings.info_topic}' cannot be used for the image at "
                f"{stamp_text(stamp_ns)}: {error}",
            ) from error
        return _Built(content, base_from_frame, calibration)
