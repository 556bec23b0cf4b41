"""Augmentation of images, image boxes, poses and 3D boxes; geometry always moves with the pixels.

Every draw is a value, so that the same draw can be applied to the six views of a frame and checked
against recorded numbers; `Augmentation.draw` and `random_grid_mask` alone use randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, Columns, FrameSet
from streampetr_ros.model.config import ImageConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDraw:
    """One draw of the image augmentation, shared by the views of a frame.

    Attributes:
        resize: factor on the source image.
        crop_left: first column kept of the resized image, pixels.
        crop_top: first row kept, pixels.
        width: network image width.
        height: network image height.
        flip: whether the crop is mirrored.
    """

    resize: float
    crop_left: int
    crop_top: int
    width: int
    height: int
    flip: bool = False

    def network_from_source(self) -> Array:
        """Return the (3, 3) transform of homogeneous pixels, source image to network image."""
        factor = self.resize
        matrix = np.array(
            [[factor, 0.0, -self.crop_left], [0.0, factor, -self.crop_top], [0.0, 0.0, 1.0]]
        )
        if self.flip:
            matrix = np.array([[-1.0, 0.0, self.width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
        return matrix

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize, crop and mirror an image; what lies outside the source becomes black.

        Args:
            pixels: (h, w, 3) uint8.

        Returns:
            (height, width, 3) uint8.
        """
        image = Image.fromarray(pixels)
        size = (int(image.width * self.resize), int(image.height * self.resize))
        if size != image.size:
            image = image.resize(size)
        right, bottom = self.crop_left + self.width, self.crop_top + self.height
        image = image.crop((self.crop_left, self.crop_top, right, bottom))
        result = np.asarray(image)
        return np.ascontiguousarray(result[:, ::-1]) if self.flip else result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageBoxes(Columns):
    """Axis-aligned boxes of objects on one image, pixels.

    Attributes:
        corners: (n, 4) left, top, right, bottom.
        centers: (n, 2) projected centers of the 3D boxes.
        depths: (n,) camera depth of these centers, metres.
        labels: (n,) int64.
        objects: (n,) int64 place among the annotated objects of the frame.
    """

    corners: Array
    centers: Array
    depths: Array
    labels: NDArray[np.int64]
    objects: NDArray[np.int64]


def augment_image_boxes(boxes: ImageBoxes, draw: ImageDraw) -> ImageBoxes:
    """Move boxes with the pixels; clip to the image and drop what is under two pixels."""
    limit = np.array([draw.width, draw.height], dtype=np.float64)
    offset = np.array([draw.crop_left, draw.crop_top], dtype=np.float64)
    corners = boxes.corners * draw.resize - np.tile(offset, 2)
    corners = np.clip(corners, 0.0, np.tile(limit, 2))
    kept = (corners[:, 2] - corners[:, 0] >= 2) & (corners[:, 3] - corners[:, 1] >= 2)
    centers = np.clip(boxes.centers * draw.resize - offset, 0.0, limit)
    if draw.flip:
        corners[:, [0, 2]] = draw.width - corners[:, [2, 0]]
        centers[:, 0] = draw.width - centers[:, 0]
    return replace(boxes, corners=corners, centers=centers).selected(kept)


def drop_hidden(boxes: ImageBoxes, width: int, height: int) -> ImageBoxes:
    """Drop boxes that nearer boxes cover completely.

    Boxes are painted far to near; an object stays when a pixel of it is left. As in the published
    recipe the farthest object stays unless every pixel of the image is covered, because unpainted
    pixels carry its number. The result is ordered far to near.
    """
    order = np.argsort(-boxes.depths, kind="stable")
    boxes = boxes.selected(order)
    painted = np.zeros((height, width), dtype=np.int64)
    low = np.ceil(boxes.corners[:, :2]).astype(int)
    high = np.floor(boxes.corners[:, 2:]).astype(int)
    for index, ((left, top), (right, bottom)) in enumerate(zip(low, high, strict=True)):
        painted[top:bottom, left:right] = index
    return boxes.selected(np.unique(painted)) if len(boxes.labels) else boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDraw:
    """One draw of the scene augmentation.

    Attributes:
        angle: the scene is rotated clockwise, seen from above, by this angle, radians.
        scale: then scaled by this factor.
    """

    angle: float = 0.0
    scale: float = 1.0

    def augmented_from_model(self) -> Array:
        """Return the (4, 4) similarity transform from the model frame to the augmented one."""
        matrix = geometry.transform_from_parts(np.zeros(3), geometry.rotation_about_z(-self.angle))
        return np.diag([self.scale] * 3 + [1.0]) @ matrix

    def apply(self, boxes_model: Boxes) -> Boxes:
        """Rotate and scale boxes: center, size and velocity scale, heading turns by -angle."""
        moved = boxes_model.transformed(self.augmented_from_model())
        return replace(moved, sizes=moved.sizes * self.scale)


class Draws(NamedTuple):
    """Augmentation of one frame: the views share it, frames do not."""

    image: ImageDraw
    scene: SceneDraw


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Ranges that draws come from; the defaults change nothing but crop to the network image.

    Attributes:
        resize: lowest and highest resize factor relative to a resize that fits the width.
        flip: probability of mirroring the images.
        angle: largest scene rotation, radians.
        scale: lowest and highest scene scale.
        grid_mask: probability of masking a batch with a grid.
    """

    resize: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    angle: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    grid_mask: float = 0.0

    def draw(self, frame_set: FrameSet, network: ImageConfig, rng: np.random.Generator) -> Draws:
        """Draw for the images of a frame set, which have one size.

        The crop keeps the bottom of the image, as the published recipe does.
        """
        source = frame_set.cameras[0].calibration
        fit = max(network.height / source.height, network.width / source.width)
        resize = fit * rng.uniform(*self.resize)
        beside = max(0, int(source.width * resize) - network.width)
        left = int(rng.uniform(0, beside))
        if self.resize == (1.0, 1.0):
            left = int(beside / 2)
        image = ImageDraw(
            resize=resize,
            crop_left=left,
            crop_top=int(source.height * resize) - network.height,
            width=network.width,
            height=network.height,
            flip=bool(rng.random() < self.flip),
        )
        angle, scale = rng.uniform(-self.angle, self.angle), rng.uniform(*self.scale)
        return Draws(image, SceneDraw(angle=float(angle), scale=float(scale)))


def random_grid_mask(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """Draw the period of a grid in [2, height), its offsets within that, and return its mask."""
    period = int(rng.integers(2, height))
    row, column = (int(value) for value in rng.integers(period, size=2))
    return grid_mask(period, (row, column), (height, width))


def grid_mask(period: int, offsets: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of pixels kept: those on a row bar or a column bar.

    The bars are laid on a canvas of 1.5 times the size, whose center is cut out.

    Args:
        period: distance of the bars, pixels.
        offsets: of the first row bar and of the first column bar, pixels.
        size: height and width.
    """
    length = min(max(int(period / 2 + 0.5), 1), period - 1)
    bars = []
    for offset, extent in zip(offsets, size, strict=True):
        canvas = int(1.5 * extent)
        number, place = np.divmod(np.arange(canvas) - offset, period)
        # Pixels before the first and after the last whole period stay unmarked.
        marked = (number >= 0) & (number < canvas // period) & (place < length)
        start = (canvas - extent) // 2
        bars.append(marked[start : start + extent])
    kept: NDArray[np.bool_] = bars[0][:, None] | bars[1]
    return kept
