"""Augmentation of images, image boxes, poses and 3D boxes; geometry always moves with the pixels.

Every draw is a value, so that the same draw can be applied to the six views of a frame and checked
against recorded numbers; `Augmentation.draw` is the only place that uses randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes


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
class ImageBoxes:
    """Axis-aligned boxes of objects on one image, pixels.

    Attributes:
        corners: (n, 4) left, top, right, bottom.
        centers: (n, 2) projected centres of the 3D boxes.
        depths: (n,) camera depth of these centres, metres.
        labels: (n,) int64.
        objects: (n,) int64 place among the annotated objects of the frame.
    """

    corners: Array
    centers: Array
    depths: Array
    labels: NDArray[np.int64]
    objects: NDArray[np.int64]

    def selected(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> ImageBoxes:
        """Return the boxes at an integer or boolean index."""
        return ImageBoxes(
            corners=self.corners[index],
            centers=self.centers[index],
            depths=self.depths[index],
            labels=self.labels[index],
            objects=self.objects[index],
        )


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
        """Rotate and scale boxes: centre, size and velocity scale, heading turns by -angle."""
        moved = boxes_model.transformed(self.augmented_from_model())
        return Boxes(
            centers=moved.centers,
            sizes=moved.sizes * self.scale,
            yaws=moved.yaws,
            velocities=moved.velocities,
        )


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

    def draw_image(
        self,
        rng: np.random.Generator,
        source: tuple[int, int],
        network: tuple[int, int],
    ) -> ImageDraw:
        """Draw for images of ``source`` height, width and a network of ``network`` height, width.

        The crop keeps the bottom of the image, as the published recipe does.
        """
        height, width = network
        fit = max(height / source[0], width / source[1])
        resize = fit * rng.uniform(*self.resize)
        resized_height, resized_width = int(source[0] * resize), int(source[1] * resize)
        left = int(rng.uniform(0, max(0, resized_width - width)))
        if self.resize == (1.0, 1.0):
            left = int(max(0, resized_width - width) / 2)
        return ImageDraw(
            resize=resize,
            crop_left=left,
            crop_top=resized_height - height,
            width=width,
            height=height,
            flip=bool(rng.random() < self.flip),
        )

    def draw_scene(self, rng: np.random.Generator) -> SceneDraw:
        """Draw a rotation and a scale."""
        return SceneDraw(
            angle=float(rng.uniform(-self.angle, self.angle)), scale=float(rng.uniform(*self.scale))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GridDraw:
    """One draw of the grid mask.

    Attributes:
        period: distance of the bars, pixels.
        row_offset: of the first row bar, pixels.
        column_offset: of the first column bar, pixels.
    """

    period: int
    row_offset: int
    column_offset: int

    @classmethod
    def random(cls, rng: np.random.Generator, height: int) -> GridDraw:
        """Draw a period in [2, height) and offsets within it."""
        period = int(rng.integers(2, height))
        row, column = (int(value) for value in rng.integers(period, size=2))
        return cls(period=period, row_offset=row, column_offset=column)


def grid_mask(draw: GridDraw, height: int, width: int) -> NDArray[np.bool_]:
    """Return the (height, width) mask of pixels kept: those on a row bar or a column bar.

    The bars are laid on a canvas of 1.5 times the size, whose centre is cut out.
    """
    length = min(max(int(draw.period / 2 + 0.5), 1), draw.period - 1)
    tall, wide = int(1.5 * height), int(1.5 * width)
    rows = _bars(tall, draw.period, draw.row_offset, length)
    columns = _bars(wide, draw.period, draw.column_offset, length)
    top, left = (tall - height) // 2, (wide - width) // 2
    return rows[top : top + height, None] | columns[None, left : left + width]


def _bars(size: int, period: int, offset: int, length: int) -> NDArray[np.bool_]:
    """Mark `size // period` bars; pixels before the first and after the last stay unmarked."""
    marked = np.zeros(size, dtype=bool)
    for index in range(size // period):
        start = period * index + offset
        marked[start : min(start + length, size)] = True
    return marked
