"""Memory of network images that are made before their frame set is known.

The network takes the images of a set as one array. A picture prepared ahead is written where its
set will probably want it, so that nothing has to be moved once the set is complete.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

#: Arrays that wait for more pictures at a time; cameras that run ahead of others open several.
_MOST_OPEN = 4
#: Arrays kept for later sets; more were needed only while something held the sets up.
_MOST_FREE = 2


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

    @property
    def image(self) -> NDArray[np.float32]:
        """(3, H, W) float32, the memory itself."""
        image: NDArray[np.float32] = self.batch.images[self.camera]
        return image


class _Memory:
    """Arrays of one shape whose memory is used again once nobody refers to them any more.

    Without it the allocator keeps some of it for each thread that ever asked, and a process grows
    for minutes until all have their share.
    """

    def __init__(self) -> None:
        self._free: deque[NDArray[np.float32]] = deque(maxlen=_MOST_FREE)

    def array(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
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


class ImageBatches:
    """Gives places to images, and makes one array of those of a set; any thread may call.

    Cameras are expected in the order of the last set. Where that fails, such as after a lost
    picture, images are copied, and the next sets are in order again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._memory = _Memory()
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
            index = self._order.index(camera)
            batch = self._open_for(index, (len(self._order), 3, *size))
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
            self._learn(cameras)
            images = self._memory.array(shape) if batch is None else batch.images
        for index, place in places.items():
            if place.batch is not batch or place.camera != index:
                images[index] = place.image
        return images

    def _open_for(self, index: int, shape: tuple[int, ...]) -> SetImages:
        for batch in self._open:
            if index not in batch.claimed and batch.images.shape == shape:
                return batch
        self._open = [*self._open, SetImages(self._memory.array(shape))][-_MOST_OPEN:]
        return self._open[-1]

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

    def _learn(self, cameras: Sequence[str]) -> None:
        if len(cameras) == len(self._order):
            # Who has no picture now is expected where he was.
            cameras = [name or old for name, old in zip(cameras, self._order, strict=True)]
        if tuple(cameras) != self._order:
            self._order = tuple(cameras)
            self._open.clear()


def _blank(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.empty(shape, dtype=np.float32)
