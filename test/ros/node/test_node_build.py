"""A node that is only to build engines ends by itself; its exit code says if they are ready."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graph import Graph
from node_process import NodeProcess

from streampetr_ros.ros.node import node as node_module


def test_network_without_engines_is_configured_and_said_to_need_none(
    start_node: Callable[..., NodeProcess],
) -> None:
    node = start_node(**{"model.build_only": True, "autostart": False})
    assert node.wait() == 0, node.log
    lines = node.log.splitlines()
    assert sum("configured tiny" in line for line in lines) == 1
    assert "needs no engines; nothing was built" in lines[-1]


def test_failure_is_one_line_and_an_exit_code(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node(**{"model.build_only": True, "model.backend": "tensorrt_rtx"})
    assert node.wait() == 1, node.log
    (line,) = node.log.splitlines()
    assert "cannot configure: backend 'tensorrt_rtx' runs exported graphs" in line


def test_failure_that_nobody_foresaw_is_told_as_well(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert graph
    monkeypatch.setattr(node_module, "DetectionSession", lambda *_: {}["missing"])
    node = node_module.StreamPetrNode()
    try:
        assert not node.build()
    finally:
        node.destroy_node()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("cannot configure, by a mistake in this program: KeyError('missing')")


def test_interrupted_build_is_no_success() -> None:
    class Interrupted:
        def build(self) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="ended before everything was built"):
        node_module._build(Interrupted())


def test_interrupted_start_is_no_finished_build(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(node_module, "StreamPetrNode", interrupted)
    with pytest.raises(SystemExit, match="ended before the node had begun"):
        node_module._run()
