"""From a frame set to network inputs: pose algebra in float64, float32 only at the very end.

Every matrix handed to the network is relative to the model frame at the set's reference time, so
absolute coordinates and absolute time never reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.model.state import ModelInputs
from streampetr_ros.preprocess.image import Polygon, plan_resize_crop
from streampetr_ros.preprocess.pixel_path import (
    NOTHING_AHEAD,
    HostPath,
    PicturesAhead,
    PixelPath,
    check_size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMask:
    """A region of one camera that never shows the world, such as the own bonnet.

    Attributes:
        camera: camera name.
        polygon: corners in fractions (x, y) of image width and height.
    """

    camera: str
    polygon: Polygon

    def __post_init__(self) -> None:
        if len(self.polygon) < 3:
            raise ValueError(f"mask of camera '{self.camera}' needs at least three corners")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """How frame sets become network inputs.

    Attributes:
        image: size, channel order and statistics of the network image.
        masks: regions blanked out before the network sees them.
    """

    image: ImageConfig
    masks: tuple[CameraMask, ...] = ()

    def masks_of(self, camera: str) -> tuple[Polygon, ...]:
        """Return the polygons to blank out in one camera."""
        return tuple(mask.polygon for mask in self.masks if mask.camera == camera)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreviousFrame:
    """Where and when the memory handed to the network was written.

    Attributes:
        stamp_ns: reference time of that frame set.
        fixed_from_model: (4, 4) float64 model frame at that time.
    """

    stamp_ns: int
    fixed_from_model: Array

    @classmethod
    def of(cls, frame_set: FrameSet) -> PreviousFrame:
        """Take them from the frame set that the memory was written at."""
        fixed_from_model = frame_set.fixed_from_base @ frame_set.base_from_model
        return cls(stamp_ns=frame_set.stamp_ns, fixed_from_model=fixed_from_model)


class SetGeometry(NamedTuple):
    """All that the network is told about a frame set beside its images.

    Attributes:
        cameras: N cameras in the order they are fed.
        with_images: makes the inputs, given (1, N, 3, H, W) images.
    """

    cameras: tuple[CameraCalibration, ...]
    with_images: Callable[[torch.Tensor], ModelInputs]


_ON_THE_CPU = HostPath()


def prepare_inputs(
    frame_set: FrameSet,
    previous: PreviousFrame | None,
    config: InputConfig,
    *,
    rig: Sequence[CameraCalibration] = (),
    pixel_path: PixelPath = _ON_THE_CPU,
    ahead: PicturesAhead = NOTHING_AHEAD,
) -> ModelInputs:
    """Prepare one frame set for the network, as a batch of one.

    Args:
        frame_set: images, poses and calibration of one exposure cycle.
        previous: frame that wrote the memory; None starts afresh.
        config: image preparation.
        rig: all cameras in the order they are fed; those without an image in the set are
            marked absent. Empty: the cameras of the set in their own order.
        pixel_path: prepares the images; the default does it on the CPU, one after the other.
        ahead: what the pixel path made of some pictures already.

    Returns:
        Inputs of batch size 1, images where the pixel path leaves them, all else on the CPU.

    Raises:
        UserError: if an image, calibration or pose cannot be used; names the camera.
    """
    known = prepare_geometry(frame_set, previous, config, rig)
    return join_images(known, frame_set, config, pixel_path, ahead)


def prepare_geometry(
    frame_set: FrameSet,
    previous: PreviousFrame | None,
    config: InputConfig,
    rig: Sequence[CameraCalibration] = (),
) -> SetGeometry:
    """Do the part of `prepare_inputs` that looks at no pixel.

    Raises:
        UserError: if a calibration or pose cannot be used; names the camera.
    """
    cameras = tuple(rig) or tuple(frame.calibration for frame in frame_set.cameras)
    frames = _in_order(frame_set, cameras)
    shown = [
        camera if frame is None else frame.calibration
        for camera, frame in zip(cameras, frames, strict=True)
    ]
    # A camera without an image is taken to have been exposed at the reference time.
    exposed = [frame_set if frame is None else frame for frame in frames]
    placed = _model_from_cameras(frame_set, shown, exposed)
    intrinsics, inverses = _network_intrinsics(shown, config.image)
    camera_from_image = np.tile(np.eye(4), (len(shown), 1, 1))
    camera_from_image[:, :3, :3] = inverses
    present = [frame is not None for frame in frames]
    now_from_previous, elapsed = np.eye(4), 0.0
    if previous is not None:
        fixed_from_now = frame_set.fixed_from_base @ frame_set.base_from_model
        now_from_previous = geometry.inverse(fixed_from_now) @ previous.fixed_from_model
        elapsed = (frame_set.stamp_ns - previous.stamp_ns) * 1e-9
    with_images = partial(
        ModelInputs,
        model_from_image=_float32(placed @ camera_from_image),
        focal_lengths=_float32(np.abs(np.diagonal(intrinsics, axis1=1, axis2=2)[:, :2])),
        now_from_previous=_float32(now_from_previous),
        elapsed=torch.tensor([elapsed], dtype=torch.float32),
        continues=torch.tensor([0.0 if previous is None else 1.0], dtype=torch.float32),
        camera_present=None if all(present) else torch.tensor([present]),
    )
    return SetGeometry(cameras, with_images)


def join_images(
    known: SetGeometry,
    frame_set: FrameSet,
    config: InputConfig,
    pixel_path: PixelPath,
    ahead: PicturesAhead = NOTHING_AHEAD,
) -> ModelInputs:
    """Do the rest of `prepare_inputs`.

    Args:
        known: geometry of the set.
        frame_set: with its pixels.
        config: image preparation.
        pixel_path: prepares the images.
        ahead: what it made of some of them already.

    Raises:
        UserError: if an image cannot be used; names the camera.
    """
    for frame in frame_set.cameras:
        check_size(frame)
    masks = [config.masks_of(camera.name) for camera in known.cameras]
    images = pixel_path(_in_order(frame_set, known.cameras), config.image, masks, ahead)
    return known.with_images(images[None])


def _in_order(
    frame_set: FrameSet, cameras: Sequence[CameraCalibration]
) -> list[CameraFrame | None]:
    """Return the frames of the cameras, None for those without an image, after a check."""
    if not frame_set.cameras:
        raise UserError(f"the frame set at {frame_set.stamp_ns} ns holds no image")
    frames = {frame.calibration.name: frame for frame in frame_set.cameras}
    known = {camera.name for camera in cameras}
    strangers = sorted(set(frames) - known)
    if strangers or len(frames) != len(frame_set.cameras) or len(known) != len(cameras):
        raise UserError(
            f"camera names must be unique and belong to the rig {sorted(known)}, "
            f"got {[frame.calibration.name for frame in frame_set.cameras]}"
        )
    return [frames.get(camera.name) for camera in cameras]


def _network_intrinsics(
    cameras: Sequence[CameraCalibration], image: ImageConfig
) -> tuple[Array, list[Array]]:
    """Return the (N, 3, 3) camera matrices of the cameras' network images, and their inverses."""
    intrinsics, inverses = [], []
    for camera in cameras:
        width, height = camera.width, camera.height
        # Reduced so far, pictures would have to be enlarged again.
        if camera.reduction > 1 and (width < image.width or height < image.height):
            raise UserError(
                f"pictures of camera '{camera.name}', reduced {camera.reduction} times, have "
                f"{width}x{height} pixels, fewer than the {image.width}x{image.height} of the "
                "network; set a smaller value in parameter cameras.reductions"
            )
        plan = plan_resize_crop(width, height, image)
        intrinsics.append(plan.network_from_image @ camera.intrinsic)
        try:
            inverses.append(np.linalg.inv(intrinsics[-1]))
        except np.linalg.LinAlgError as error:
            raise UserError(
                f"camera matrix {intrinsics[-1].tolist()} of '{camera.name}' cannot be inverted; "
                "the camera is not calibrated"
            ) from error
    return np.array(intrinsics), inverses


