"""A recording played by the publisher process through the node gives what it gives offline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from graph import NODE, Graph
from node_process import NodeProcess
from recordings import write_recording
from rigs import driving_pose, frame_set
from test_node_results import assert_same, offline

from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.ros.outputs.objects import detections_from
from streampetr_ros.sources import open_source

FRAMES = 4


def test_recording_online_equals_offline(
    graph: Graph, start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    recording = tmp_path / "recording"
    for index in range(FRAMES):
        pose = driving_pose(index * 0.5 + 0.001)
        write_recording(recording / f"{index:03d}", frame_set(index), pose)
    node = start_node(
        **{
            "cameras.transports": ["auto"],
            "cameras.reliability": "best_effort",
            "sync.period_s": 0.0,
            "sync.offsets_s": [-1.0],
            "frames.model": "lidar_top",
        }
    )
    # The publisher waits for the node itself; the recorder must be there as well.
    graph.wait_for(lambda: graph.node.count_publishers(f"{NODE}/detections"), "the node")
    command = [sys.executable, "-m", "streampetr_ros.ros.play.replay_publisher", str(recording)]
    command += ["--encoding", "png", "--results", f"{NODE}/detections"]
    publisher = subprocess.Popen(command)
    graph.wait_for(lambda: publisher.poll() is not None, "the end of the recording", 90.0)
    assert publisher.returncode == 0
    frame_sets = list(open_source(recording))
    expected = offline(frame_sets)
    graph.wait_for(lambda: len(graph.results) == FRAMES, "all results")
    for result, wanted, each in zip(graph.results, expected, frame_sets, strict=True):
        assert stamp_ns_from(result.header.stamp) == each.stamp_ns
        assert_same(detections_from(result), wanted)
    assert "unusable" not in node.log
