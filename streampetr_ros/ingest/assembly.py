"""Synchronised images with their transforms and calibrations make a frame set.

The node and the reader of bags share these steps; what each of them says when something is missing
is its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.parameter import ParameterError, parameter
from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.ingest import rig
from streampetr_ros.ingest.pictures.raw import Pixels
from streampetr_ros.ingest.pictures.reduction import reduced_calibration
from streampetr_ros.ingest.sync.types import SyncedSet

#: Takes target frame, source frame and stamp in nanoseconds; returns (4, 4) target_from_source.
LookUp = Callable[[str, str, int], Array]


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
            raise ParameterError(
                f"frames.fixed '{self.fixed}' and frames.base '{self.base}' must be two frame names"
            )
        rotation = euler2mat(*self.model_rpy)
        mounting = geometry.transform_from_parts(self.model_xyz, rotation)
        object.__setattr__(self, "base_from_model", mounting)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetPoses:
    """All transforms of one frame set.

    Attributes:
        fixed_from_base: (4, 4) vehicle pose at the reference time.
        base_from_model: (4, 4) mounting of the model frame.
        fixed_from_base_by_camera: (4, 4) vehicle pose at each camera's stamp.
        base_from_camera: (4, 4) mounting of each camera.
    """

    fixed_from_base: Array
    base_from_model: Array
    fixed_from_base_by_camera: Mapping[str, Array]
    base_from_camera: Mapping[str, Array]


def look_up_poses(
    found: SyncedSet[Any], optical: Mapping[str, str], frames: VehicleFrames, look_up: LookUp
) -> SetPoses:
    """Look up all transforms of a set.

    Args:
        found: synchronised images.
        optical: optical frame of each camera of the set.
        frames: of the vehicle.
        look_up: raises what it likes for a transform it does not have.
    """
    fixed, base = frames.fixed, frames.base
    return SetPoses(
        fixed_from_base=look_up(fixed, base, found.stamp_ns),
        base_from_model=look_up(base, frames.model, found.stamp_ns)
        if frames.model
        else frames.base_from_model,
        fixed_from_base_by_camera={
            image.camera: look_up(fixed, base, image.stamp_ns) for image in found.images
        },
        base_from_camera={
            image.camera: look_up(base, optical[image.camera], image.stamp_ns)
            for image in found.images
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFrames:
    """Names by which an image says where its camera is.

    Attributes:
        camera: name.
        place: the image in words, for sentences.
        image: frame in the header of the image.
        info: frame in the header of its CameraInfo; may be empty.
        given: frame by parameter, which counts more; empty if none is.
    """

    camera: str
    place: str
    image: str
    info: str
    given: str


class FrameNameError(ValueError):
    """Frames that do not tell where a camera is, in a sentence.

    Attributes:
        camera: whose image it is.
        swapped: whether image and CameraInfo contradict each other.
    """

    def __init__(self, camera: str, sentence: str, *, swapped: bool = False) -> None:
        super().__init__(sentence)
        self.camera = camera
        self.swapped = swapped


def optical_frames(images: Sequence[ImageFrames]) -> dict[str, str]:
    """Name the cameras' optical frames, which are different ones.

    Raises:
        FrameNameError: for the first image whose frame is missing or contradicts another.
    """
    optical: dict[str, str] = {}
    for image in images:
        frame = optical_frame(image)
        twin = next((camera for camera, known in optical.items() if known == frame), None)
        if twin is not None:
            raise FrameNameError(
                image.camera,
                f"{image.place} has frame '{frame}' like camera '{twin}'; one camera is "
                "published on two topics, or two carry one frame_id: correct cameras."
                "image_topics or the driver, or give frames by parameter cameras.frame_ids",
            )
        optical[image.camera] = frame
    return optical


def optical_frame(image: ImageFrames) -> str:
    """Name the optical frame of an image.

    Raises:
        FrameNameError: if there is none, or CameraInfo names another.
    """
    named = (image.given or image.image).lstrip("/")
    calibrated = image.info.lstrip("/")
    if named and not image.given and calibrated and calibrated != named:
        raise FrameNameError(
            image.camera,
            f"{image.place} has frame '{named}' but its CameraInfo is for frame "
            f"'{calibrated}'; cameras or calibrations are swapped: correct cameras."
            "image_topics and cameras.info_topics, or give the frame by cameras.frame_ids",
            swapped=True,
        )
    if not named:
        raise FrameNameError(
            image.camera,
            f"{image.place} has no frame_id; set it in the driver or give it by "
            "parameter cameras.frame_ids",
        )
    return named


class _Built(NamedTuple):
    content: rig.CameraInfo
    base_from_frame: Array
    calibration: CameraCalibration


class KnownCalibrations:
    """Calibrations by camera, built again only when something changed; belongs to one thread."""

    def __init__(self) -> None:
        self._built: dict[str, _Built] = {}

    def last_built(self, camera: str) -> CameraCalibration | None:
        """Return what `calibration` gave last, None before that; may be asked by any thread."""
        built = self._built.get(camera)
        return None if built is None else built.calibration

    def calibration(
        self,
        camera: str,
        content: rig.CameraInfo,
        base_from_frame: Array,
        *,
        rectified: bool,
        reduction: int = 1,
    ) -> CameraCalibration:
        """Return the calibration of a camera's images; see `rig.build_calibration`.

        Raises:
            CalibrationError: if the CameraInfo cannot be used.
        """
        built = self._built.get(camera)
        known = built is not None and built.content == content
        if known and np.array_equal(built.base_from_frame, base_from_frame):
            return built.calibration
        full = rig.build_calibration(camera, content, base_from_frame, rectified=rectified)
        calibration = reduced_calibration(full, reduction)
        self._built[camera] = _Built(content, base_from_frame, calibration)
        return calibration


def join(
    found: SyncedSet[Any],
    calibrations: Sequence[CameraCalibration],
    pixels: Sequence[Pixels],
    poses: SetPoses,
) -> FrameSet:
    """Put a frame set together.

    Args:
        found: synchronised images.
        calibrations: of each image.
        pixels: of each image, (height, width, 3) uint8 RGB of the size of its calibration.
        poses: of the set.
    """
    return FrameSet(
        stamp_ns=found.stamp_ns,
        cameras=tuple(
            CameraFrame(
                calibration=calibration,
                stamp_ns=image.stamp_ns,
                pixels=decoded,
                fixed_from_base=poses.fixed_from_base_by_camera[image.camera],
            )
            for image, calibration, decoded in zip(found.images, calibrations, pixels, strict=True)
        ),
        fixed_from_base=poses.fixed_from_base,
        base_from_model=poses.base_from_model,
    )
