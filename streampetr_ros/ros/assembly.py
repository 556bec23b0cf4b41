"""Synchronised messages plus calibration plus transforms make a frame set, or say what is missing.

Nothing is guessed here: without CameraInfo, without a transform or with an image that cannot be
decoded the whole set is skipped, and the memory of the network stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from sensor_msgs.msg import CompressedImage

from streampetr_ros.ingest.assembly import SetPoses, VehicleFrames, join, look_up_poses
from streampetr_ros.ingest.images import ImageError, Pixels
from streampetr_ros.ingest.messages import stamp_text
from streampetr_ros.ingest.poses import TransformUnavailable
from streampetr_ros.ingest.sync_types import StampedImage, SyncedSet
from streampetr_ros.ros.calibration import CalibrationStore
from streampetr_ros.ros.camera_input import ReceivedImage
from streampetr_ros.ros.decoding import decode_message
from streampetr_ros.ros.params import FrameParameters
from streampetr_ros.ros.problems import Problem, SkippedSetError
from streampetr_ros.ros.settings import CameraSettings, base_from_model
from streampetr_ros.ros.transforms import TransformInput
from streampetr_ros.timing import StageClock
from streampetr_ros.types import CameraCalibration, FrameSet

Received = StampedImage[ReceivedImage]


class FrameSetAssembler:
    """Builds frame sets in the worker's thread.

    Args:
        cameras: wiring by camera.
        frames: names of frames.
        calibrations: newest CameraInfo of each camera.
        transforms: where transforms come from.
        decode_threads: images decoded side by side.

    Attributes:
        timeout_s: longest wait for transforms; may change at any time.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraSettings],
        frames: FrameParameters,
        calibrations: CalibrationStore,
        transforms: TransformInput,
        decode_threads: int,
    ) -> None:
        self.timeout_s = 0.1
        self._cameras = cameras
        self._frames = VehicleFrames(
            fixed=frames.fixed,
            base=frames.base,
            model=frames.model,
            base_from_model=base_from_model(frames),
        )
        self._calibrations = calibrations
        self._transforms = transforms
        self._pool = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")

    def assemble(self, found: SyncedSet[ReceivedImage], clock: StageClock) -> FrameSet:
        """Make a frame set.

        Args:
            found: synchronised images.
            clock: books the stages "transforms" and "images".

        Raises:
            SkippedSetError: naming topic, stamp and remedy.
        """
        for image in found.images:
            self._calibrations.require(image.camera, image.stamp_ns)
        with clock.stage("transforms"):
            poses = self._poses(found)
        with clock.stage("images"):
            pixels = list(self._pool.map(self._decode, found.images))
        calibrations = [
            self._calibration(image, decoded, poses)
            for image, decoded in zip(found.images, pixels, strict=True)
        ]
        return join(found, calibrations, pixels, poses)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    def _calibration(self, image: Received, pixels: Pixels, poses: SetPoses) -> CameraCalibration:
        """Return the calibration of an image, which is of the same size."""
        calibration = self._calibrations.calibration(
            image.camera, poses.base_from_camera[image.camera], image.stamp_ns
        )
        if pixels.shape[:2] != (calibration.height, calibration.width):
            raise SkippedSetError(
                Problem.BAD_IMAGE,
                image.payload.topic,
                f"{_place(image)} is {pixels.shape[1]} x {pixels.shape[0]} but CameraInfo is for "
                f"{calibration.width} x {calibration.height}; publish the CameraInfo of the "
                "streamed resolution",
            )
        return calibration

    def _decode(self, image: Received) -> Pixels:
        try:
            return decode_message(image.payload.message, self._calibrations.reduction(image.camera))
        except ImageError as error:
            raise SkippedSetError(
                Problem.BAD_IMAGE, image.payload.topic, f"{_place(image)}: {error}"
            ) from error

    def _poses(self, found: SyncedSet[ReceivedImage]) -> SetPoses:
        optical = self._optical_frames(found)
        try:
            return self._transforms.wait_for(
                lambda: look_up_poses(found, optical, self._frames, self._transforms.buffer.lookup),
                self.timeout_s,
            )
        except TransformUnavailable as error:
            raise SkippedSetError(
                Problem.NO_TRANSFORM,
                "transforms",
                f"frame set at {stamp_text(found.stamp_ns)} skipped after waiting "
                f"{self.timeout_s:g} s: {error}; publish it in time or raise pose.timeout_s",
            ) from error

    def _optical_frames(self, found: SyncedSet[ReceivedImage]) -> Mapping[str, str]:
        """Name the cameras' optical frames, which are different ones."""
        optical: dict[str, str] = {}
        for image in found.images:
            frame = self._optical_frame(image)
            twin = next((camera for camera, known in optical.items() if known == frame), None)
            if twin is not None:
                raise SkippedSetError(
                    Problem.NO_TRANSFORM,
                    image.payload.topic,
                    f"{_place(image)} has frame '{frame}' like camera '{twin}'; one camera is "
                    "published on two topics, or two carry one frame_id: correct cameras."
                    "image_topics or the driver, or give frames by parameter cameras.frame_ids",
                )
            optical[image.camera] = frame
        return optical

    def _optical_frame(self, image: Received) -> str:
        """Name the camera's optical frame."""
        given = self._cameras[image.camera].frame_id
        named = given or image.payload.message.header.frame_id
        calibrated = self._calibrations.require(image.camera, image.stamp_ns).header.frame_id
        if named and not given and calibrated and calibrated != named:
            raise SkippedSetError(
                Problem.BAD_CALIBRATION,
                image.payload.topic,
                f"{_place(image)} has frame '{named}' but its CameraInfo is for frame "
                f"'{calibrated}'; cameras or calibrations are swapped: correct cameras."
                "image_topics and cameras.info_topics, or give the frame by cameras.frame_ids",
            )
        if not named:
            raise SkippedSetError(
                Problem.NO_TRANSFORM,
                image.payload.topic,
                f"{_place(image)} has no frame_id; set it in the driver or give it by "
                "parameter cameras.frame_ids",
            )
        return named.lstrip("/")


def _place(image: Received) -> str:
    """Name an image by topic and stamp."""
    packed = isinstance(image.payload.message, CompressedImage)
    kind = "compressed image" if packed else "image"
    return f"{kind} on '{image.payload.topic}' at {stamp_text(image.stamp_ns)}"
