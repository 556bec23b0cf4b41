"""What the node publishes is what the pipeline computes without ROS."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from graph import NAMES, Graph
from node_process import DEFAULTS, NodeProcess
from rigs import frame_set

from streampetr_ros.backends.opening import open_backend
from streampetr_ros.core.types import Detections
from streampetr_ros.messages.vehicle import FrameNames, set_messages
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs.objects import detections_from

TOLERANCE = 1e-4


def offline(frame_sets: list) -> list[Detections]:
    torch.set_num_threads(1)
    backend = open_backend(str(DEFAULTS["model.weights"]), "tiny")
    policy = MemoryPolicyConfig(max_gap_s=5.0)
    pipeline = StreamingPipeline(backend, PipelineConfig(policy=policy, cameras=NAMES))
    try:
        return [pipeline.step(each).detections for each in frame_sets]
    finally:
        pipeline.close()


def assert_same(online: Detections, expected: Detections) -> None:
    assert len(online) == len(expected) > 0
    assert online.class_names == expected.class_names
    np.testing.assert_allclose(online.scores, expected.scores, atol=TOLERANCE)
    np.testing.assert_array_equal(online.labels, expected.labels)
    for name in ("centers", "sizes", "velocities"):
        np.testing.assert_allclose(
            getattr(online.boxes, name), getattr(expected.boxes, name), atol=TOLERANCE
        )
    turned = np.angle(np.exp(1j * (online.boxes.yaws - expected.boxes.yaws)))
    np.testing.assert_allclose(turned, 0.0, atol=TOLERANCE)


def test_online_equals_offline(graph: Graph, steady_node: NodeProcess) -> None:
    frame_sets = [frame_set(index) for index in range(5)]
    expected = offline(frame_sets)
    for index, each in enumerate(frame_sets):
        graph.send(set_messages(types, each, "raw", FrameNames()), mountings=index == 0)
        result = graph.result_of(each.stamp_ns)
        assert_same(detections_from(result), expected[index])
        assert result.header.frame_id == "base_link"
        assert result.frames_since_reset == index
        assert result.memory_age == pytest.approx(0.5 * index)
        assert result.reset_reason == ("first_frame" if index == 0 else "")
        assert tuple(result.camera_names) == NAMES
        assert result.cameras_used == result.cameras_expected == 6
        stages = dict(zip(result.latency_stages, result.latency_ms, strict=True))
        assert {"queue", "transforms", "images", "preprocess", "network", "total"} <= set(stages)
        assert stages["total"] >= stages["network"] > 0
