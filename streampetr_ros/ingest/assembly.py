"""Messages of one exposure cycle make a frame set, or it is said what is missing and what to do.

Nothing is guessed: without CameraInfo, without a transform or with an image that cannot be decoded
there is no frame set. Node, readers of bags and checks all use this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.parameter import parameter
from streampetr_ros.core.problems import Problem, SkippedSet
from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.ingest import rig
from streampetr_ros.ingest.messages import (
    camera_info_from,
    decode_message,
    stamp_ns_from,
    stamp_text,
)
from streampetr_ros.ingest.pictures.pixels import ImageError, Pixels, reduced_calibration
from streampetr_ros.ingest.pictures.raw import RawImage
from streampetr_ros.ingest.sync.types import StampedImage, SyncedSet
from streampetr_ros.ingest.transforms.tree import TransformUnavailable

#: Takes target frame, source frame and stamp in nanoseconds; returns (4, 4) target_from_source.
LookUp = Callable[[str, str, int], Array]

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleFrames:
    """Names of coordinate frames and the mounting of the model frame: the parameters ``frames.*``.

    Attributes:
        base_from_model: (4, 4) mounting of the model frame where it has no name.
    """

    fixed: str = parameter("odom", "Frame that does not move and does not jump (REP-105 odom)")
    base: str = parameter("base_link", "Vehicle frame of the published boxes")
    model: str = parameter(
        "", "TF frame the network predicts in; empty uses frames.model_xyz and frames.model_rpy"
    )
    model_xyz: tuple[float, float, float] = parameter(
        (0.94, 0.0, 1.84), "Origin of the model frame in the base frame, m", between=(-50, 50)
    )
    model_rpy: tuple[float, float, float] = parameter(
        (0.0, 0.0, -math.pi / 2),
        "Roll, pitch, yaw of the model frame in the base frame, rad; the default is the roof LiDAR "
        "of nuScenes, x right and y forward",
        between=(-2 * math.pi, 2 * math.pi),
    )
    base_from_model: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.fixed or not self.base or self.fixed == self.base:
            raise ConfigError(
                f"frames.fixed '{self.fixed}' and frames.base '{self.base}' must be two frame names"
            )
        rotation = euler2mat(*self.model_rpy)
        mounting = geometry.transform_from_parts(self.model_xyz, rotation)
        object.__setattr__(self, "base_from_model", mounting)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """Settings of one camera.

    Attributes:
        name: of the camera.
        image_topic: topic of its images, or the one that "/compressed" is appended to.
        info_topic: topic of its CameraInfo; empty, which only bags allow, looks beside the images.
        transport: "raw", "compressed" or "auto".
        rectified: whether images follow P of CameraInfo.
        reduction: how many times narrower and lower images are decoded.
        frame_id: optical frame; empty takes the one in the image's header.
    """

    name: str
    image_topic: str
    info_topic: str = ""
    transport: str = "auto"
    rectified: bool = False
    reduction: int = 1
    frame_id: str = ""


@dataclass(slots=True, eq=False)
class ImageMessage:
    """An image, not decoded yet.

    Attributes:
        message: sensor_msgs/Image or CompressedImage, made by any library.
        topic: where it came from.
    """

    message: Any
    topic: str

    @property
    def place(self) -> str:
        """The image in words, for sentences."""
        kind = "compressed image" if hasattr(self.message, "format") else "image"
        stamp_ns = stamp_ns_from(self.message.header.stamp)
        return f"{kind} on '{self.topic}' at {stamp_text(stamp_ns)}"


#: With an `ImageMessage` as its payload.
Image: TypeAlias = StampedImage[Any]


class _Built(NamedTuple):
    content: rig.CameraInfo
    base_from_frame: Array
    calibration: CameraCalibration


class Assembler:
    """Builds frame sets from the messages of some cameras.

    Belongs to one thread, but for `decode` and `last_built`.

    Args:
        frames: of the vehicle.
        cameras: settings by camera.
        info_of: returns the newest CameraInfo message of a camera, None before the first.
        look_up: transforms.
        remedy: what helps where a transform is missing.
        convert_other: as for `decode_raw`.

    Attributes:
        patience_s: how long is waited for what may come, for sentences.
    """

    def __init__(
        self,
        frames: VehicleFrames,
        cameras: Mapping[str, CameraSettings],
        info_of: Callable[[str], Any | None],
        look_up: LookUp,
        remedy: str,
        convert_other: Callable[[RawImage], Pixels] | None = None,
    ) -> None:
        self.patience_s = 0.0
        self._frames = frames
        self._cameras = cameras
        self._info_of = info_of
        self._look_up = look_up
        self._remedy = remedy
        self._convert_other = convert_other
        self._built: dict[str, _Built] = {}

    def outline(self, found: SyncedSet[Any]) -> FrameSet:
        """Make the frame set of synchronised images, without its pixels.

        Args:
            found: with payloads of `ImageMessage`.

        Raises:
            SkippedSet: if CameraInfo or transforms are missing or contradict each other.
        """
        infos = [self._info(image) for image in found.images]
        optical = self._optical_frames(found.images, infos)
        fixed, base, model = self._frames.fixed, self._frames.base, self._frames.model
        try:
            fixed_from_base = self._look_up(fixed, base, found.stamp_ns)
            base_from_model = self._frames.base_from_model
            if model:
                base_from_model = self._look_up(base, model, found.stamp_ns)
            exposures = [self._look_up(fixed, base, image.stamp_ns) for image in found.images]
            mountings = [
                self._look_up(base, frame, image.stamp_ns)
                for frame, image in zip(optical, found.images, strict=True)
            ]
        except TransformUnavailable as error:
            waited = f" after waiting {self.patience_s:g} s" if error.may_come else ""
            raise SkippedSet(
                Problem.NO_TRANSFORM,
                error.reason.value,
                f"frame set at {stamp_text(found.stamp_ns)} skipped{waited}: {error}; "
                f"{self._remedy}",
                may_come=error.may_come,
            ) from error
        cameras = tuple(
            CameraFrame(
                calibration=self.calibration(image, info, mounting),
                stamp_ns=image.stamp_ns,
                pixels=_NO_PIXELS,
                fixed_from_base=exposure,
            )
            for image, info, mounting, exposure in zip(
                found.images, infos, mountings, exposures, strict=True
            )
        )
        return FrameSet(
            stamp_ns=found.stamp_ns,
            cameras=cameras,
            fixed_from_base=fixed_from_base,
            base_from_model=base_from_model,
        )

    def whole(
        self, found: SyncedSet[Any], outline: FrameSet, pictures: Sequence[Pixels]
    ) -> FrameSet:
        """Put the pictures of its images, in their order, into an outline.

        Raises:
            SkippedSet: for a picture of another size.
        """
        for image, frame, pixels in zip(found.images, outline.cameras, pictures, strict=True):
            self.require_size(image, frame.calibration, pixels)
        frames = zip(outline.cameras, pictures, strict=True)
        return replace(outline, cameras=tuple(replace(f, pixels=pixels) for f, pixels in frames))

    def decode(self, camera: str, image: ImageMessage) -> Pixels:
        """Return the picture of an image, reduced as the camera's are; any thread.

        Raises:
            SkippedSet: if it cannot be decoded.
        """
        reduction = self._cameras[camera].reduction
        try:
            return decode_message(image.message, reduction, self._convert_other)
        except ImageError as error:
            sentence = f"{image.place}: {error}"
            raise SkippedSet(Problem.BAD_IMAGE, image.topic, sentence) from error

    def last_built(self, camera: str) -> CameraCalibration | None:
        """Return what `calibration` gave last for a camera, None before that; any thread."""
        built = self._built.get(camera)
        return None if built is None else built.calibration

    def calibration(self, image: Image, info: Any, base_from_frame: Array) -> CameraCalibration:
        """Return the calibration of an image, built again only when something changed.

        Args:
            image: of the camera.
            info: its CameraInfo message.
            base_from_frame: (4, 4) mounting of its optical frame.

        Raises:
            SkippedSet: if the CameraInfo cannot be used.
        """
        content, camera = camera_info_from(info), self._cameras[image.camera]
        built = self._built.get(image.camera)
        if (
            built is not None
            and built.content == content
            and np.array_equal(built.base_from_frame, base_from_frame)
        ):
            return built.calibration
        try:
            full = rig.build_calibration(
                image.camera, content, base_from_frame, rectified=camera.rectified
            )
        except rig.CalibrationError as error:
            raise SkippedSet(
                Problem.BAD_CALIBRATION,
                camera.info_topic,
                f"CameraInfo on '{camera.info_topic}' cannot be used for the image at "
                f"{stamp_text(image.stamp_ns)}: {error}",
            ) from error
        calibration = reduced_calibration(full, camera.reduction)
        self._built[image.camera] = _Built(content, base_from_frame, calibration)
        return calibration

    def require_size(self, image: Image, calibration: CameraCalibration, pixels: Pixels) -> None:
        """Refuse a picture of another size than its calibration is for.

        Raises:
            SkippedSet: naming both.
        """
        if pixels.shape[:2] != (calibration.height, calibration.width):
            raise SkippedSet(
                Problem.BAD_IMAGE,
                image.payload.topic,
                f"{image.payload.place} is {pixels.shape[1]} x {pixels.shape[0]} but CameraInfo is "
                f"for {calibration.width} x {calibration.height}; publish the CameraInfo of the "
                f"images' resolution on '{self._cameras[image.camera].info_topic}'",
            )

    def optical_frame(self, image: Image, info: Any) -> str:
        """Name the optical frame of an image.

        Raises:
            SkippedSet: if there is none, or CameraInfo names another.
        """
        given = self._cameras[image.camera].frame_id
        named = (given or image.payload.message.header.frame_id).lstrip("/")
        calibrated = info.header.frame_id.lstrip("/")
        if not named:
            raise SkippedSet(
                Problem.BAD_FRAME,
                image.payload.topic,
                f"{image.payload.place} has no frame_id; set it in the driver or give it by "
                "parameter cameras.frame_ids",
            )
        if not given and calibrated not in ("", named):
            raise SkippedSet(
                Problem.BAD_FRAME,
                image.payload.topic,
                f"{image.payload.place} has frame '{named}' but its CameraInfo is for frame "
                f"'{calibrated}'; cameras or calibrations are swapped: correct cameras."
                "image_topics and cameras.info_topics, or give the frame by cameras.frame_ids",
            )
        return named

    def _optical_frames(self, images: Sequence[Image], infos: Sequence[Any]) -> list[str]:
        """Name the optical frames of all images, which are different ones."""
        frames: list[str] = []
        for image, info in zip(images, infos, strict=True):
            frame = self.optical_frame(image, info)
            if frame in frames:
                twin = images[frames.index(frame)].camera
                raise SkippedSet(
                    Problem.BAD_FRAME,
                    image.payload.topic,
                    f"{image.payload.place} has frame '{frame}' like camera '{twin}'; one camera "
                    "is published on two topics, or two carry one frame_id: correct cameras."
                    "image_topics or the driver, or give frames by parameter cameras.frame_ids",
                )
            frames.append(frame)
        return frames

    def _info(self, image: Image) -> Any:
        info = self._info_of(image.camera)
        if info is None:
            topic = self._cameras[image.camera].info_topic
            raise SkippedSet(
                Problem.NO_CAMERA_INFO,
                topic,
                f"{image.payload.place} of camera '{image.camera}' has no CameraInfo yet; publish "
                f"it on '{topic}' before the first image or set parameter cameras.info_topics",
                may_come=True,
            )
        return info
