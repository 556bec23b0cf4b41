"""Takes the time of a network and finds the same boxes every time.

For measuring and testing everything around the network: what a vehicle's cameras, transport and
node cost, and what happens when the network is slower than the cameras.
"""

from __future__ import annotations

import time

import torch

from streampetr_ros.backends.base import Backend, BackendError
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_PREFIX = "stand_in:"
_LONGEST_MS = 60_000


class StandInBackend(Backend):
    """Sleeps instead of computing, as a CPU does while a GPU works.

    Args:
        config: of the network it stands for.
        milliseconds: that a frame set takes.
    """

    def __init__(self, config: DetectorConfig, milliseconds: int) -> None:
        self.config = config
        self._seconds = milliseconds * 1e-3
        generator = torch.Generator().manual_seed(0)
        queries = config.num_queries + config.num_propagated
        codes = torch.randn(1, queries, 10, generator=generator)
        codes[..., :2] *= 20.0
        # Scores of a street: some dozens of objects above the usual threshold.
        logits = torch.randn(1, queries, config.num_classes, generator=generator) - 3.0
        self._outputs = DetectorOutputs(logits=logits, codes=codes)

    @property
    def name(self) -> str:
        """Runtime and duration."""
        return f"stand-in that takes {self._seconds * 1e3:g} ms; its boxes mean nothing"

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Sleep; see `Backend.run`."""
        time.sleep(self._seconds)
        return self._outputs, memory


def is_stand_in(weights: str) -> bool:
    """Tell whether weights are named ``stand_in:MILLISECONDS``."""
    return weights.startswith(_PREFIX)


def stand_in_ms(weights: str) -> int:
    """Return the duration that ``stand_in:MILLISECONDS`` asks for.

    Raises:
        BackendError: if it is no whole number within a minute.
    """
    text = weights.removeprefix(_PREFIX)
    if not text.isdecimal() or int(text) > _LONGEST_MS:
        raise BackendError(
            f"'{weights}' has no number of milliseconds up to {_LONGEST_MS} behind the colon; "
            "write stand_in:5"
        )
    return int(text)
