"""The node ends with code 0 in the middle of its work, also when nothing can be logged."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from drive import Drive
from fault_rows import write_row
from graph import Graph
from node_process import NodeProcess


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without room."""
    place = tmp_path / "full"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a full disk needs the right to mount")
    (place / "filling").write_bytes(b"0" * 4096)
    yield place
    subprocess.run(["umount", place], check=True)


def ended_in_mid_frame(graph: Graph, folder: Path) -> NodeProcess:
    """Start a node with a slow network, see it detect and end it while it works."""
    node = NodeProcess(folder / "node.log", {"model.weights": "stand_in:1500"})
    try:
        graph.wait_for_active_node()
        drive = Drive(graph, node)
        drive.connect()
        graph.send(drive.messages())
        exit_code = node.stop(signal.SIGTERM)
    finally:
        node.stop(signal.SIGKILL)
        graph.forget_node()
    assert exit_code == 0, node.log
    assert "Traceback" not in node.log
    return node


def test_sigterm_in_mid_frame_with_a_full_log_disk(
    graph: Graph, tmp_path: Path, full_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", str(full_disk))
    node = ended_in_mid_frame(graph, tmp_path)
    write_row(
        "SIGTERM in mid-frame, disk of the logs full",
        "detects although nothing can be logged to files, then ends with code 0",
        f"detected, ended with code 0, {len(node.log.splitlines())} lines on the console",
    )
