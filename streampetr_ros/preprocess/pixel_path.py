"""How pictures become network images: on the CPU here, on a GPU in `device_path`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import Polygon, PreprocessError, prepare_image
from streampetr_ros.types import CameraCalibration, CameraFrame

Result = TypeVar("Result")

#: Gives a camera frame whose pixels and calibration follow the pinhole model.
Rectify = Callable[[CameraFrame], CameraFrame]


class CameraMap(Protocol):
    """The built-in ``map`` or the one of an executor."""

    def __call__(
        self, function: Callable[[int], Result], indices: Iterable[int], /
    ) -> Iterator[Result]:
        """Apply a function to every camera index, in order."""
        ...


class NetworkImages(NamedTuple):
    """What the network sees of a frame set.

    Attributes:
        images: (N, 3, H, W) float32, normalised; zero for cameras without a picture.
        pinholes: N calibrations that camera pictures have without distortion, of their full size;
            None for cameras without a picture.
    """

    images: Tensor
    pinholes: list[CameraCalibration | None]


class PixelPath(Protocol):
    """Undistorts, resizes, crops, masks and normalises the pictures of a frame set."""

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
    ) -> NetworkImages:
        """Prepare the images of one set.

        Args:
            frames: one per camera, pictures of the size that the calibration names; None for a
                camera without a picture.
            image: size, channel order and statistics of the network image.
            masks: regions to blank out, per camera.

        Raises:
            PreprocessError: if a picture cannot be used.
        """
        ...


def require_rectified(frame: CameraFrame) -> CameraFrame:
    """Return the frame as it is, or refuse one whose lens distorts.

    Raises:
        PreprocessError: if the calibration carries distortion.
    """
    calibration = frame.calibration
    if calibration.distortion_model != "none" and np.any(calibration.distortion):
        raise PreprocessError(
            f"camera '{calibration.name}' has {calibration.distortion_model} distortion; rectify "
            "its images first or hand prepare_inputs a rectifier"
        )
    return frame


class HostPath:
    """Prepares pictures on the CPU, with Pillow.

    Args:
        rectify: undistorts a camera frame; the default refuses distorted ones.
        camera_map: ``Executor.map`` prepares the cameras side by side.
    """

    def __init__(self, rectify: Rectify = require_rectified, camera_map: CameraMap = map) -> None:
        self._rectify = rectify
        self._camera_map = camera_map

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
    ) -> NetworkImages:
        """Prepare the images of one set; see `PixelPath`."""
        images = np.empty((len(frames), 3, image.height, image.width), dtype=np.float32)

        def prepare(index: int) -> CameraCalibration | None:
            frame = frames[index]
            if frame is None:
                images[index] = 0.0
                return None
            straight = self._rectify(frame)
            prepare_image(straight.pixels, image, images[index], masks[index])
            return straight.calibration

        pinholes = list(self._camera_map(prepare, range(len(frames))))
        return NetworkImages(torch.from_numpy(images), pinholes)
