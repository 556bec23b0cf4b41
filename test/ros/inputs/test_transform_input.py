"""Transforms from topics, and waiting for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

import rclpy
from graph import Graph
from rclpy.node import Node

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.problems import Problem, ProblemLog, SkippedSet
from streampetr_ros.ingest.transforms.tree import Reason, TransformUnavailable
from streampetr_ros.messages.standard import tf_message
from streampetr_ros.parameters.inputs import PoseParameters
from streampetr_ros.ros.inputs.transforms import TransformInput
from streampetr_ros.ros.messages import types

SECOND_NS = 1_000_000_000


def test_nothing_is_left_after_close(graph: Graph) -> None:
    assert graph
    node = rclpy.create_node("transforms_opened_and_closed")

    def topics() -> list[int]:
        return [len(list(kind)) for kind in (node.subscriptions, node.services, node.publishers)]

    before = topics()
    made = TransformInput(node, PoseParameters(), ProblemLog(print, 0.0))
    assert topics() != before
    made.close()
    assert topics() == before
    node.destroy_node()


@pytest.fixture
def transforms(graph: Graph) -> Iterator[TransformInput]:
    assert graph
    node: Node = rclpy.create_node("transforms_under_test")
    made = TransformInput(node, PoseParameters(), ProblemLog(print, 0.0))
    yield made
    made.close()
    node.destroy_node()


def pose(seconds: float) -> Array:
    return geometry.transform_from_parts(
        [1e5 + 3.0 * seconds, 2.0, 0.0], geometry.rotation_about_z(0.1 * seconds)
    )


def enter(transforms: TransformInput, seconds: float) -> None:
    """As the subscription to /tf would."""
    edge = ("odom", "base_link", round(seconds * SECOND_NS), pose(seconds))
    transforms._on_transforms(tf_message(types, [edge]), static=False)


def look_up(transforms: TransformInput, seconds: float) -> Array:
    return transforms.tree.lookup("odom", "base_link", round(seconds * SECOND_NS))


def needed(transforms: TransformInput, seconds: float) -> Array:
    """Look up as a frame set does."""
    try:
        return look_up(transforms, seconds)
    except TransformUnavailable as error:
        raise SkippedSet(Problem.NO_TRANSFORM, "", str(error), may_come=error.may_come) from error


def test_lookups_interpolate(transforms: TransformInput) -> None:
    for seconds in (10.0, 10.1):
        enter(transforms, seconds)
    np.testing.assert_allclose(look_up(transforms, 10.05), pose(10.05), atol=1e-9)
    np.testing.assert_allclose(look_up(transforms, 10.1), pose(10.1), atol=1e-9)


@pytest.mark.parametrize(("seconds", "reason"), [(11.0, Reason.TOO_LATE), (9.0, Reason.TOO_EARLY)])
def test_nothing_is_invented(transforms: TransformInput, seconds: float, reason: Reason) -> None:
    for known in (10.0, 10.1):
        enter(transforms, known)
    with pytest.raises(TransformUnavailable) as caught:
        look_up(transforms, seconds)
    assert caught.value.reason is reason


def test_unknown_frame(transforms: TransformInput) -> None:
    enter(transforms, 10.0)
    with pytest.raises(TransformUnavailable, match="nowhere") as caught:
        transforms.tree.lookup("odom", "nowhere", 10 * SECOND_NS)
    assert caught.value.reason is Reason.UNKNOWN_FRAME


def test_backward_jump_clears_moving_transforms_only(transforms: TransformInput) -> None:
    mounting = tf_message(types, [("base_link", "camera", 0, np.eye(4))])
    transforms._on_transforms(mounting, static=True)
    for seconds in (100.0, 100.1, 10.0, 10.1, 10.2):
        enter(transforms, seconds)
    assert transforms.tree.restarts == 1
    np.testing.assert_allclose(look_up(transforms, 10.05), pose(10.05), atol=1e-9)
    assert transforms.tree.lookup("base_link", "camera", 10 * SECOND_NS).shape == (4, 4)
    with pytest.raises(TransformUnavailable):
        look_up(transforms, 100.05)


def test_waiting_ends_as_soon_as_the_transform_is_there(transforms: TransformInput) -> None:
    enter(transforms, 10.0)
    asked = threading.Event()
    found: list[Array] = []

    def find() -> Array:
        asked.set()
        return needed(transforms, 10.5)

    waiter = threading.Thread(target=lambda: found.append(transforms.wait_for(find, 30.0)))
    waiter.start()
    assert asked.wait(10.0)
    enter(transforms, 11.0)
    waiter.join(10.0)
    np.testing.assert_allclose(found[0], pose(10.5), atol=0.02)


def test_waiting_is_bounded(transforms: TransformInput) -> None:
    enter(transforms, 10.0)
    start = time.monotonic()
    with pytest.raises(SkippedSet):
        transforms.wait_for(lambda: needed(transforms, 10.5), 0.05)
    assert time.monotonic() - start >= 0.05


def test_what_cannot_heal_is_not_waited_for(transforms: TransformInput) -> None:
    for seconds in (10.0, 10.1):
        enter(transforms, seconds)
    calls: list[int] = []

    def find() -> Array:
        calls.append(1)
        return needed(transforms, 5.0)

    with pytest.raises(SkippedSet):
        transforms.wait_for(find, 30.0)
    assert len(calls) == 1
