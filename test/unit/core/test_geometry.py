"""Transforms, quaternions, boxes and projection against scipy and hand-made numbers."""

import doctest

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from transforms3d.euler import euler2mat
from transforms3d.quaternions import mat2quat

from streampetr_ros.core import geometry


def random_rotation(seed: int) -> Rotation:
    return Rotation.random(random_state=seed)


def wxyz(rotation: Rotation) -> np.ndarray:
    x, y, z, w = rotation.as_quat()
    return np.array([w, x, y, z])


def test_doctests_hold():
    assert doctest.testmod(geometry).failed == 0


@pytest.mark.parametrize("seed", range(20))
def test_quaternions_agree_with_scipy_both_ways(seed):
    rotation = random_rotation(seed)
    np.testing.assert_allclose(
        geometry.rotation_from_quaternion(3.0 * wxyz(rotation)), rotation.as_matrix(), atol=1e-12
    )
    quaternion = mat2quat(rotation.as_matrix())
    expected = wxyz(rotation)
    np.testing.assert_allclose(quaternion, expected * np.sign(expected[0]), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_keep_a_finite_quaternion(axis):
    rotation = np.diag([1.0 if i == axis else -1.0 for i in range(3)])
    back = geometry.rotation_from_quaternion(mat2quat(rotation))
    np.testing.assert_allclose(back, rotation, atol=1e-12)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [np.nan, 0, 0, 1]])
def test_quaternion_without_direction_is_refused(quaternion):
    with pytest.raises(ValueError, match="no direction"):
        geometry.rotation_from_quaternion(quaternion)


def test_roll_pitch_yaw_are_fixed_axis():
    expected = Rotation.from_euler("xyz", [0.1, -0.4, 2.0]).as_matrix()
    np.testing.assert_allclose(euler2mat(0.1, -0.4, 2.0), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 0.1, 3.0, np.pi - 1e-9, np.pi])
def test_angles_of_rotations_are_exact(angle):
    turn = Rotation.from_rotvec(angle * np.array([0.6, 0.0, -0.8])).as_matrix()
    assert geometry.rotation_angle(turn) == pytest.approx(angle, abs=2e-16, rel=1e-9)


def test_inverse_cancels_at_map_scale():
    pose = geometry.transform_from_parts([1e6, -2e6, 30.0], random_rotation(3).as_matrix())
    np.testing.assert_allclose(geometry.inverse(pose) @ pose, np.eye(4), atol=1e-9)


def test_corners_of_a_turned_box():
    corners = geometry.box_corners([[10, 20, 1]], [[4, 2, 1.5]], [np.pi / 2])[0]
    # Length lies along +y after a quarter turn, width along x.
    np.testing.assert_allclose(np.ptp(corners, axis=0), [2, 4, 1.5], atol=1e-12)
    np.testing.assert_allclose(corners.mean(axis=0), [10, 20, 1], atol=1e-12)
    front_left_bottom = corners[0]
    np.testing.assert_allclose(front_left_bottom, [9, 22, 0.25], atol=1e-12)


def test_corners_of_a_box_that_stands_askew():
    corners = geometry.box_corners([[1, 2, 3]], [[4, 2, 2]], [np.pi / 6])[0]
    ahead, left = np.array([3**0.5, 1.0]) / 2, np.array([-1.0, 3**0.5]) / 2
    expected = [
        [1, 2] + along * 2 * ahead + aside * left for along, aside, _ in geometry.CORNER_SIGNS
    ]
    np.testing.assert_allclose(corners[:, :2], expected, atol=1e-12)


@pytest.mark.parametrize("length", [1e-6, 0.5, 3.0, 1e6])
def test_quaternions_of_any_length_are_directions(length):
    turn = geometry.rotation_from_quaternion(np.array([1.0, 0.0, 0.0, 1.0]) * length)
    np.testing.assert_allclose(turn, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_box_edges_are_the_twelve_shortest_connections():
    corners = geometry.box_corners([[0, 0, 0]], [[2, 2, 2]], [0.3])[0]
    lengths = [np.linalg.norm(corners[i] - corners[j]) for i, j in geometry.BOX_EDGES]
    np.testing.assert_allclose(lengths, 2.0)
    assert len(set(geometry.BOX_EDGES)) == 12


def test_projection_and_points_behind():
    image_from_camera = geometry.homogeneous_intrinsic([[100, 0, 50], [0, 200, 40], [0, 0, 1]])
    pixels, depth = geometry.project(image_from_camera, [[1.0, 0.5, 2.0], [0.0, 0.0, -1.0]])
    np.testing.assert_allclose(pixels[0], [100.0, 90.0])
    assert np.isnan(pixels[1]).all()
    np.testing.assert_allclose(depth, [2.0, -1.0])
    assert np.isnan(geometry.project(image_from_camera, [[1.0, 0.5, 0.0]])[0]).all()


def test_headings_and_velocities_turn_with_the_frame():
    base_from_model = geometry.transform_from_parts(
        [0.94, 0.0, 1.84], geometry.rotation_about_z(-np.pi / 2)
    )
    # Model y is forward, so a heading of +90 degrees there is straight ahead in the base frame.
    np.testing.assert_allclose(
        geometry.rotate_yaws(base_from_model, [np.pi / 2]), [0.0], atol=1e-12
    )
    np.testing.assert_allclose(
        geometry.rotate_planar(base_from_model, [[0.0, 5.0]]), [[5.0, 0.0]], atol=1e-12
    )


def test_wrapping():
    np.testing.assert_allclose(
        geometry.wrap_angle([np.pi, -np.pi, 3 * np.pi + 0.1]), [-np.pi, -np.pi, -np.pi + 0.1]
    )
