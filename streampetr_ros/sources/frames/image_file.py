"""Camera images on disk, decoded as the node decodes compressed topics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.reading import DESCRIPTION, read_bytes
from streampetr_ros.core.source import SourceError
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import ImageError


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file completely.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        FileError: if there is no such file, or it cannot be read.
        SourceError: if it is no JPEG or PNG, or is damaged.
    """
    try:
        return decode_compressed(read_bytes(path, "image", DESCRIPTION))
    except ImageError as error:
        raise SourceError(f"image '{path}' is broken: {error}") from error
