"""Whether token positions have to be encoded again."""

from __future__ import annotations

import torch
from torch import Tensor

from streampetr_ros.model.state import ModelInputs


class KnownProjection:
    """The projections that token positions were last encoded for.

    A moving vehicle whose cameras fire one after the other changes them in every frame.
    """

    def __init__(self) -> None:
        self._known: tuple[Tensor, Tensor] | None = None

    def is_of(self, inputs: ModelInputs) -> bool:
        """Tell whether every projection of a frame is the one kept."""
        if self._known is None:
            return False
        return all(map(torch.equal, _projection(inputs), self._known))

    def keep(self, inputs: ModelInputs) -> None:
        """Remember the projections of a frame; callers may fill the same tensors again."""
        model_from_image, focal_lengths = _projection(inputs)
        self._known = (model_from_image.clone(), focal_lengths.clone())

    def forget(self) -> None:
        """Have the next frame encoded whatever it is."""
        self._known = None


def _projection(inputs: ModelInputs) -> tuple[Tensor, Tensor]:
    return inputs.model_from_image, inputs.focal_lengths
