"""Synchronised messages plus calibration plus transforms make a frame set, or say what is missing.

Nothing is guessed here: without CameraInfo, without a transform or with an image that cannot be
decoded the whole set is skipped, and the memory of the network stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import CompressedImage

from streampetr_ros.core.timing import StageClock
from streampetr_ros.core.types import CameraCalibration, FrameSet
from streampetr_ros.ingest.assembly import (
    FrameNameError,
    ImageFrames,
    SetPoses,
    VehicleFrames,
    join,
    look_up_poses,
    optical_frames,
)
from streampetr_ros.ingest.messages import stamp_text
from streampetr_ros.ingest.pictures.raw import ImageError, Pixels
from streampetr_ros.ingest.sync.types import StampedImage, SyncedSet
from streampetr_ros.ingest.transforms.tree import TransformUnavailable
from streampetr_ros.parameters.inputs import CameraSettings
from streampetr_ros.pipeline.data import WholeSet
from streampetr_ros.preprocess.pixel_path import PicturesAhead
from streampetr_ros.ros.inputs.calibration import CalibrationStore
from streampetr_ros.ros.inputs.camera_input import ReceivedImage
from streampetr_ros.ros.inputs.picture_work import PictureWork, PrepareAhead
from streampetr_ros.ros.inputs.transforms import TransformInput
from streampetr_ros.ros.problems import Problem, SkippedSetError

Received = StampedImage[ReceivedImage]

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)


class AssembledSet:
    """A frame set whose pictures may still be decoded.

    Args:
        found: synchronised images.
        outline: the set without pixels.
        begun: pictures of its images.
        clock: books the stage "images".

    Attributes:
        outline: as given.
        frame_set: with its pixels; the outline before `complete`.
    """

    def __init__(
        self,
        found: SyncedSet[ReceivedImage],
        outline: FrameSet,
        begun: Sequence[Future[Pixels]],
        clock: StageClock,
    ) -> None:
        self.outline = self.frame_set = outline
        self._found = found
        self._begun = begun
        self._clock = clock

    def complete(self) -> WholeSet:
        """Wait for the pictures.

        Raises:
            SkippedSetError: for one that cannot be decoded or is of another size.
        """
        images = self._found.images
        with self._clock.stage("images"):
            pixels = list(map(_decoded, images, self._begun))
        cameras = []
        for image, frame, picture in zip(images, self.outline.cameras, pixels, strict=True):
            _require_size(image, picture, frame.calibration)
            cameras.append(replace(frame, pixels=picture))
        self.frame_set = replace(self.outline, cameras=tuple(cameras))
        return WholeSet(self.frame_set, _prepared_ahead(self._found))


class FrameSetAssembler:
    """Builds frame sets in the worker's thread.

    Args:
        cameras: wiring by camera.
        frames: names of frames.
        calibrations: newest CameraInfo of each camera.
        transforms: where transforms come from.
        decode_threads: images decoded side by side.
        prepare: prepares a decoded picture; None prepares nothing ahead.

    Attributes:
        timeout_s: longest wait for transforms; may change at any time.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraSettings],
        frames: VehicleFrames,
        calibrations: CalibrationStore,
        transforms: TransformInput,
        decode_threads: int,
        prepare: PrepareAhead | None = None,
    ) -> None:
        self.timeout_s = 0.1
        self._cameras = cameras
        self._frames = frames
        self._calibrations = calibrations
        self._transforms = transforms
        self._work = PictureWork(calibrations, decode_threads, prepare)

    def begin_early(self, camera: str, image: ReceivedImage) -> None:
        """Begin to decode an image whose set is not complete yet; never waits."""
        self._work.begin_early(camera, image)

    def assemble(self, found: SyncedSet[ReceivedImage], clock: StageClock) -> AssembledSet:
        """Make a frame set, whose pictures may still be decoded.

        Args:
            found: synchronised images.
            clock: books the stages "transforms" and, once the set is completed, "images".

        Raises:
            SkippedSetError: naming topic, stamp and remedy.
        """
        for image in found.images:
            self._calibrations.require(image.camera, image.stamp_ns)
        with clock.stage("transforms"):
            poses = self._poses(found)
        begun = [self._work.pixels(image.camera, image.payload) for image in found.images]
        calibrations = [
            self._calibrations.calibration(
                image.camera, poses.base_from_camera[image.camera], image.stamp_ns
            )
            for image in found.images
        ]
        outline = join(found, calibrations, [_NO_PIXELS] * len(begun), poses)
        return AssembledSet(found, outline, begun, clock)

    def close(self) -> None:
        """Stop the threads."""
        self._work.close()

    def _poses(self, found: SyncedSet[ReceivedImage]) -> SetPoses:
        optical = self._optical_frames(found)
        try:
            return self._transforms.wait_for(
                lambda: look_up_poses(found, optical, self._frames, self._transforms.tree.lookup),
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
        try:
            return optical_frames([self._frames_of(image) for image in found.images])
        except FrameNameError as error:
            topics = {image.camera: image.payload.topic for image in found.images}
            kind = Problem.BAD_CALIBRATION if error.swapped else Problem.NO_TRANSFORM
            raise SkippedSetError(kind, topics[error.camera], str(error)) from error

    def _frames_of(self, image: Received) -> ImageFrames:
        info = self._calibrations.require(image.camera, image.stamp_ns)
        return ImageFrames(
            camera=image.camera,
            place=_place(image),
            image=image.payload.message.header.frame_id,
            info=info.header.frame_id,
            given=self._cameras[image.camera].frame_id,
        )


def _prepared_ahead(found: SyncedSet[ReceivedImage]) -> PicturesAhead:
    """Return what is made, or in the making, of a set's decoded pictures, by camera."""
    ahead = {image.camera: image.payload.progress.prepared for image in found.images}
    return {camera: future for camera, future in ahead.items() if future is not None}


def _require_size(image: Received, pixels: Pixels, calibration: CameraCalibration) -> None:
    if pixels.shape[:2] != (calibration.height, calibration.width):
        raise SkippedSetError(
            Problem.BAD_IMAGE,
            image.payload.topic,
            f"{_place(image)} is {pixels.shape[1]} x {pixels.shape[0]} but CameraInfo is for "
            f"{calibration.width} x {calibration.height}; publish the CameraInfo of the "
            "streamed resolution",
        )


def _decoded(image: Received, begun: Future[Pixels]) -> Pixels:
    """Wait for a picture.

    Raises:
        SkippedSetError: if it cannot be decoded.
    """
    try:
        return begun.result()
    except ImageError as error:
        raise SkippedSetError(
            Problem.BAD_IMAGE, image.payload.topic, f"{_place(image)}: {error}"
        ) from error


def _place(image: Received) -> str:
    """Name an image by topic and stamp."""
    packed = isinstance(image.payload.message, CompressedImage)
    kind = "compressed image" if packed else "image"
    return f"{kind} on '{image.payload.topic}' at {stamp_text(image.stamp_ns)}"
