"""Truth on the images: where every object is when a camera takes its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Array
from streampetr_ros.synth.render import lens
from streampetr_ros.synth.render.render import Pictures
from streampetr_ros.synth.scene import SyntheticScene


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraTruth:
    """Objects on one image, n of them.

    Attributes:
        bounds: (n, 4) left, top, right, bottom of the projected 3D box, cut at the image, pixels.
        centers: (n, 2) projected 3D centres, pixels; may lie outside the image.
        depths: (n,) of the centres along the optical axis, metres.
        class_names: n names.
        instance_ids: (n,) int64 as in `Truth`.
        visibilities: (n,) seen share of the pixels that the object would cover if it stood alone.
    """

    bounds: Array
    centers: Array
    depths: Array
    class_names: tuple[str, ...]
    instance_ids: NDArray[np.int64]
    visibilities: Array


def camera_truth(scene: SyntheticScene, index: int, pictures: Pictures) -> list[CameraTruth]:
    """Project the objects into all cameras of a frame set, each at its own stamp.

    Args:
        scene: the scene.
        index: of the frame set.
        pictures: what `SyntheticScene.pictures` returned for it.
    """
    covered = pictures.coverage.double().cpu().numpy()
    seen = pictures.visible.double().cpu().numpy()
    shares = np.minimum(seen / np.maximum(covered, 1.0), 1.0)
    return [_project(scene, index, view, shares[view]) for view in range(len(shares))]


def _project(scene: SyntheticScene, index: int, view: int, shares: Array) -> CameraTruth:
    calibration = scene.rig.calibrations[view]
    truth = scene.truth(scene.camera_stamps_ns(index)[view], shares[: scene.object_count])
    camera_from_base = geometry.inverse(calibration.base_from_camera)
    corners = geometry.transform_points(camera_from_base, truth.boxes.corners())
    points = geometry.transform_points(camera_from_base, truth.boxes.centers)
    pixels, depths = lens.project(calibration, corners)
    centers, center_depths = lens.project(calibration, points)
    # A box that reaches behind the camera has no bounded outline.
    ahead = np.flatnonzero((depths > 0).all(axis=1))
    size = np.array([calibration.width, calibration.height], dtype=np.float64)
    low = np.clip(pixels[ahead].min(axis=1), 0, size)
    high = np.clip(pixels[ahead].max(axis=1), 0, size)
    inside = (high - low >= 1).all(axis=1)
    kept = ahead[inside]
    return CameraTruth(
        bounds=np.concatenate([low, high], axis=1)[inside],
        centers=centers[kept],
        depths=center_depths[kept],
        class_names=tuple(truth.class_names[i] for i in kept),
        instance_ids=truth.instance_ids[kept],
        visibilities=truth.visibilities[kept],
    )