def model_from_camera(frame: CameraFrame, frame_set: FrameSet) -> Array:
    """Chain a camera at its own exposure time to the model frame at the reference time.

    The vehicle moves between the two; on a rig that fires camera after camera this is up to half
    a metre at town speed.

    Args:
        frame: one camera of the set.
        frame_set: the set.

    Returns:
        (4, 4) float64.

    Raises:
        UserError: if a pose or calibration holds a number that is not finite.
    """
    pose: Array = _model_from_cameras(frame_set, [frame.calibration], [frame])[0]
    return pose


def _model_from_cameras(
    frame_set: FrameSet,
    cameras: Sequence[CameraCalibration],
    exposed: Sequence[CameraFrame | FrameSet],
) -> Array:
    """Chain N cameras, each exposed where something else was, as `model_from_camera` does."""
    exposures = np.array([each.fixed_from_base for each in exposed])
    mountings = np.array([camera.base_from_camera for camera in cameras])
    model_from_base = geometry.inverse(frame_set.base_from_model)
    # Coordinates of the fixed frame may be large; they cancel first.
    reference_from_exposure = geometry.inverse(frame_set.fixed_from_base) @ exposures
    chained: Array = model_from_base @ reference_from_exposure @ mountings
    usable = np.isfinite(chained).all(axis=(1, 2)).tolist()
    for camera, each, is_finite in zip(cameras, exposed, usable, strict=True):
        if not (is_finite and np.isfinite(camera.intrinsic).all()):
            raise UserError(
                f"camera '{camera.name}' has a pose or calibration that is not finite at "
                f"{each.stamp_ns} ns; check its transforms and camera matrix"
            )
    return chained


def _float32(value: object) -> torch.Tensor:
    """Add the batch axis and leave float64 behind."""
    return torch.from_numpy(np.asarray(value, dtype=np.float64)[None].astype(np.float32))
