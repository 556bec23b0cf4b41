"""The drive that benchmarks are run on: the same JPEG images in every set, a vehicle that moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cv2
import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import CameraCalibration, CameraFrame, FrameSet
from streampetr_ros.ingest.pictures.compressed import decode_compressed
from streampetr_ros.ingest.pictures.pixels import reduced_calibration
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR

_NUSCENES_YAWS_DEGREES = (0.0, -55.0, 55.0, 180.0, 110.0, -110.0)


class Drive:
    """A straight drive at 10 m/s, 2 Hz, whose images are kept as JPEG.

    Args:
        size: width and height of camera images.
        cameras: number; six look as those of nuScenes, others evenly all round.
        reduction: how many times narrower and lower images are decoded, one of `REDUCTIONS`.

    Attributes:
        pool: threads that decode.
    """

    def __init__(self, size: tuple[int, int], cameras: int = 6, reduction: int = 1) -> None:
        self.pool = ThreadPoolExecutor(2)
        rng = np.random.default_rng(0)
        yaws = _NUSCENES_YAWS_DEGREES if cameras == 6 else np.arange(cameras) * 360.0 / cameras
        full = [_calibration(f"camera_{i}", yaw, size) for i, yaw in enumerate(yaws)]
        self._cameras = [reduced_calibration(camera, reduction) for camera in full]
        self._decode = partial(decode_compressed, reduction=reduction)
        self._jpegs = [_jpeg(size, rng) for _ in self._cameras]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cameras, in order."""
        return tuple(camera.name for camera in self._cameras)

    def frame_set(self, index: int) -> FrameSet:
        """Decode the images of one set and place them."""
        stamp_ns = 1_000_000_000 + index * 500_000_000
        pose = geometry.transform_from_parts([5.0 * index, 0.0, 0.0], np.eye(3))
        images = self.pool.map(self._decode, self._jpegs)
        frames = tuple(
            CameraFrame(calibration=camera, stamp_ns=stamp_ns, pixels=pixels, fixed_from_base=pose)
            for camera, pixels in zip(self._cameras, images, strict=True)
        )
        return FrameSet(
            stamp_ns=stamp_ns,
            cameras=frames,
            fixed_from_base=pose,
            base_from_model=BASE_FROM_NUSCENES_LIDAR,
        )


def _calibration(name: str, yaw_degrees: float, size: tuple[int, int]) -> CameraCalibration:
    width, height = size
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    rotation = geometry.rotation_about_z(np.radians(yaw_degrees)) @ optical
    intrinsic = np.array(
        [[0.8 * width, 0.0, 0.5 * width], [0.0, 0.8 * width, 0.55 * height], [0.0, 0.0, 1.0]]
    )
    return CameraCalibration(
        name=name,
        width=width,
        height=height,
        intrinsic=intrinsic,
        base_from_camera=geometry.transform_from_parts([1.0, 0.0, 1.5], rotation),
    )


def _jpeg(size: tuple[int, int], rng: np.random.Generator) -> bytes:
    """Encode a picture with edges and texture, about as costly to decode as a street."""
    coarse = rng.integers(0, 256, (size[1] // 16 + 1, size[0] // 16 + 1, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(picture + rng.normal(0.0, 5.0, picture.shape), 0, 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return bytes(encoded.tobytes())
