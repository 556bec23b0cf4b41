"""How pictures become network images: on the CPU here, on a GPU in `device_path`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import CameraCalibration, CameraFrame
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import Polygon, help_resizing, prepare_image
from streampetr_ros.preprocess.image_memory import ImageBatches, ImagePlace

Result = TypeVar("Result")
Made = TypeVar("Made")


class Rectify(Protocol):
    """Makes pinhole cameras of distorting ones."""

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration that the pictures of a camera have without distortion."""
        ...

    def __call__(self, frame: CameraFrame) -> CameraFrame:
        """Return a frame as a pinhole camera would have taken it."""
        ...


class CameraMap(Protocol):
    """The built-in ``map`` or the one of an executor."""

    def __call__(
        self, function: Callable[[int], Result], indices: Iterable[int], /
    ) -> Iterator[Result]:
        """Apply a function to every camera index, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureAhead(Generic[Made]):
    """What a pixel path made of a picture before its frame set was complete.

    Attributes:
        source: picture and the calibration known then; its pose is not used.
        config: of the network image.
        masks: regions that are blanked out, now or with the set.
        image: all that the path needs for the network image.
    """

    source: CameraFrame
    config: ImageConfig
    masks: tuple[Polygon, ...]
    image: Made

    def fits(self, frame: CameraFrame, config: ImageConfig, masks: tuple[Polygon, ...]) -> bool:
        """Tell whether this is what would be made of a frame now."""
        return (
            self.source.pixels is frame.pixels
            and self.source.calibration.has_lens_of(frame.calibration)
            and self.config == config
            and self.masks == masks
        )


#: By camera; what failed is simply made again, and fails where it is reported.
PicturesAhead = Mapping[str, "Future[PictureAhead[Any]]"]


def taken(
    ahead: PicturesAhead, frame: CameraFrame, config: ImageConfig, masks: tuple[Polygon, ...]
) -> PictureAhead[Any] | None:
    """Return what was prepared ahead of a frame, if it is still right."""
    future = ahead.get(frame.calibration.name)
    if future is None or future.exception() is not None:
        return None
    made = future.result()
    return made if made.fits(frame, config, masks) else None


def check_size(frame: CameraFrame) -> None:
    """Refuse a picture of another size, before a rectifier would quietly read beside it.

    Raises:
        UserError: naming the camera.
    """
    calibration = frame.calibration
    if frame.pixels.shape[1::-1] != (calibration.width, calibration.height):
        raise UserError(
            f"camera '{calibration.name}' delivered {frame.pixels.shape[1]}x"
            f"{frame.pixels.shape[0]} pixels but is calibrated for {calibration.width}x"
            f"{calibration.height}; publish the calibration of the streamed resolution"
        )


class PixelPath(Protocol):
    """Undistorts, resizes, crops, masks and normalises the pictures of a frame set."""

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration of a camera's pictures without distortion, of their full size.

        Raises:
            UserError: if distortion cannot be removed here.
        """
        ...

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
    ) -> Tensor:
        """Prepare the images of one set.

        Args:
            frames: one per camera, pictures of the size that the calibration names; None for a
                camera without a picture.
            image: size, channel order and statistics of the network image.
            masks: regions to blank out, per camera.

        Returns:
            (N, 3, H, W) float32, normalised; zero for cameras without a picture.

        Raises:
            UserError: if a picture cannot be used.
        """
        ...


class OnlyPinholes:
    """Removes no distortion, but refuses cameras whose lens distorts."""

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration as it is.

        Raises:
            UserError: if it carries distortion.
        """
        if raw.distortion_model != "none" and np.any(raw.distortion):
            raise UserError(
                f"camera '{raw.name}' has {raw.distortion_model} distortion; rectify its images "
                "first or hand prepare_inputs a rectifier"
            )
        return raw

    def __call__(self, frame: CameraFrame) -> CameraFrame:
        """Return the frame as it is.

        Raises:
            UserError: if its calibration carries distortion.
        """
        self.pinhole(frame.calibration)
        return frame


_ONLY_PINHOLES = OnlyPinholes()


class HostPath:
    """Prepares pictures on the CPU.

    Args:
        rectify: removes distortion; the default refuses what distorts.
        camera_map: ``Executor.map`` prepares the cameras side by side.
    """

    def __init__(
        self,
        rectify: Rectify = _ONLY_PINHOLES,
        camera_map: CameraMap = map,
    ) -> None:
        self._rectify = rectify
        self._camera_map = camera_map
        self._batches = ImageBatches()
        self._ahead: PicturesAhead = {}

    def with_ahead(self, ahead: PicturesAhead) -> HostPath:
        """Return the path for a set of which pictures were prepared ahead, or will be soon."""
        path = copy(self)
        path._ahead = ahead
        return path

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration of undistorted pictures; see `PixelPath`."""
        return self._rectify.pinhole(raw)

    def prepare_ahead(
        self, frame: CameraFrame, config: ImageConfig, masks: tuple[Polygon, ...]
    ) -> PictureAhead[ImagePlace]:
        """Prepare a picture of a set that is not complete yet.

        Args:
            frame: of which the pose is not used.
            config: of the network image.
            masks: regions to blank out.

        Raises:
            UserError: if the picture cannot be used.
        """
        check_size(frame)
        straight = self._rectify(frame)
        place = self._batches.place(frame.calibration.name, (config.height, config.width))
        prepare_image(straight.pixels, config, place.image, masks)
        return PictureAhead(source=frame, config=config, masks=masks, image=place)

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
    ) -> Tensor:
        """Prepare the images of one set; see `PixelPath`."""
        for frame in frames:
            if self._is_in_work(frame):
                help_resizing()
        made = [
            None if frame is None else taken(self._ahead, frame, image, polygons)
            for frame, polygons in zip(frames, masks, strict=True)
        ]
        images = self._batches.gather(
            ["" if frame is None else frame.calibration.name for frame in frames],
            {index: ahead.image for index, ahead in enumerate(made) if ahead is not None},
            (image.height, image.width),
        )
        left: dict[int, CameraFrame] = {}
        for index, frame in enumerate(frames):
            if frame is None:
                images[index] = 0.0
            elif made[index] is None:
                left[index] = frame

        def prepare(index: int) -> None:
            straight = self._rectify(left[index])
            prepare_image(straight.pixels, image, images[index], masks[index])

        # Threads are woken only if something is left: waiting for one costs the set time.
        for _ in self._camera_map(prepare, left) if left else ():
            continue
        return torch.from_numpy(images)

    def _is_in_work(self, frame: CameraFrame | None) -> bool:
        future = None if frame is None else self._ahead.get(frame.calibration.name)
        return future is not None and not future.done()
