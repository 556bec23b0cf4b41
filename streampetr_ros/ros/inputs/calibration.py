"""CameraInfo messages to calibrations, built again only when something changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sensor_msgs.msg import CameraInfo

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.assembly import KnownCalibrations
from streampetr_ros.ingest.messages import camera_info_from, stamp_text
from streampetr_ros.ingest.rig import CalibrationError
from streampetr_ros.parameters.inputs import CameraSettings
from streampetr_ros.ros.problems import Problem, SkippedSetError


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


class CalibrationStore:
    """Calibrations of all cameras; belongs to one thread but for what says otherwise.

    Args:
        sources: topics by camera.
    """

    def __init__(self, sources: Mapping[str, InfoSource]) -> None:
        self._sources = sources
        self._known = KnownCalibrations()

    def reduction(self, camera: str) -> int:
        """Return how many times narrower and lower a camera's images are decoded; any thread."""
        return self._sources[camera].settings.reduction

    def last_built(self, camera: str) -> CameraCalibration | None:
        """Return the calibration of a camera's last image, None before the first; any thread."""
        return self._known.last_built(camera)

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
        settings = self._sources[camera].settings
        try:
            return self._known.calibration(
                camera,
                content,
                base_from_frame,
                rectified=settings.rectified,
                reduction=settings.reduction,
            )
        except CalibrationError as error:
            raise SkippedSetError(
                Problem.BAD_CALIBRATION,
                settings.info_topic,
                f"CameraInfo on '{settings.info_topic}' cannot be used for the image at "
                f"{stamp_text(stamp_ns)}: {error}",
            ) from error
