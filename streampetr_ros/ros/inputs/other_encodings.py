"""Raw images in encodings that are not plain, which cv_bridge may know."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache

import numpy as np
from sensor_msgs.msg import Image

from streampetr_ros.ingest.pictures.pixels import ImageError, Pixels
from streampetr_ros.ingest.pictures.raw import RawImage, describe, without_padding

#: Releases of cv_bridge built for NumPy 1 end the process when they convert with NumPy 2, so that
#: the first conversion is tried in a process of its own.
_TRIAL = """
import numpy, cv_bridge
image = numpy.zeros((2, 2, 3), numpy.uint16)
bridge = cv_bridge.CvBridge()
bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(image, encoding="rgb16"), desired_encoding="rgb8")
"""
_TRIAL_SECONDS = 30.0


def convert_by_cv_bridge(raw: RawImage) -> Pixels:
    """Convert an encoding that only cv_bridge knows; see `decode_raw`.

    Raises:
        ImageError: if it is not there, or does not know it either.
    """
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
