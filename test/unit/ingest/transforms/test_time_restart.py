"""Poses that are much older than the newest: strays, edges of another clock, and time itself."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import pytest
from test_poses import SECOND, UNIT, moving_tree, unavailable

from streampetr_ros.ingest.transforms.tree import Reason, TransformError, TransformTree


def late(tree, parent, child, *stamps):
    """Enter poses of which the first ones are refused."""
    for k, stamp_ns in enumerate(stamps):
        with suppress(TransformError) if k < len(stamps) - 1 else nullcontext():
            tree.insert(parent, child, stamp_ns, (k, 0, 0), UNIT)


def test_backward_jump_clears_all_moving_edges():
    tree = moving_tree()
    tree.insert("base_link", "wheel", 10 * SECOND, (0, 0, 0), UNIT)
    late(tree, "odom", "base_link", 0, 1, 2)
    assert tree.restarts == 1
    assert unavailable(tree.lookup, "odom", "base_link", 5 * SECOND).reason is Reason.TOO_LATE
    assert unavailable(tree.lookup, "odom", "wheel", 0).reason is Reason.NO_DATA
    # Nothing of the new time is lost.
    assert tree.lookup("odom", "base_link", 0)[0, 3] == 0
    assert tree.lookup("odom", "base_link", 1)[0, 3] == 1


@pytest.mark.parametrize("stamp_ns", [0, 5 * SECOND])
def test_a_stray_pose_costs_itself_and_is_named(stamp_ns):
    """A second publisher of a wheel joint silenced the node for good."""
    tree = moving_tree()
    for k in range(50):
        now = 10 * SECOND + k * SECOND // 50
        tree.insert("odom", "base_link", now, (k, 0, 0), UNIT)
        tree.insert("base_link", "wheel", now, (0, 0, 1), UNIT)
        behind = (now - stamp_ns) / SECOND
        with pytest.raises(
            TransformError, match=f"'base_link' -> 'wheel' is {behind:.3f}.* older than .*stop"
        ):
            tree.insert("base_link", "wheel", stamp_ns, (9, 9, 9), UNIT)
        assert tree.lookup("odom", "wheel", now)[2, 3] == 1
    assert tree.restarts == 0


def test_an_edge_that_goes_back_alone_begins_anew_alone():
    tree = moving_tree()
    for k in range(1, 6):
        tree.insert("odom", "base_link", 10 * SECOND + k, (k, 0, 0), UNIT)
        tree.insert("base_link", "wheel", 10 * SECOND + k, (0, 0, 1), UNIT)
    for k in range(6, 12):
        tree.insert("odom", "base_link", 10 * SECOND + k, (k, 0, 0), UNIT)
        tree.insert("base_link", "arm", 10 * SECOND + k, (0, 0, 3), UNIT)
        with suppress(TransformError):
            tree.insert("base_link", "wheel", k, (0, 0, 2), UNIT)
    assert tree.restarts == 0
    assert tree.lookup("base_link", "arm", 10 * SECOND + 6)[2, 3] == 3
    assert tree.lookup("odom", "base_link", 10 * SECOND + 9)[0, 3] == 9
    assert tree.lookup("base_link", "wheel", 11)[2, 3] == 2


def test_edges_go_back_although_one_does_not():
    """The third comes from a machine with another clock, and keeps what it has."""
    tree = moving_tree()
    for child in ("wheel", "arm"):
        tree.insert("base_link", child, 10 * SECOND, (0, 0, 1), UNIT)
    for k in range(4):
        tree.insert("base_link", "arm", 10 * SECOND + k, (0, 0, 1), UNIT)
        for parent, child in (("odom", "base_link"), ("base_link", "wheel")):
            with suppress(TransformError):
                tree.insert(parent, child, k, (k, 0, 0), UNIT)
    assert tree.lookup("odom", "wheel", 3)[0, 3] == 6
    assert tree.lookup("base_link", "arm", 10 * SECOND + 3)[2, 3] == 1


def test_a_pose_far_ahead_is_got_over():
    tree = moving_tree()
    tree.insert("odom", "base_link", 99 * SECOND, (0, 0, 0), UNIT)
    late(tree, "odom", "base_link", *(10 * SECOND + k for k in (1, 2, 3)))
    assert tree.lookup("odom", "base_link", 10 * SECOND + 2)[0, 3] == 1


def test_reordering_within_the_limit_is_no_restart():
    tree = moving_tree()
    tree.insert("odom", "base_link", 9 * SECOND + 1, (9, 0, 0), UNIT)
    assert tree.restarts == 0


def test_history_is_bounded():
    tree = TransformTree(history_ns=SECOND)
    for k in range(2000):
        tree.insert("a", "b", k * SECOND // 100, (k, 0, 0), UNIT)
    assert len(tree._edges["b"].stamps) == 101
