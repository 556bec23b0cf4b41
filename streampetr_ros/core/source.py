"""What every source of frame sets offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet


class SourceError(UserError, ValueError):
    """A source that cannot be read; one sentence that names the file and the remedy."""


class Source(Protocol):
    """Frame sets in the order they were taken; may be iterated again from the start."""

    @property
    def name(self) -> str:
        """Short name for titles and file names."""
        ...

    def __len__(self) -> int:
        """Return the number of frame sets."""
        ...

    def __iter__(self) -> Iterator[FrameSet]:
        """Yield the frame sets; images are decoded on the way."""
        ...
