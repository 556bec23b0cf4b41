"""Everything a run needs to go on: written atomically, read back strictly."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from streampetr_ros.core.errors import UserError, first_line
from streampetr_ros.core.files import replacing
from streampetr_ros.model.state import MemoryState
from streampetr_ros.training.data.samples import Moment

_FORMAT = 1


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a file completely or not at all; the file it replaces stays until then.

    Raises:
        UserError: if the disk is full or not writable.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as stream:
            torch.save(content | {"format": _FORMAT}, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"cannot write '{path}': {reason}; the file before it is intact, free some space"
        ) from error


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a file of `save_atomically`; nothing in it is executed.

    Raises:
        UserError: if it is missing, damaged or of another format.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"nothing to resume: '{path}' does not exist") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise UserError(
            f"'{path}' is damaged and cannot be resumed from; delete it to start anew"
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(f"'{path}' is not a training state of this version")
    return content


class Streams:
    """What the streams of this process carry from step to step.

    Attributes:
        memory: of the detector, detached, a row per stream; None before the first step.
        moments: place and time of the last frame of every stream; None where there was none.

    Args:
        count: streams of this process.
    """

    def __init__(self, count: int) -> None:
        self.memory: MemoryState | None = None
        self.moments: list[Moment | None] = [None] * count

    def memory_of(self, streams: list[int]) -> MemoryState | None:
        """Return the memory of some streams; None before the first step."""
        return self.memory and MemoryState(*(part[streams] for part in self.memory))

    def moments_of(self, streams: list[int]) -> list[Moment | None]:
        """Return the moments of some streams."""
        return [self.moments[stream] for stream in streams]

    def keep(
        self, streams: list[int], memory: MemoryState | None, moments: list[Moment | None]
    ) -> None:
        """Take what the streams that were just played carry on; `memory` may be None."""
        for stream, moment in zip(streams, moments, strict=True):
            self.moments[stream] = moment
        if memory is None:
            return
        if self.memory is None:
            count = len(self.moments)
            self.memory = MemoryState(*(part.new_zeros(count, *part.shape[1:]) for part in memory))
        for kept, part in zip(self.memory, memory, strict=True):
            kept[streams] = part

    def state(self) -> dict[str, Any]:
        """Return plain values for a file."""
        moments = [m and (torch.from_numpy(m.fixed_from_model), m.stamp_ns) for m in self.moments]
        return {"memory": self.memory and tuple(self.memory), "moments": moments}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the values of a file."""
        self.memory = state["memory"] and MemoryState(*state["memory"])
        self.moments = [m and Moment(m[0].cpu().numpy(), m[1]) for m in state["moments"]]
