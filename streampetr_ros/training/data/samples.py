"""From a frame set with truth to one augmented training sample, and from samples to a batch.

The same path serves the synthetic world and nuScenes: both are sources of `FrameSet`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, CameraFrame, FrameSet
from streampetr_ros.model.config import DetectorConfig, ImageConfig
from streampetr_ros.model.state import ModelInputs
from streampetr_ros.training.config import DataConfig
from streampetr_ros.training.data.augment import (
    Draws,
    ImageBoxes,
    ImageDraw,
    augment_image_boxes,
    drop_hidden,
)
from streampetr_ros.training.data.targets import ImageTargets, Targets, encode_boxes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One augmented frame set.

    Attributes:
        images: (N, H, W, 3) uint8 RGB, network size.
        model_from_image: (N, 4, 4) float64, (u * d, v * d, d, 1) to the augmented model frame.
        focal_lengths: (N, 2) float64, pixels, positive.
        fixed_from_model: (4, 4) float64, from the augmented model frame.
        stamp_ns: reference time.
        targets: objects in the augmented model frame.
        image_targets: N.
    """

    images: NDArray[np.uint8]
    model_from_image: Array
    focal_lengths: Array
    fixed_from_model: Array
    stamp_ns: int
    targets: Targets
    image_targets: tuple[ImageTargets, ...]


class LabelledBoxes(NamedTuple):
    """Boxes with class indices."""

    boxes: Boxes
    labels: NDArray[np.int64]


def trainable_truth(frame_set: FrameSet, config: DetectorConfig, data: DataConfig) -> LabelledBoxes:
    """Select the annotated objects a detector can be asked for.

    Objects of other classes, that `data` leaves out and with a center outside the detection range
    (x and y) do not count. Unknown visibility counts as visible.

    Returns:
        Boxes in the base frame at the reference time.
    """
    truth = frame_set.truth
    if truth is None:
        raise ValueError(f"frame set '{frame_set.token}' at {frame_set.stamp_ns} ns has no truth")
    index_of = {name: index for index, name in enumerate(config.class_names)}
    labels = np.array([index_of.get(name, -1) for name in truth.class_names], dtype=np.int64)
    model_from_base = geometry.inverse(frame_set.base_from_model)
    centers = geometry.transform_points(model_from_base, truth.boxes.centers)
    low, high = np.array(config.detection_range).reshape(2, 3)[:, :2]
    inside = ((centers[:, :2] > low) & (centers[:, :2] < high)).all(axis=1)
    inside &= np.linalg.norm(truth.boxes.centers[:, :2], axis=1) <= data.farthest
    hidden = truth.visibilities < data.min_visibility
    kept = inside & ~hidden & (labels >= 0)
    return LabelledBoxes(truth.boxes.selected(kept), labels[kept])


def camera_image_from_base(camera: CameraFrame, fixed_from_base: Array) -> Array:
    """Return the (4, 4) projection of base-frame points of the reference time into a camera.

    Args:
        camera: image, its calibration and the vehicle pose at its exposure.
        fixed_from_base: vehicle pose at the reference time.
    """
    calibration = camera.calibration
    if calibration.distortion_model != "none":
        raise ValueError(f"camera '{calibration.name}' is distorted; rectify before training")
    camera_from_fixed = geometry.inverse(camera.fixed_from_base @ calibration.base_from_camera)
    intrinsic = geometry.homogeneous_intrinsic(calibration.intrinsic)
    return intrinsic @ camera_from_fixed @ fixed_from_base


def boxes_on_image(truth: LabelledBoxes, camera: CameraFrame, frame_set: FrameSet) -> ImageBoxes:
    """Project boxes, moved to the exposure time, and bound their corners in front of the camera.

    Args:
        truth: boxes in the base frame at the reference time.
        camera: one camera of the set.
        frame_set: gives the reference time and pose.

    Returns:
        Boxes with at least a pixel on the source image.
    """
    seconds = (camera.stamp_ns - frame_set.stamp_ns) * 1e-9
    shift = np.nan_to_num(truth.boxes.velocities) * seconds
    shift = np.concatenate([shift, np.zeros((len(shift), 1))], axis=1)
    image_from = camera_image_from_base(camera, frame_set.fixed_from_base)
    corners, depth = geometry.project(image_from, truth.boxes.corners() + shift[:, None])
    centers, center_depth = geometry.project(image_from, truth.boxes.centers + shift)
    ahead = (center_depth > 0) & (depth > 0).any(axis=1)
    corners, centers = corners[ahead], centers[ahead]
    limit = np.array([camera.calibration.width, camera.calibration.height], dtype=np.float64)
    low = np.clip(np.nanmin(corners, axis=1), 0, limit)
    high = np.clip(np.nanmax(corners, axis=1), 0, limit)
    kept = (high - low >= 1).all(axis=1)
    boxes = ImageBoxes(
        corners=np.concatenate([low, high], axis=1),
        centers=centers,
        depths=center_depth[ahead],
        labels=truth.labels[ahead],
        objects=ahead.nonzero()[0],
    )
    return boxes.selected(kept)


