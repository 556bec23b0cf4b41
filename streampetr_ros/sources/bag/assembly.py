"""Recorded images of one exposure cycle plus calibration plus transforms make a frame set."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration, FrameSet
from streampetr_ros.ingest.assembly import (
    FrameNameError,
    ImageFrames,
    KnownCalibrations,
    SetPoses,
    join,
    look_up_poses,
    optical_frames,
)
from streampetr_ros.ingest.messages import camera_info_from, raw_image_from, stamp_text
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.raw import ImageError, Pixels, decode_raw
from streampetr_ros.ingest.pictures.reduction import shrink
from streampetr_ros.ingest.rig import CalibrationError
from streampetr_ros.ingest.sync.types import StampedImage, SyncedSet
from streampetr_ros.ingest.transforms.tree import TransformTree
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.topics import CameraTopics

#: Images decoded side by side.
_DECODERS = 2


class SkippedSetError(Exception):
    """A frame set that cannot be used.

    Attributes:
        reason: kind of problem and where, the same for all sets that have it.
        may_come: whether what is missing may be recorded later.
    """

    def __init__(self, reason: str, sentence: str, *, may_come: bool = False) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.may_come = may_come


class RecordedImage(NamedTuple):
    """An image message, not decoded yet, and its topics."""

    message: Any
    topics: CameraTopics


Recorded = StampedImage[RecordedImage]


class BagAssembler:
    """Makes frame sets; nothing is guessed, what is missing raises.

    Args:
        options: frames.
        tree: transforms.
        sequence: name of the recording.
        tokens: sample tokens by stamp, where they are known.

    Attributes:
        infos: newest CameraInfo message by camera.
    """

    def __init__(
        self, options: BagOptions, tree: TransformTree, sequence: str, tokens: Mapping[int, str]
    ) -> None:
        self.infos: dict[str, Any] = {}
        self._frames = options.parameters.frames
        self._tree = tree
        self._sequence = sequence
        self._tokens = tokens
        self._calibrations = KnownCalibrations()
        self._pool = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    def poses(self, found: SyncedSet[RecordedImage]) -> SetPoses:
        """Look up all transforms of a set whose CameraInfo has come.

        Raises:
            TransformUnavailable: if one is not known; waiting may help.
            SkippedSetError: if images do not say where their cameras are.
        """
        try:
            optical = optical_frames(
                [image_frames(image, self.infos[image.camera]) for image in found.images]
            )
        except FrameNameError as error:
            topics = {image.camera: image.payload.topics for image in found.images}
            topic = topics[error.camera].image_topic
            raise SkippedSetError(frame_reason(topic), str(error)) from error
        return look_up_poses(found, optical, self._frames, self._tree.lookup)

    def require_infos(self, found: SyncedSet[RecordedImage]) -> None:
        """Refuse images whose CameraInfo has not come.

        Raises:
            SkippedSetError: naming the first one; it may still come.
        """
        for image in found.images:
            topics = image.payload.topics
            if image.camera not in self.infos:
                raise SkippedSetError(
                    f"no CameraInfo on '{topics.info_topic}' yet",
                    f"image on '{topics.image_topic}' at {stamp_text(image.stamp_ns)} has no "
                    f"CameraInfo on '{topics.info_topic}' yet; its publisher must run "
                    "before the first image",
                    may_come=True,
                )

    def assemble(self, found: SyncedSet[RecordedImage], poses: SetPoses) -> FrameSet:
        """Decode the images and put everything together.

        Raises:
            SkippedSetError: if an image or a calibration cannot be used.
        """
        calibrations = [
            self._calibration(image, poses.base_from_camera[image.camera]) for image in found.images
        ]
        pixels = list(self._pool.map(decode, found.images))
        for image, calibration, decoded in zip(found.images, calibrations, pixels, strict=True):
            require_size(image, calibration, decoded)
        token = self._tokens.get(found.stamp_ns, "")
        joined = join(found, calibrations, pixels, poses)
        return replace(joined, sequence=self._sequence, token=token)

    def _calibration(self, image: Recorded, base_from_frame: Array) -> CameraCalibration:
        info = self.infos[image.camera]
        return calibrated(image, info, base_from_frame, self._calibrations)


def frame_reason(topic: str) -> str:
    """Name the kind of problem that frames of a topic's images have."""
    return f"unusable frame_id on '{topic}'"


def image_frames(image: Recorded, info: Any) -> ImageFrames:
    """Return the frames that an image and its CameraInfo name."""
    topics = image.payload.topics
    return ImageFrames(
        camera=image.camera,
        place=f"image on '{topics.image_topic}' at {stamp_text(image.stamp_ns)}",
        image=image.payload.message.header.frame_id,
        info=info.header.frame_id,
        given=topics.wiring.frame_id,
    )


def calibrated(
    image: Recorded, info: Any, base_from_frame: Array, known: KnownCalibrations
) -> CameraCalibration:
    """Return the calibration of an image.

    Raises:
        SkippedSetError: if its CameraInfo cannot be used.
    """
    topics = image.payload.topics
    content = camera_info_from(info)
    try:
        return known.calibration(
            image.camera,
            content,
            base_from_frame,
            rectified=topics.wiring.rectified,
            reduction=topics.wiring.reduction,
        )
    except CalibrationError as error:
        raise SkippedSetError(
            f"unusable CameraInfo on '{topics.info_topic}'",
            f"CameraInfo on '{topics.info_topic}' cannot be used for the image at "
            f"{stamp_text(image.stamp_ns)}: {error}",
        ) from error


def require_size(image: Recorded, calibration: CameraCalibration, pixels: Pixels) -> None:
    """Refuse an image of another size than its calibration is for.

    Raises:
        SkippedSetError: naming both.
    """
    if pixels.shape[:2] != (calibration.height, calibration.width):
        topics = image.payload.topics
        raise SkippedSetError(
            f"image size on '{topics.image_topic}'",
            f"image on '{topics.image_topic}' at {stamp_text(image.stamp_ns)} is "
            f"{pixels.shape[1]} x {pixels.shape[0]} but CameraInfo on '{topics.info_topic}' is for "
            f"{calibration.width} x {calibration.height}; publish the CameraInfo of the recorded "
            "resolution",
        )


def decode(image: Recorded) -> Pixels:
    """Return the pixels of an image.

    Raises:
        SkippedSetError: if it cannot be decoded.
    """
    message, topics = image.payload
    try:
        if topics.packed:
            return decode_compressed(message.data, message.format, topics.wiring.reduction)
        return shrink(decode_raw(raw_image_from(message)), topics.wiring.reduction)
    except ImageError as error:
        raise SkippedSetError(
            f"unusable image on '{topics.image_topic}'",
            f"image on '{topics.image_topic}' at {stamp_text(image.stamp_ns)}: {error}",
        ) from error
