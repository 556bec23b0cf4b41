"""Ways to resize a picture on the CPU: to Pillow's pixels, or much faster to nearly those."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.image import (
    ResizeCrop,
    Resizer,
    common_grid,
    exact_network_image,
    normalise_into,
)

#: Resized pixels that the bicubic filter reaches across the edge of a picture.
_REACH = 2


def resize_and_crop_fast(pixels: NDArray[np.uint8], geometry: ResizeCrop) -> NDArray[np.uint8]:
    """Resize and crop as `resize_and_crop` does, with PyTorch's vectorised filter.

    The filter is the same, its weights are rounded to fewer bits: few pixels of a thousand differ
    from Pillow's, by one level where the picture shrinks.

    Args:
        pixels: (source_height, source_width, 3) uint8.
        geometry: from `plan_resize_crop`.

    Returns:
        (height, width, 3) uint8, possibly a view.
    """
    g = geometry
    if g.keeps_size:
        return pixels[g.top : g.top + g.height, g.left : g.left + g.width]
    # Rows above the crop are left out, except those whose own edge would be seen in the filter.
    reach = ceil(_REACH * max(1.0, g.resized_height / g.source_height))
    skip, start = common_grid(max(0, g.top - reach), g.resized_height, g.source_height)
    # PyTorch wants a writable array although it only reads.
    source = torch.from_numpy(np.require(pixels[start:], requirements="W"))
    resized = functional.interpolate(
        source.permute(2, 0, 1)[None],
        (g.resized_height - skip, g.resized_width),
        mode="bicubic",
        antialias=True,
    )[0].permute(1, 2, 0)
    top = g.top - skip
    return resized[top : top + g.height, g.left : g.left + g.width].numpy()


def fast_network_image(
    pixels: NDArray[np.uint8],
    geometry: ResizeCrop,
    config: ImageConfig,
    out: NDArray[np.float32],
) -> None:
    """Do `resize_and_crop_fast` and `normalise_into`; see `exact_network_image`."""
    normalise_into(resize_and_crop_fast(pixels, geometry), config, out)


#: By the name users choose them with.
RESIZERS: Mapping[str, Resizer] = {"exact": exact_network_image, "fast": fast_network_image}