def _image_targets(boxes: ImageBoxes, draw: ImageDraw) -> ImageTargets:
    moved = drop_hidden(augment_image_boxes(boxes, draw), draw.width, draw.height)
    floats = (moved.corners, moved.centers, moved.depths)
    parts = (*(part.astype(np.float32) for part in floats), moved.labels, moved.objects)
    return ImageTargets._make(torch.from_numpy(part) for part in parts)


def make_sample(
    frame_set: FrameSet,
    config: DetectorConfig,
    draws: Draws,
    data: DataConfig,
) -> Sample:
    """Augment a frame set: pixels, calibration, poses, 3D boxes and image boxes together."""
    truth = trainable_truth(frame_set, config, data)
    model_from_base = geometry.inverse(frame_set.base_from_model)
    augmented_from_base = draws.scene.augmented_from_model() @ model_from_base
    network_from_source = np.eye(4)
    network_from_source[:3, :3] = draws.image.network_from_source()
    projections = [
        network_from_source @ camera_image_from_base(camera, frame_set.fixed_from_base)
        for camera in frame_set.cameras
    ]
    intrinsics = [
        draws.image.network_from_source() @ camera.calibration.intrinsic
        for camera in frame_set.cameras
    ]
    boxes = draws.scene.apply(truth.boxes.transformed(model_from_base))
    return Sample(
        images=np.stack([draws.image.apply(camera.pixels) for camera in frame_set.cameras]),
        model_from_image=augmented_from_base @ np.linalg.inv(np.stack(projections)),
        focal_lengths=np.abs(np.array([[k[0, 0], k[1, 1]] for k in intrinsics])),
        fixed_from_model=frame_set.fixed_from_base @ np.linalg.inv(augmented_from_base),
        stamp_ns=frame_set.stamp_ns,
        targets=Targets(torch.from_numpy(encode_boxes(boxes)), torch.from_numpy(truth.labels)),
        image_targets=tuple(
            _image_targets(boxes_on_image(truth, camera, frame_set), draws.image)
            for camera in frame_set.cameras
        ),
    )


class Moment(NamedTuple):
    """Where and when a stream was last: what relative poses are computed from.

    Attributes:
        fixed_from_model: (4, 4) float64.
        stamp_ns: reference time.
    """

    fixed_from_model: Array
    stamp_ns: int


class Batch(NamedTuple):
    """Samples of B streams at one step.

    Attributes:
        inputs: prepared for the network.
        targets: B.
        image_targets: B * N, sample-major.
        moments: B, to be handed to the next `collate`.
    """

    inputs: ModelInputs
    targets: list[Targets]
    image_targets: list[ImageTargets]
    moments: list[Moment]

    def to(self, device: torch.device | str) -> Batch:
        """Copy to a device."""
        return Batch(
            self.inputs.to(device),
            [target.to(device) for target in self.targets],
            [target.to(device) for target in self.image_targets],
            self.moments,
        )


def normalise_images(images: NDArray[np.uint8], config: ImageConfig) -> Tensor:
    """Turn (..., H, W, 3) uint8 RGB into (..., 3, H, W) float32 planes as the network wants."""
    pixels = torch.from_numpy(images).movedim(-1, -3).float()
    if config.channel_order == "bgr":
        pixels = pixels.flip(-3)
    mean = torch.tensor(config.mean).view(3, 1, 1)
    std = torch.tensor(config.std).view(3, 1, 1)
    return (pixels - mean) / std


def collate(
    samples: list[Sample],
    previous: list[Moment | None],
    config: DetectorConfig,
) -> Batch:
    """Stack the samples of B streams and relate each to the previous one of its stream.

    Args:
        samples: B.
        previous: B; None where a stream begins.
        config: of the detector.
    """
    moments = [Moment(sample.fixed_from_model, sample.stamp_ns) for sample in samples]
    relative, elapsed = [], []
    for now, before in zip(moments, previous, strict=True):
        then = before or now
        relative.append(np.linalg.inv(now.fixed_from_model) @ then.fixed_from_model)
        elapsed.append((now.stamp_ns - then.stamp_ns) * 1e-9)
    inputs = ModelInputs(
        images=normalise_images(np.stack([sample.images for sample in samples]), config.image),
        model_from_image=_float32([sample.model_from_image for sample in samples]),
        focal_lengths=_float32([sample.focal_lengths for sample in samples]),
        now_from_previous=_float32(relative),
        elapsed=_float32(elapsed),
        continues=_float32([before is not None for before in previous]),
    )
    image_targets = [target for sample in samples for target in sample.image_targets]
    return Batch(inputs, [sample.targets for sample in samples], image_targets, moments)


def _float32(values: object) -> Tensor:
    return torch.from_numpy(np.asarray(values).astype(np.float32))
