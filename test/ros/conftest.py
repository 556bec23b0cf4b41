"""Shared set-up of tests that talk over DDS: a domain of their own, the shipped transport."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Rigs, recordings and the folder of real data are shared with other tests.
sys.path += [str(ROOT / "test" / "unit"), str(ROOT / "test" / "data")]

# Never on the domain of a running vehicle, whatever the shell says.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fastdds_shm.xml")

# This folder holds tests of the launch file that need no messages; they must stay importable.
try:
    from graph import Graph
    from node_process import NodeProcess
except ImportError:
    collect_ignore_glob = ["test_node_*.py"]
else:

    @pytest.fixture(scope="session")
    def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
        """The other side of the node under test: cameras, TF, recorder, service clients."""
        os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
        with Graph() as opened:
            yield opened

    @pytest.fixture
    def start_node(graph: Graph, tmp_path: Path) -> Iterator[object]:
        """Start nodes that end with the test."""
        started: list[NodeProcess] = []

        def start(**parameters: object) -> NodeProcess:
            started.append(NodeProcess(tmp_path / f"node{len(started)}.log", parameters))
            return started[-1]

        yield start
        for process in started:
            process.stop()
        graph.forget_node()

    @pytest.fixture
    def node(graph: Graph, request: pytest.FixtureRequest) -> Iterator[object]:
        """The node in this process, unconfigured, with the module's PARAMETERS."""
        from rclpy.parameter import Parameter  # noqa: PLC0415

        # A mistake in it must fail here, not leave these tests out.
        from streampetr_ros.ros.node.node import StreamPetrNode  # noqa: PLC0415

        assert graph
        # One that a test before left behind would be asked instead, as it has the same name.
        gc.collect()
        made = StreamPetrNode()
        wanted = [Parameter(name, value=value) for name, value in request.module.PARAMETERS.items()]
        assert all(each.successful for each in made.set_parameters(wanted))
        yield made
        made.close()
        made.destroy_node()

    @pytest.fixture(scope="module")
    def steady_node(
        graph: Graph, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[NodeProcess]:
        """One active node for all tests of a module."""
        process = NodeProcess(tmp_path_factory.mktemp("node") / "node.log", {})
        graph.wait_for_active_node()
        yield process
        assert process.stop() == 0
        graph.forget_node()
