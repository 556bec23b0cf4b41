"""How pictures become network images: on the CPU here, on a GPU in `device_path`.

The network takes the images of a set as one array. A picture that is prepared before its set is
complete is written where the set will probably want it, so that nothing has to be moved then.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from weakref import finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import CameraFrame
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import Polygon, help_resizing, prepare_image
from streampetr_ros.preprocess.undistort import Rectifier

Result = TypeVar("Result")
Made = TypeVar("Made")

#: Arrays that wait for more pictures at a time; cameras that run ahead of others open several.
_MOST_OPEN = 4
#: Arrays kept for later sets; more were needed only while something held the sets up.
_MOST_FREE = 2


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


#: By camera; what failed is simply made again, and fails where it is reported.
PicturesAhead = Mapping[str, "Future[PictureAhead[Any]]"]
NOTHING_AHEAD: PicturesAhead = MappingProxyType({})


def taken(
    ahead: PicturesAhead,
    frames: Sequence[CameraFrame | None],
    config: ImageConfig,
    masks: Sequence[tuple[Polygon, ...]],
) -> list[Any]:
    """Return the images prepared ahead of frames, None where there is none that is still right."""
    images: list[Any] = [None] * len(frames)
    for index, (frame, polygons) in enumerate(zip(frames, masks, strict=True)):
        future = None if frame is None else ahead.get(frame.calibration.name)
        if frame is None or future is None or future.exception() is not None:
            continue
        made = future.result()
        if (
            made.source.pixels is frame.pixels
            and made.source.calibration.has_lens_of(frame.calibration)
            and (made.config, made.masks) == (config, polygons)
        ):
            images[index] = made.image
    return images


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

    def prepare_ahead(
        self, frame: CameraFrame, config: ImageConfig, masks: tuple[Polygon, ...]
    ) -> PictureAhead[Any]:
        """Prepare a picture of a set that is not complete yet; any thread may do so.

        Args:
            frame: of which the pose is not used.
            config: of the network image.
            masks: regions to blank out.

        Raises:
            UserError: if the picture cannot be used.
        """
        ...

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
        ahead: PicturesAhead = NOTHING_AHEAD,
    ) -> Tensor:
        """Prepare the images of one set.

        Args:
            frames: one per camera, pictures of the size that the calibration names; None for a
                camera without a picture.
            image: size, channel order and statistics of the network image.
            masks: regions to blank out, per camera.
            ahead: what `prepare_ahead` made of its pictures, or will soon; changes no result.

        Returns:
            (N, 3, H, W) float32, normalised; zero for cameras without a picture.

        Raises:
            UserError: if a picture cannot be used.
        """
        ...


class HostPath:
    """Prepares pictures on the CPU.

    Args:
        camera_map: ``Executor.map`` prepares the cameras side by side.
    """

    def __init__(self, camera_map: CameraMap = map) -> None:
        self._camera_map = camera_map
        self._rectify = Rectifier()
        self._batches = ImageBatches()

    def prepare_ahead(
        self, frame: CameraFrame, config: ImageConfig, masks: tuple[Polygon, ...]
    ) -> PictureAhead[ImagePlace]:
        """Prepare a picture of a set that is not complete yet; see `PixelPath`."""
        check_size(frame)
        straight = self._rectify(frame)
        place = self._batches.place(frame.calibration.name, (config.height, config.width))
        prepare_image(straight.pixels, config, place.batch.images[place.camera], masks)
        return PictureAhead(source=frame, config=config, masks=masks, image=place)

    def __call__(
        self,
        frames: Sequence[CameraFrame | None],
        image: ImageConfig,
        masks: Sequence[tuple[Polygon, ...]],
        ahead: PicturesAhead = NOTHING_AHEAD,
    ) -> Tensor:
        """Prepare the images of one set; see `PixelPath`."""
        names = ["" if frame is None else frame.calibration.name for frame in frames]
        for name in names:
            if name in ahead and not ahead[name].done():
                help_resizing()
        made = taken(ahead, frames, image, masks)
        places = {index: place for index, place in enumerate(made) if place is not None}
        images = self._batches.gather(names, places, (image.height, image.width))
        left = {}
        for index, frame in enumerate(frames):
            if frame is None:
                images[index] = 0.0
            elif index not in places:
                left[index] = frame

        def prepare(index: int) -> None:
            straight = self._rectify(left[index])
            prepare_image(straight.pixels, image, images[index], masks[index])

        # Threads are woken only if something is left: waiting for one costs the set time.
        for _ in self._camera_map(prepare, left) if left else ():
            continue
        return torch.from_numpy(images)


@dataclass(frozen=True, slots=True, eq=False)
class SetImages:
    """Images of one set, as far as they are known.

    Attributes:
        images: (N, 3, H, W) float32.
        claimed: indices that were given away.
    """

    images: NDArray[np.float32]
    claimed: set[int] = field(default_factory=set)


class ImagePlace(NamedTuple):
    """Where an image is written.

    Attributes:
        batch: images of its set, if it keeps its place.
        camera: index of its camera.
    """

    batch: SetImages
    camera: int


class ImageBatches:
    """Gives places to images, and makes one array of those of a set; any thread may call.

    Cameras are expected in the order of the last set. Where that fails, such as after a lost
    picture, images are copied, and the next sets are in order again.

    The memory of sets that nobody refers to any more is used again. Otherwise the allocator keeps
    some of it for each thread that ever asked, and a process grows for minutes until all have their
    share.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: deque[NDArray[np.float32]] = deque(maxlen=_MOST_FREE)
        self._order: tuple[str, ...] = ()
        self._open: list[SetImages] = []

    def place(self, camera: str, size: tuple[int, int]) -> ImagePlace:
        """Give a place to an image of a camera, which nobody else gets.

        Args:
            camera: name.
            size: height and width of the image.
        """
        with self._lock:
            if camera not in self._order:
                return ImagePlace(SetImages(_blank((1, 3, *size)), {0}), 0)
            index, shape = self._order.index(camera), (len(self._order), 3, *size)
            fitting = (
                batch
                for batch in self._open
                if index not in batch.claimed and batch.images.shape == shape
            )
            batch = next(fitting, None)
            if batch is None:
                batch = SetImages(self._array(shape))
                self._open = [*self._open, batch][-_MOST_OPEN:]
            batch.claimed.add(index)
            return ImagePlace(batch, index)

    def gather(
        self, cameras: Sequence[str], places: Mapping[int, ImagePlace], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return the images of a set in one array, which the caller may write to from now on.

        Its memory is used for other sets when the array, and tensors made of it, are gone; a part
        that NumPy cut out of it does not keep it.

        Args:
            cameras: names in order; empty where a camera has no picture.
            places: by index, of images that are written; what is in other places is undefined.
            size: height and width of the images.

        Returns:
            (N, 3, H, W) float32.
        """
        shape = (len(cameras), 3, *size)
        if not places:
            return _blank(shape)
        with self._lock:
            batch = self._taken(places, shape)
            if len(cameras) == len(self._order):
                # Who has no picture now is expected where he was.
                cameras = [name or old for name, old in zip(cameras, self._order, strict=True)]
            if tuple(cameras) != self._order:
                self._order = tuple(cameras)
                self._open.clear()
            images = self._array(shape) if batch is None else batch.images
        for index, place in places.items():
            if place != (batch, index):
                images[index] = place.batch.images[place.camera]
        return images

    def _taken(self, places: Mapping[int, ImagePlace], shape: tuple[int, ...]) -> SetImages | None:
        """Take the batch that most images are in, unless images of other sets are there, too."""
        counts = Counter(place.batch for place in places.values())
        used = [index for index, batch in enumerate(self._open) if batch in counts]
        [(batch, _)] = counts.most_common(1)
        is_new = batch in self._open
        # What is older than the newest of these waits for pictures that will not come.
        del self._open[: max(used, default=-1) + 1]
        here = {index for index, place in places.items() if place == (batch, index)}
        fits = is_new and batch.images.shape == shape and batch.claimed == here
        return batch if fits else None

    def _array(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return an array with arbitrary content; parts of it do not keep it, tensors do."""
        while self._free:
            memory = self._free.pop()
            if memory.shape == shape:
                break
        else:
            memory = _blank(shape)
        array = memory.view()
        finalize(array, self._free.append, memory).atexit = False
        return array


def _blank(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.empty(shape, dtype=np.float32)
