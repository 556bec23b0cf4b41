"""The transform tree: interpolation, time travel, and every way in which a lookup can fail."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from transforms3d.quaternions import mat2quat

from streampetr_ros.core import geometry
from streampetr_ros.ingest.transforms import poses as pose_tuples
from streampetr_ros.ingest.transforms.tree import (
    Reason,
    TransformError,
    TransformTree,
    TransformUnavailable,
)

SECOND = 1_000_000_000
EPOCH_NS = 1_700_000_000 * SECOND
UNIT = (1.0, 0.0, 0.0, 0.0)


def random_matrix(rng: np.random.Generator, reach: float = 10.0) -> np.ndarray:
    return geometry.transform_from_quaternion(rng.uniform(-reach, reach, 3), rng.normal(size=4))


def pose_of(matrix: np.ndarray) -> pose_tuples.Pose:
    return (*matrix[:3, 3], *mat2quat(matrix[:3, :3]))


def unavailable(call, *args) -> TransformUnavailable:
    with pytest.raises(TransformUnavailable) as caught:
        call(*args)
    return caught.value


def between(target_from_start: np.ndarray, target_from_end: np.ndarray, fraction: float):
    """Interpolate by scipy; fractions beyond 1 extrapolate."""
    start, end = (
        Rotation.from_matrix(pose[:3, :3]) for pose in (target_from_start, target_from_end)
    )
    turn = Rotation.from_rotvec(fraction * (start.inv() * end).as_rotvec())
    step = target_from_end[:3, 3] - target_from_start[:3, 3]
    return geometry.transform_from_parts(
        target_from_start[:3, 3] + fraction * step, (start * turn).as_matrix()
    )


def moving_tree(**options: int) -> TransformTree:
    """base_link drives along odom x at 1 m/s, one pose per 0.1 s from 0 to 10 s."""
    tree = TransformTree(**options)
    for k in range(101):
        tree.insert("odom", "base_link", k * SECOND // 10, (0.1 * k, 0, 0), UNIT)
    tree.insert("base_link", "camera", None, (1, 0, 2), UNIT)
    return tree


class TestPoseTuples:
    def test_agree_with_matrices(self):
        rng = np.random.default_rng(1)
        for _ in range(200):
            a, b = random_matrix(rng), random_matrix(rng)
            pa, pb = pose_of(a), pose_of(b)
            fraction = rng.uniform(-0.5, 1.5)
            pairs = (
                (pose_tuples.compose(pa, pb), a @ b),
                (pose_tuples.invert(pa), geometry.inverse(a)),
                (pose_tuples.interpolate(pa, pb, fraction), between(a, b, fraction)),
            )
            for pose, matrix in pairs:
                assert np.abs(pose_tuples.to_matrix(pose) - matrix).max() < 1e-12

    @pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-5, 0.1, 3.0, np.pi - 1e-9])
    def test_interpolation_turns_at_constant_rate(self, angle: float):
        end = (0.0, 0.0, 0.0, np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2))
        middle = pose_tuples.interpolate(pose_tuples.NO_MOTION, end, 0.25)
        assert 2 * np.arctan2(middle[6], middle[3]) == pytest.approx(angle / 4, abs=1e-15, rel=1e-9)

    def test_the_two_quaternions_of_a_rotation_are_the_same(self):
        end = (0.0, 0.0, 0.0, np.cos(0.1), 0.0, 0.0, np.sin(0.1))
        minus = end[:3] + tuple(-v for v in end[3:])
        a, b = (pose_tuples.interpolate(pose_tuples.NO_MOTION, e, 0.3) for e in (end, minus))
        assert np.allclose(a, b, atol=1e-15)


class TestLookup:
    def test_random_trees_against_matrices(self):
        """Random trees of static and moving edges, all pairs, against products of matrices."""
        for seed in range(8):
            rng = np.random.default_rng(seed)
            tree, parents, poses = TransformTree(), {}, {}
            for child in range(1, 9):
                parents[child] = int(rng.integers(child))
                count = int(rng.integers(1, 6))
                stamps = sorted({0, 4 * SECOND, *rng.integers(0, 4 * SECOND, count).tolist()})
                static = rng.random() < 0.4
                poses[child] = [(s, random_matrix(rng)) for s in (stamps[:1] if static else stamps)]
                for stamp, matrix in poses[child]:
                    pose = pose_of(matrix)
                    tree.insert(
                        f"f{parents[child]}",
                        f"f{child}",
                        None if static else stamp,
                        pose[:3],
                        pose[3:],
                    )
            for _ in range(40):
                target, source = rng.integers(0, 9, 2).tolist()
                stamp = int(rng.integers(0, 4 * SECOND))
                root_from = [root_from_frame(f, stamp, parents, poses) for f in (target, source)]
                expected = np.linalg.inv(root_from[0]) @ root_from[1]
                found = tree.lookup(f"f{target}", f"/f{source}", stamp)
                assert np.abs(found - expected).max() < 1e-11

    def test_order_of_arrival_does_not_matter(self):
        rng = random.Random(3)
        poses = [(k * SECOND // 20, (rng.uniform(-5, 5), k, 0.0)) for k in range(19)]
        shuffled = poses[:]
        rng.shuffle(shuffled)
        trees = TransformTree(), TransformTree()
        for tree, sequence in zip(trees, (poses, shuffled), strict=True):
            for stamp, position in sequence:
                tree.insert("a", "b", stamp, position, UNIT)
        for stamp in range(0, 9 * SECOND // 10, SECOND // 33):
            assert np.array_equal(
                trees[0].lookup("a", "b", stamp), trees[1].lookup("a", "b", stamp)
            )

    def test_epoch_stamps_and_large_coordinates_lose_nothing(self):
        tree = TransformTree()
        tree.insert("map", "base_link", EPOCH_NS, (1e6, -2e6, 0), UNIT)
        tree.insert("map", "base_link", EPOCH_NS + SECOND, (1e6 + 10, -2e6, 0), UNIT)
        found = tree.lookup("map", "base_link", EPOCH_NS + 123_456_789)
        assert found[0, 3] == pytest.approx(1e6 + 1.23456789, abs=1e-9)

    def test_static_edges_hold_at_all_times(self):
        tree = moving_tree()
        for stamp in (0, 1, 10**18):
            assert tree.lookup("base_link", "camera", stamp)[:3, 3].tolist() == [1, 0, 2]

    def test_same_frame_is_identity(self):
        assert np.array_equal(moving_tree().lookup("camera", "camera", 99 * SECOND), np.eye(4))

    def test_edges_above_the_meeting_frame_need_no_data(self):
        tree = moving_tree()
        tree.insert("map", "odom", 0, (0, 0, 0), UNIT)
        assert tree.lookup("odom", "camera", 5 * SECOND)[0, 3] == pytest.approx(6)

    def test_the_later_of_two_with_one_stamp_wins(self):
        tree = moving_tree()
        tree.insert("odom", "base_link", 10 * SECOND, (7, 7, 7), UNIT)
        assert tree.lookup("odom", "base_link", 10 * SECOND)[:3, 3].tolist() == [7, 7, 7]

    def test_a_frame_may_be_hung_up_elsewhere(self):
        tree = TransformTree()
        tree.insert("root", "left", None, (0, 1, 0), UNIT)
        tree.insert("root", "right", None, (0, -1, 0), UNIT)
        for stamp, parent in ((0, "left"), (10, "left"), (20, "right"), (30, "right")):
            tree.insert(parent, "tool", stamp, (stamp, 0, 0), UNIT)
        seen = [tree.lookup("root", "tool", s)[:2, 3].tolist() for s in (5, 15, 25)]
        # Between two parents there is nothing to interpolate: the older pose holds, as in tf2.
        assert seen == [[5, 1], [10, 1], [25, -1]]

    def test_a_frame_may_come_back_to_where_it_hung(self):
        tree = TransformTree()
        tree.insert("root", "left", None, (0, 1, 0), UNIT)
        tree.insert("root", "right", None, (0, -1, 0), UNIT)
        for stamp, parent in ((0, "left"), (10, "right"), (20, "right"), (30, "left")):
            tree.insert(parent, "tool", stamp, (stamp, 0, 0), UNIT)
        seen = [tree.lookup("root", "tool", s)[:2, 3].tolist() for s in (0, 15, 30)]
        assert seen == [[0, 1], [15, -1], [30, 1]]


def root_from_frame(frame: int, stamp: int, parents: dict, poses: dict) -> np.ndarray:
    total = np.eye(4)
    while frame in parents:
        known = poses[frame]
        after = next((k for k, (s, _) in enumerate(known) if s > stamp), len(known))
        if after == len(known):
            matrix = known[-1][1]
        else:
            (s0, m0), (s1, m1) = known[after - 1 : after + 1]
            matrix = between(m0, m1, (stamp - s0) / (s1 - s0))
        total = matrix @ total
        frame = parents[frame]
    return total


class TestUnavailable:
    def test_too_late_says_by_how_much(self):
        error = unavailable(moving_tree().lookup, "odom", "camera", 10 * SECOND + 30_000_000)
        assert error.reason is Reason.TOO_LATE
        assert error.may_come
        for part in ("odom -> base_link", "10.030000 s", "0.030000 s too old", "camera"):
            assert part in str(error)

    def test_too_early(self):
        tree = moving_tree(history_ns=2 * SECOND)
        error = unavailable(tree.lookup, "odom", "camera", 7 * SECOND)
        assert error.reason is Reason.TOO_EARLY
        assert not error.may_come
        assert "which starts 1.000000 s too late" in str(error)

    def test_one_pose_is_no_motion(self):
        tree = TransformTree(extrapolation_ns=SECOND)
        tree.insert("a", "b", SECOND, (1, 2, 3), UNIT)
        assert tree.lookup("a", "b", SECOND)[0, 3] == 1
        assert unavailable(tree.lookup, "a", "b", SECOND + 1).reason is Reason.TOO_LATE
        assert unavailable(tree.lookup, "a", "b", SECOND - 1).reason is Reason.TOO_EARLY

    def test_unknown_frame(self):
        error = unavailable(moving_tree().lookup, "odom", "cam", 0)
        assert error.reason is Reason.UNKNOWN_FRAME
        assert "'cam'" in str(error)
        assert "camera" in str(error)

    def test_disconnected(self):
        tree = moving_tree()
        tree.insert("earth", "moon", None, (1, 0, 0), UNIT)
        error = unavailable(tree.lookup, "odom", "moon", 0)
        assert error.reason is Reason.DISCONNECTED
        assert "'odom'" in str(error)
        assert "'earth'" in str(error)

    def test_loop(self):
        tree = TransformTree()
        for parent, child in (("a", "b"), ("b", "c")):
            tree.insert(parent, child, None, (0, 0, 0), UNIT)
        with pytest.raises(TransformError, match="'c' -> 'a' would close a loop"):
            tree.insert("c", "a", None, (0, 0, 0), UNIT)
        assert tree.lookup("a", "c", 0).shape == (4, 4)

    @pytest.mark.parametrize("names", ["abc", "cba", "bca"])
    def test_a_frame_hung_up_elsewhere_closes_no_loop(self, names):
        top, middle, low = names
        tree = TransformTree()
        tree.insert(top, middle, 1, (0, 0, 0), UNIT)
        tree.insert(middle, low, 1, (0, 0, 0), UNIT)
        with pytest.raises(TransformError, match=f"'{low}' -> '{middle}' would close a loop"):
            tree.insert(low, middle, 2, (0, 0, 0), UNIT)
        assert tree.lookup(top, low, 1).shape == (4, 4)

    def test_an_edge_without_poses_gives_way_to_a_turned_one(self):
        tree = TransformTree()
        tree.insert("odom", "base", SECOND, (1, 0, 0), UNIT)
        tree.clear()
        tree.insert("base", "odom", SECOND, (2, 0, 0), UNIT)
        assert tree.lookup("odom", "base", SECOND)[0, 3] == -2

    def test_turned_edge_is_refused_until_the_old_one_is_gone(self):
        tree = TransformTree(history_ns=10 * SECOND)
        tree.insert("odom", "base", SECOND, (1, 0, 0), UNIT)
        with pytest.raises(TransformError, match="disagree about a parent"):
            tree.insert("base", "odom", 2 * SECOND, (2, 0, 0), UNIT)
        assert tree.lookup("odom", "base", SECOND)[0, 3] == 1
        tree.insert("base", "odom", 12 * SECOND, (2, 0, 0), UNIT)
        assert tree.lookup("odom", "base", 12 * SECOND)[0, 3] == -2

    def test_no_data_after_clear_but_static_stays(self):
        tree = moving_tree()
        tree.clear()
        assert unavailable(tree.lookup, "odom", "camera", SECOND).reason is Reason.NO_DATA
        assert tree.lookup("base_link", "camera", SECOND)[0, 3] == 1
        tree.insert("odom", "base_link", SECOND, (5, 0, 0), UNIT)
        assert tree.lookup("odom", "camera", SECOND)[0, 3] == 6


class TestExtrapolation:
    def test_continues_the_motion_within_the_limit(self):
        tree = moving_tree(extrapolation_ns=50_000_000)
        found = tree.lookup("odom", "base_link", 10 * SECOND + 50_000_000)
        assert found[0, 3] == pytest.approx(10.05, abs=1e-9)
        late = unavailable(tree.lookup, "odom", "base_link", 10 * SECOND + 50_000_001)
        assert late.reason is Reason.TOO_LATE

    def test_noise_of_close_poses_is_not_magnified(self):
        tree = moving_tree(extrapolation_ns=SECOND)
        tree.insert("odom", "base_link", 10 * SECOND + 1000, (10.01, 0, 0), UNIT)
        found = tree.lookup("odom", "base_link", 10 * SECOND + 100_000_000)
        assert abs(found[0, 3] - 10.1) < 0.03


class TestRefused:
    @pytest.mark.parametrize(
        ("translation", "quaternion", "word"),
        [
            ((np.nan, 0, 0), UNIT, "finite"),
            ((np.inf, 0, 0), UNIT, "finite"),
            ((0, 0, 0), (np.nan, 0, 0, 1), "finite"),
            ((0, 0, 0), (0, 0, 0, 0), "length 0"),
            ((0, 0, 0), (1, 1, 0, 0), "normalise"),
        ],
    )
    def test_bad_numbers(self, translation, quaternion, word):
        with pytest.raises(TransformError, match=word):
            TransformTree().insert("odom", "base_link", 1, translation, quaternion)

    @pytest.mark.parametrize(("parent", "child"), [("", "a"), ("a", ""), ("a", "/a"), ("/", "b")])
    def test_bad_names(self, parent, child):
        with pytest.raises(TransformError, match="two different"):
            TransformTree().insert(parent, child, None, (0, 0, 0), UNIT)

    def test_negative_stamp(self):
        with pytest.raises(TransformError, match="stamp"):
            TransformTree().insert("a", "b", -1, (0, 0, 0), UNIT)

    def test_nearly_unit_quaternion_is_normalised(self):
        tree = TransformTree()
        tree.insert("a", "b", None, (0, 0, 0), (1.001, 0, 0, 0))
        assert np.array_equal(tree.lookup("a", "b", 0), np.eye(4))

    def test_refused_transform_changes_nothing(self):
        tree = TransformTree()
        with pytest.raises(TransformError):
            tree.insert("a", "b", 1, (0, 0, 0), (0, 0, 0, 0))
        assert "known are: none" in str(unavailable(tree.lookup, "a", "b", 1))


class TestOneFrameOfTwoKinds:
    """On /tf_static and on /tf (or as odometry): which of the two is meant is not known."""

    def test_moving_after_static(self):
        tree = TransformTree()
        tree.insert("odom", "base_link", None, (1, 0, 0), UNIT)
        with pytest.raises(TransformError, match=r"'base_link' is static already.*/tf_static"):
            tree.insert("odom", "base_link", SECOND, (2, 0, 0), UNIT)
        assert tree.lookup("odom", "base_link", 5 * SECOND)[0, 3] == 1

    def test_static_after_moving(self):
        tree = moving_tree()
        with pytest.raises(TransformError, match=r"'base_link' is moving already.*stop one"):
            tree.insert("odom", "base_link", None, (9, 0, 0), UNIT)
        assert tree.restarts == 0
        assert tree.lookup("odom", "base_link", SECOND)[0, 3] == pytest.approx(1.0)

    def test_a_new_run_may_hold_still_what_moved(self):
        tree = moving_tree()
        tree.clear()
        tree.insert("map", "base_link", None, (9, 0, 0), UNIT)
        assert tree.lookup("map", "camera", SECOND)[0, 3] == 10
