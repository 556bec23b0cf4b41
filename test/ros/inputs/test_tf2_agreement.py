"""The transform tree gives what tf2 gives, on random trees, where tf2_ros is installed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
tf2_ros = pytest.importorskip("tf2_ros", reason="needs tf2_ros")

from rclpy.duration import Duration
from rclpy.time import Time

from streampetr_ros.core import geometry
from streampetr_ros.ingest.messages import transform_from
from streampetr_ros.ingest.transforms.tree import TransformTree
from streampetr_ros.messages.standard import transform_message
from streampetr_ros.ros.messages import types

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
FRAMES = 8


def random_pose(rng: np.random.Generator) -> geometry.Array:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    return geometry.transform_from_parts(list(rng.uniform(-50.0, 50.0, 3)), rotation)


@pytest.mark.parametrize("seed", range(10))
def test_the_tree_agrees_with_tf2(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree, tf2 = TransformTree(), tf2_ros.Buffer(cache_time=Duration(seconds=10))
    for child in range(1, FRAMES):
        static = bool(rng.random() < 0.4)
        stamps = [0] if static else np.sort(rng.integers(0, 4 * SECOND_NS, 30)).tolist()
        edges = [0, *stamps, 4 * SECOND_NS] if not static else stamps
        parent = f"f{rng.integers(child)}"
        enter = tf2.set_transform_static if static else tf2.set_transform
        for stamp in edges:
            edge = (parent, f"f{child}", START_NS + stamp, random_pose(rng))
            message = transform_message(types, edge)
            tree.insert(*transform_from(message, static=static))
            enter(message, "test")
    for _ in range(50):
        target, source = (f"f{index}" for index in rng.choice(FRAMES, 2, replace=False))
        stamp_ns = START_NS + int(rng.integers(4 * SECOND_NS))
        found = tree.lookup(target, source, stamp_ns)
        known = transform_from(tf2.lookup_transform(target, source, Time(nanoseconds=stamp_ns)))
        expected = geometry.transform_from_quaternion(known.translation, known.quaternion_wxyz)
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-9)
