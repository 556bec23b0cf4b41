"""Camera images on disk, decoded as the node decodes compressed topics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.source import SourceError
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.raw import ImageError


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file completely.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        SourceError: if the file is missing, is no JPEG or PNG, or ends early.
    """
    try:
        return decode_compressed(path.read_bytes())
    except OSError as error:
        raise SourceError(
            f"image '{path}' named by the frame.json beside it cannot be read ({error.strerror}); "
            "copy the recording again"
        ) from error
    except ImageError as error:
        raise SourceError(f"image '{path}' is broken: {error}") from error
