"""Memory states that stay on a device: written in turn into two sets of buffers."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.memory import empty_memory
from streampetr_ros.model.state import MemoryState

Allocate = Callable[[tuple[int, ...], torch.dtype], Tensor]


class MemorySlots:
    """Two buffers per memory tensor; a step reads one set and writes the other.

    States handed out are views of the buffers. One that somebody still holds when its buffers are
    needed gets memory of its own first, so holding on to states is always right, if not free.

    Args:
        config: of the detector.
        allocate: makes a device tensor of a shape and type.

    Attributes:
        sets: the buffers.
    """

    def __init__(self, config: DetectorConfig, allocate: Allocate) -> None:
        plan = empty_memory(config, 1, torch.device("meta"))
        self.sets = tuple(
            MemoryState(*(allocate(tuple(item.shape), item.dtype) for item in plan))
            for _ in range(2)
        )
        self._handed_out: list[tuple[weakref.ref[Tensor], ...]] = [(), ()]

    def find(self, memory: MemoryState | None) -> int:
        """Return the set that holds a state, copying it there only if it is from elsewhere.

        Args:
            memory: None means that the content does not matter.
        """
        if memory is None:
            return 0
        for index, references in enumerate(self._handed_out):
            if references and all(
                reference() is item for reference, item in zip(references, memory, strict=True)
            ):
                return index
        index = 0 if not self._is_held(0) else 1
        self.claim(index)
        self._fill(index, memory)
        return index

    def claim(self, index: int) -> None:
        """Prepare a set for being overwritten."""
        for reference in self._handed_out[index]:
            item = reference()
            if item is not None:
                item.data = item.detach().clone()
        self._handed_out[index] = ()

    def hand_out(self, index: int) -> MemoryState:
        """Return a set that has just been written, as a state."""
        state = MemoryState(*(item.detach() for item in self.sets[index]))
        self._handed_out[index] = tuple(weakref.ref(item) for item in state)
        return state

    def _is_held(self, index: int) -> bool:
        return any(reference() is not None for reference in self._handed_out[index])

    def _fill(self, index: int, memory: MemoryState) -> None:
        for buffer, item in zip(self.sets[index], memory, strict=True):
            buffer.copy_(item)
