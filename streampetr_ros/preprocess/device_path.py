"""Pictures to network images on the device of the network: uploaded once, as bytes.

Every step computes what the CPU path does in the same integers and float32 operations, so that the
images are equal bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import (
    Polygon,
    PreprocessError,
    ResizeCrop,
    check_pixels,
    plan_resize_crop,
    plane_order,
    region_mask,
)
from streampetr_ros.preprocess.pixel_path import CameraMap, NetworkImages
from streampetr_ros.preprocess.remapping import MapTables, Remapper
from streampetr_ros.preprocess.resampling import Resampler, axis_taps
from streampetr_ros.types import CameraCalibration, CameraFrame


class Lens(Protocol):
    """What undistorting the pictures of a camera takes."""

    @property
    def tables(self) -> MapTables:
        """Where the pixels of undistorted pictures come from."""
        ...

    def pinhole(self, raw: CameraCalibration) -> CameraCalibration:
        """Return the calibration of undistorted pictures of a camera mounted as `raw` is now."""
        ...


#: Gives the lens of a camera, the same object while it is the same lens; None: it is a pinhole.
LensOf = Callable[[CameraCalibration], "Lens | None"]


class _Source(NamedTuple):
    """A picture on its way.

    Attributes:
        plan: what becomes of it.
        remap: undistorts its rows; None for a pinhole camera.
        rows: the rows that are needed, on the CPU, (rows, width, 3) uint8.
    """

    plan: ResizeCrop
    remap: Remapper | None
    rows: Tensor


class DevicePath:
    """Prepares pictures on one device.

    Args:
        device: that the images shall be on.
        lens_of: finds the lens of a camera.
        camera_map: ``Executor.map`` copies the pictures for the upload side by side.
    """

    def __init__(self, device: torch.device, lens_of: LensOf, camera_map: CameraMap = map) -> None:
        self._device = device
        self._lens_of = lens_of
        self._camera_map = camera_map
        self._remappers: dict[str, tuple[Lens, ResizeCrop, Remapper]] = {}

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
    ) -> NetworkImages:
        """Prepare the images of one set; see `PixelPath`."""
        lenses = [None if frame is None else self._lens_of(frame.calibration) for frame in frames]

        def stage(index: int) -> _Source | None:
            frame = frames[index]
            return None if frame is None else self._staged(frame, lenses[index], image)

        try:
            sources = list(self._camera_map(stage, range(len(frames))))
            images = self._images(sources, image)
            for picture, source, polygons in zip(images, sources, masks, strict=True):
                if source is not None and polygons:
                    picture.masked_fill_(_mask(polygons, source.plan, self._device), 0.0)
        except torch.cuda.OutOfMemoryError as error:
            raise PreprocessError(
                f"{self._device} has too little free memory to prepare images; close other "
                "programs on it or choose a smaller model"
            ) from error
        return NetworkImages(images, list(map(_pinhole, frames, lenses)))

    def _staged(self, frame: CameraFrame, lens: Lens | None, image: ImageConfig) -> _Source:
        """Copy the rows that are needed to where they can be uploaded from."""
        check_pixels(frame.pixels)
        plan = plan_resize_crop(frame.pixels.shape[1], frame.pixels.shape[0], image)
        remap = None if lens is None else self._remapper(frame.calibration.name, lens, plan)
        first, end = (remap or _resampler(plan, self._device)).rows_read
        # Page-locked memory is copied by the GPU itself, without making the CPU wait.
        rows = torch.empty(
            (end - first, plan.source_width, 3),
            dtype=torch.uint8,
            pin_memory=self._device.type == "cuda",
        )
        rows.numpy()[...] = frame.pixels[first:end]
        return _Source(plan, remap, rows)

    def _remapper(self, camera: str, lens: Lens, plan: ResizeCrop) -> Remapper:
        known = self._remappers.get(camera)
        if known is not None and known[0] is lens and known[1] == plan:
            return known[2]
        made = Remapper(lens.tables, _resampler(plan, self._device).rows_read, self._device)
        self._remappers[camera] = (lens, plan, made)
        return made

    def _images(self, sources: Sequence[_Source | None], image: ImageConfig) -> Tensor:
        """Upload and prepare, cameras of equal size together."""
        shape = (len(sources), 3, image.height, image.width)
        images = torch.zeros(shape, dtype=torch.float32, device=self._device)
        for plan in dict.fromkeys(source.plan for source in sources if source is not None):
            members = [i for i, source in enumerate(sources) if source and source.plan == plan]
            straight = torch.stack([self._straight(sources[i]) for i in members])
            planes = _normalised(_resampler(plan, self._device)(straight), image)
            for member, picture in zip(members, planes, strict=True):
                images[member] = picture
        return images

    def _straight(self, source: _Source) -> Tensor:
        rows = source.rows.to(self._device, non_blocking=True)
        return rows if source.remap is None else source.remap(rows)


def _pinhole(frame: CameraFrame | None, lens: Lens | None) -> CameraCalibration | None:
    if frame is None or lens is None:
        return None if frame is None else frame.calibration
    return lens.pinhole(frame.calibration)


def _normalised(pixels: Tensor, image: ImageConfig) -> Tensor:
    """Turn (N, H, W, 3) uint8 RGB into (N, 3, H, W) float32 as `normalise_into` does."""
    mean, scale = _statistics(image, pixels.device)
    planes = torch.stack([pixels[..., channel] for channel in plane_order(image)], dim=1)
    return planes.to(torch.float32).sub_(mean).mul_(scale)


@lru_cache(maxsize=32)
def _resampler(plan: ResizeCrop, device: torch.device) -> Resampler:
    return Resampler(
        axis_taps(plan.source_width, plan.resized_width, plan.left, plan.width),
        axis_taps(plan.source_height, plan.resized_height, plan.top, plan.height),
        device,
    )


@lru_cache(maxsize=32)
def _statistics(image: ImageConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and reciprocal deviation per plane, (3, 1, 1) float32."""
    values = np.float32([image.mean, [1.0 / std for std in image.std]])
    mean, scale = torch.from_numpy(values).to(device)[..., None, None]
    return mean, scale


@lru_cache(maxsize=32)
def _mask(polygons: tuple[Polygon, ...], plan: ResizeCrop, device: torch.device) -> Tensor:
    return torch.from_numpy(region_mask(polygons, plan).copy()).to(device)
