"""Pictures to network images on the device of the network: uploaded once, as bytes.

Every step computes what the CPU path does in the same integers and float32 operations, so that the
images are equal bit by bit.

A GPU works on a stream of its own for this, so that it can run the network at the same time. All
copies and kernels of all pictures of a device follow each other on that stream, the tables they use
included, so that the allocator never gives memory away that is still read. One step leaves the
stream: handing the images of a set over to whoever runs the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import CameraFrame
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import (
    Polygon,
    ResizeCrop,
    check_pixels,
    plan_resize_crop,
    plane_order,
    region_mask,
)
from streampetr_ros.preprocess.pixel_path import (
    NOTHING_AHEAD,
    CameraMap,
    PictureAhead,
    PicturesAhead,
    check_size,
    taken,
)
from streampetr_ros.preprocess.remapping import Remapper
from streampetr_ros.preprocess.resampling import Resampler, axis_taps
from streampetr_ros.preprocess.undistort import MapTables, Rectifier


class PictureStream(Protocol):
    """Where pictures are prepared."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Put the copies and kernels of the calling thread on the stream."""
        ...

    def hand_over(self, images: Tensor) -> None:
        """Let the caller's own stream use images that were made on this one.

        Args:
            images: whose memory is kept until the caller's stream is done with it.
        """
        ...


class CudaPictureStream:
    """A stream of its own on a GPU; nothing here waits on the CPU.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Put the copies and kernels of the calling thread on the stream."""
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield

    def hand_over(self, images: Tensor) -> None:
        """Let the caller's own stream use images that were made on this one."""
        caller = torch.cuda.current_stream(self._device)
        caller.wait_event(self._stream.record_event())
        # Otherwise the next pictures could be written there as soon as Python lets go of these.
        images.record_stream(caller)


class ImmediateStream:
    """What a CPU does: everything at once, in the order it is asked for."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Change nothing."""
        yield

    def hand_over(self, images: Tensor) -> None:
        """Change nothing."""


@lru_cache(maxsize=16)
def picture_stream(device: torch.device) -> PictureStream:
    """Return the stream of a device."""
    return CudaPictureStream(device) if device.type == "cuda" else ImmediateStream()


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
        camera_map: ``Executor.map`` copies the pictures for the upload side by side.
        stream: that the device works on; None takes the one of the device.
    """

    def __init__(
        self,
        device: torch.device,
        camera_map: CameraMap = map,
        stream: PictureStream | None = None,
    ) -> None:
        self._device = device
        self._rectifier = Rectifier()
        self._camera_map = camera_map
        self._stream = stream or picture_stream(device)
        self._remappers: dict[str, tuple[MapTables, ResizeCrop, Remapper]] = {}

    def prepare_ahead(
        self, frame: CameraFrame, config: ImageConfig, masks: tuple[Polygon, ...]
    ) -> PictureAhead[Tensor]:
        """Begin to prepare a picture of a set that is not complete yet; see `PixelPath`.

        What is made is the network image, (3, H, W) float32, normalised and masked. The network may
        run meanwhile: the image is ready when the stream has come so far, which only the work of
        the set on the same stream relies on.
        """
        check_size(frame)
        with _one_sentence(self._device):
            source = self._staged(frame, config)
            with self._stream.working():
                image = self._images([source], config, [masks])[0]
        return PictureAhead(source=frame, config=config, masks=masks, image=image)

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
        ahead: PicturesAhead = NOTHING_AHEAD,
    ) -> Tensor:
        """Prepare the images of one set; see `PixelPath`."""
        made = taken(ahead, frames, image, masks)
        # Not even asked for where nothing is left: its threads may be at the next set by now.
        left = {i: frame for i, frame in enumerate(frames) if frame and made[i] is None}

        def stage(index: int) -> _Source:
            return self._staged(left[index], image)

        with _one_sentence(self._device):
            staged = dict(zip(left, self._camera_map(stage, left) if left else (), strict=True))
            sources = [staged.get(index) for index in range(len(frames))]
            with self._stream.working():
                images = self._images(sources, image, masks)
                for picture, prepared in zip(images, made, strict=True):
                    if prepared is not None:
                        picture.copy_(prepared)
            self._stream.hand_over(images)
        return images

    def _staged(self, frame: CameraFrame, image: ImageConfig) -> _Source:
        """Copy the rows that are needed to where they can be uploaded from."""
        check_pixels(frame.pixels)
        plan = plan_resize_crop(frame.pixels.shape[1], frame.pixels.shape[0], image)
        tables = self._rectifier.tables(frame.calibration)
        # Tables are uploaded when they are made.
        with self._stream.working():
            remap = None if tables is None else self._remapper(frame.calibration.name, tables, plan)
            first, end = (remap or _resampler(plan, self._device)).rows_read
        # Page-locked memory is copied by the GPU itself, without making the CPU wait; PyTorch gives
        # it to nobody else before that has happened.
        rows = torch.empty(
            (end - first, plan.source_width, 3),
            dtype=torch.uint8,
            pin_memory=self._device.type == "cuda",
        )
        rows.numpy()[...] = frame.pixels[first:end]
        return _Source(plan, remap, rows)

    def _remapper(self, camera: str, tables: MapTables, plan: ResizeCrop) -> Remapper:
        known = self._remappers.get(camera)
        if known is not None and known[0] is tables and known[1] == plan:
            return known[2]
        made = Remapper(tables, _resampler(plan, self._device).rows_read, self._device)
        self._remappers[camera] = (tables, plan, made)
        return made

    def _images(
        self,
        sources: Sequence[_Source | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
    ) -> Tensor:
        """Upload and prepare, cameras of equal size together."""
        shape = (len(sources), 3, image.height, image.width)
        images = torch.zeros(shape, dtype=torch.float32, device=self._device)
        for plan in dict.fromkeys(source.plan for source in sources if source is not None):
            members = {i: each for i, each in enumerate(sources) if each and each.plan == plan}
            straight = torch.stack([self._straight(each) for each in members.values()])
            planes = _normalised(_resampler(plan, self._device)(straight), image)
            for member, picture in zip(members, planes, strict=True):
                images[member] = picture
        for picture, source, polygons in zip(images, sources, masks, strict=True):
            if source is not None and polygons:
                picture.masked_fill_(_mask(polygons, source.plan, self._device), 0.0)
        return images

    def _straight(self, source: _Source) -> Tensor:
        rows = source.rows.to(self._device, non_blocking=True)
        return rows if source.remap is None else source.remap(rows)


@contextmanager
def _one_sentence(device: torch.device) -> Iterator[None]:
    """Say in one sentence that memory is short."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"{device} has too little free memory to prepare images; close other programs on it "
            "or choose a smaller model"
        ) from error


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
    values = torch.tensor([image.mean, [1.0 / std for std in image.std]], dtype=torch.float32)
    mean, scale = values.to(device)[..., None, None]
    return mean, scale


@lru_cache(maxsize=32)
def _mask(polygons: tuple[Polygon, ...], plan: ResizeCrop, device: torch.device) -> Tensor:
    return torch.from_numpy(region_mask(polygons, plan).copy()).to(device)
