"""Image messages to RGB pixels; cv_bridge helps with encodings that are not plain."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from streampetr_ros.ingest.messages import raw_image_from
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.raw import (
    ImageError,
    Pixels,
    RawImage,
    decode_raw,
    describe,
    without_padding,
)
from streampetr_ros.ingest.pictures.reduction import shrink

#: Releases of cv_bridge built for NumPy 1 end the process when they convert with NumPy 2, so that
#: the first conversion is tried in a process of its own.
_TRIAL = """
import numpy, cv_bridge
image = numpy.zeros((2, 2, 3), numpy.uint16)
bridge = cv_bridge.CvBridge()
bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(image, encoding="rgb16"), desired_encoding="rgb8")
"""
_TRIAL_SECONDS = 30.0


def decode_message(message: Image | CompressedImage, reduction: int = 1) -> Pixels:
    """Decode an image message.

    Args:
        message: with the bytes.
        reduction: one of `REDUCTIONS`, by which width and height are divided.

    Returns:
        (height / reduction, width / reduction, 3) uint8 RGB.

    Raises:
        ImageError: saying what is wrong with it.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, message.format, reduction)
    return shrink(decode_raw(raw_image_from(message), _convert_by_cv_bridge), reduction)


def _convert_by_cv_bridge(raw: RawImage) -> Pixels:
    """Convert an encoding that only cv_bridge knows."""
    try:
        # Releases built for NumPy 1 fail with an AttributeError when imported with NumPy 2.
        from cv_bridge import CvBridge, CvBridgeError  # noqa: PLC0415
    except (ImportError, AttributeError) as error:
        raise ImageError(
            f"{describe(raw)} has an encoding that needs cv_bridge, which cannot be used here "
            f"({error}); install it or publish rgb8"
        ) from error
    if not _survives_numpy():
        raise ImageError(
            f"{describe(raw)} has an encoding that needs cv_bridge, which was built for another "
            f"NumPy than the installed {np.__version__}; install 'numpy<2' or publish rgb8"
        )
    bridge = CvBridge()
    try:
        message = _packed(raw, *bridge.encoding_to_dtype_with_channels(raw.encoding))
        return np.asarray(bridge.imgmsg_to_cv2(message, desired_encoding="rgb8"))
    except ImageError:
        raise
    except (CvBridgeError, AttributeError, KeyError, ImportError) as error:
        # Of the others, some releases raise AttributeError for big-endian images with NumPy 2.
        raise ImageError(f"{describe(raw)} is not converted by cv_bridge: {error}") from error


@lru_cache(maxsize=1)
def _survives_numpy() -> bool:
    if int(np.__version__.split(".")[0]) < 2:
        return True
    command = [sys.executable, "-c", _TRIAL]
    try:
        # The program is this interpreter, its source the constant above.
        trial = subprocess.run(  # noqa: S603
            command, capture_output=True, timeout=_TRIAL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0


def _packed(raw: RawImage, sample_type: str, channels: int) -> Image:
    """Build a message without row padding, which cv_bridge reads as pixels in some encodings."""
    row_bytes = raw.width * channels * np.dtype(sample_type).itemsize
    message = Image(
        encoding=raw.encoding,
        height=raw.height,
        width=raw.width,
        step=row_bytes,
        is_bigendian=int(raw.is_bigendian),
    )
    message.data = without_padding(raw, row_bytes).tobytes()
    return message
