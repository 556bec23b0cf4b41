"""Camera images on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.sources.base import SourceError


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file completely.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        SourceError: if the file is missing, is no image or ends early.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise SourceError(
            f"image '{path}' named by the frame.json beside it is missing; copy the recording again"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"image '{path}' is broken ({error}); copy it again") from error
