"""Rigid transforms, quaternions, boxes and projection in float64 NumPy.

Convention: every transform is a (4, 4) homogeneous matrix acting on column vectors and is named
``target_from_source``: it takes coordinates in *source* to coordinates in *target*, so products
read by cancelling neighbours (``image_from_base = image_from_camera @ camera_from_base``). Axes
follow REP-103; camera frames are optical (x right, y down, z forward). Quaternions are
``(w, x, y, z)``, Hamilton, unit norm, as in transforms3d, which converts between quaternions,
matrices and angles. Angles are radians, lengths metres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transforms3d.euler import euler2mat
from transforms3d.quaternions import quat2mat

Array = NDArray[np.float64]

IDENTITY: Array = np.eye(4)

#: Corner signs of a box: x (length), y (width), z (height); bottom face first, counter-clockwise.
CORNER_SIGNS: Array = np.array(
    [
        [+1, +1, -1],
        [-1, +1, -1],
        [-1, -1, -1],
        [+1, -1, -1],
        [+1, +1, +1],
        [-1, +1, +1],
        [-1, -1, +1],
        [+1, -1, +1],
    ],
    dtype=np.float64,
)

#: Index pairs into the eight corners that form the twelve edges of a box.
BOX_EDGES: tuple[tuple[int, int], ...] = (
    *((i, (i + 1) % 4) for i in range(4)),
    *((4 + i, 4 + (i + 1) % 4) for i in range(4)),
    *((i, i + 4) for i in range(4)),
)


def rotation_from_quaternion(quaternion_wxyz: ArrayLike) -> Array:
    """Turn a quaternion into a rotation matrix.

    Args:
        quaternion_wxyz: (4,) w, x, y, z; need not be normalised.

    Returns:
        (3, 3) rotation matrix.

    Raises:
        ValueError: if the quaternion is not finite or has no length.

    Example:
        >>> rotation_from_quaternion([1, 0, 0, 0]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    quaternion = np.asarray(quaternion_wxyz, dtype=np.float64)
    norm = float(np.linalg.norm(quaternion))
    if not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"quaternion {quaternion.tolist()} has no direction (w, x, y, z expected)")
    rotation: Array = quat2mat(quaternion)
    return rotation


def rotation_angle(transform: Array) -> float:
    """Return the angle in radians, 0 to pi, by which a (4, 4) transform or (3, 3) rotation turns.

    Example:
        >>> round(rotation_angle(rotation_about_z(-0.3)), 6)
        0.3
    """
    r = transform
    twice_sine = np.linalg.norm([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    return float(np.arctan2(twice_sine, r[0, 0] + r[1, 1] + r[2, 2] - 1.0))


def rotation_about_z(yaw: float) -> Array:
    """Return the (3, 3) rotation by ``yaw`` (counter-clockwise seen from above) about +z."""
    rotation: Array = euler2mat(0.0, 0.0, yaw)
    return rotation


def transform_from_parts(translation: ArrayLike, rotation: ArrayLike) -> Array:
    """Assemble a (4, 4) transform from a (3,) translation and a (3, 3) rotation."""
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation
    return transform


def transform_from_quaternion(translation: ArrayLike, quaternion_wxyz: ArrayLike) -> Array:
    """Assemble a (4, 4) transform from a (3,) translation and a (4,) w, x, y, z quaternion."""
    return transform_from_parts(translation, rotation_from_quaternion(quaternion_wxyz))


def inverse(target_from_source: Array) -> Array:
    """Return ``source_from_target`` of a rigid (4, 4) transform, analytically."""
    rotation = target_from_source[:3, :3].T
    return transform_from_parts(-rotation @ target_from_source[:3, 3], rotation)


def transform_points(target_from_source: Array, points_source: ArrayLike) -> Array:
    """Take (..., 3) points from the source frame to the target frame."""
    points = np.asarray(points_source, dtype=np.float64)
    moved: Array = points @ target_from_source[:3, :3].T + target_from_source[:3, 3]
    return moved


def wrap_angle(angle: ArrayLike) -> Array:
    """Wrap angles to [-pi, pi)."""
    return (np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi


def rotate_yaws(target_from_source: Array, yaws_source: ArrayLike) -> Array:
    """Express headings in another frame: the heading vector is rotated and projected onto xy.

    Args:
        target_from_source: (4, 4) transform; only its rotation matters.
        yaws_source: (n,) angles about +z of the source frame, from its +x.

    Returns:
        (n,) angles about +z of the target frame.
    """
    yaws = np.asarray(yaws_source, dtype=np.float64)
    heading = np.stack([np.cos(yaws), np.sin(yaws), np.zeros_like(yaws)], axis=-1)
    rotated = heading @ target_from_source[:3, :3].T
    turned: Array = np.arctan2(rotated[..., 1], rotated[..., 0])
    return turned


def rotate_planar(target_from_source: Array, vectors_source: ArrayLike) -> Array:
    """Express (n, 2) planar vectors (such as velocities) in another frame, keeping x and y."""
    vectors = np.asarray(vectors_source, dtype=np.float64)
    return vectors @ target_from_source[:2, :2].T


def box_corners(centers: ArrayLike, sizes: ArrayLike, yaws: ArrayLike) -> Array:
    """Compute the corners of upright boxes.

    Args:
        centers: (n, 3) gravity centers, metres.
        sizes: (n, 3) length (along heading), width, height, metres.
        yaws: (n,) heading about +z.

    Returns:
        (n, 8, 3) corners in the order of `CORNER_SIGNS`.
    """
    centers = np.asarray(centers, dtype=np.float64).reshape(-1, 3)
    sizes = np.asarray(sizes, dtype=np.float64).reshape(-1, 3)
    yaws = np.asarray(yaws, dtype=np.float64).reshape(-1)
    local = 0.5 * sizes[:, None, :] * CORNER_SIGNS
    c, s = np.cos(yaws)[:, None], np.sin(yaws)[:, None]
    x = c * local[..., 0] - s * local[..., 1]
    y = s * local[..., 0] + c * local[..., 1]
    corners: Array = np.stack([x, y, local[..., 2]], axis=-1) + centers[:, None, :]
    return corners


def homogeneous_intrinsic(intrinsic: ArrayLike) -> Array:
    """Pad a (3, 3) camera matrix to the (4, 4) ``image_from_camera`` of this project.

    The result maps ``(x, y, z, 1)`` of the camera frame to ``(u * z, v * z, z, 1)``.
    """
    padded = np.eye(4)
    padded[:3, :3] = intrinsic
    return padded


def project(image_from_source: Array, points_source: ArrayLike) -> tuple[Array, Array]:
    """Project points to pixels.

    Args:
        image_from_source: (4, 4) mapping points to (u * depth, v * depth, depth, 1).
        points_source: (..., 3) points, metres.

    Returns:
        Pixels (..., 2) and depths (...,) in metres. Pixels of points with depth <= 0 are NaN.
    """
    scaled = transform_points(image_from_source, points_source)
    depth = scaled[..., 2]
    safe = np.where(depth > 0, depth, np.nan)
    return scaled[..., :2] / safe[..., None], depth
