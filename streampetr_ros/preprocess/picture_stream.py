"""The stream that pictures are prepared on, so that a GPU can run the network at the same time.

All copies and kernels of all pictures of a device follow each other on one stream, the tables they
use included, so that the allocator never gives memory away that is still read. One step leaves the
stream: handing the images of a set over to whoever runs the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor


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
