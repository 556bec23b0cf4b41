"""A GPU that fails in the first run, while configuring: the node runs on the CPU where allowed."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from streampetr_ros.backends.base import Backend, BackendError
from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.ros.node import backend as node_backend
from streampetr_ros.ros.node.node import StreamPetrNode

PARAMETERS = {"model.name": "tiny", "model.weights": "stand_in:0", "model.device": "cuda:1"}


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Devices that were opened, of which GPUs fail in every run."""
    seen: list[str] = []

    def fail(*_: object) -> None:
        raise BackendError("cuda:1 cannot run tiny (no kernel image is available)")

    def opened(weights: str, model: str, choice: Choice, progress: object) -> Backend:
        seen.append(choice.device)
        backend = open_backend(weights, model)
        if choice.device != "cpu":
            monkeypatch.setattr(backend, "run", fail)
        return backend

    monkeypatch.setattr(node_backend, "open_backend", opened)
    return seen


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[StreamingPipeline]:
    """Pipelines that were closed."""
    seen: list[StreamingPipeline] = []
    close = StreamingPipeline.close

    def watch(pipeline: StreamingPipeline) -> None:
        seen.append(pipeline)
        close(pipeline)

    monkeypatch.setattr(StreamingPipeline, "close", watch)
    return seen


def test_falls_back_where_allowed(
    node: StreamPetrNode, devices: list[str], closed: list[StreamingPipeline]
) -> None:
    node.set_parameters([Parameter("model.fall_back_to_cpu", value=True)])
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert devices == ["cuda:1", "cpu"]
    session = node._session
    assert session is not None
    assert session.pipeline.backend is session.backend
    assert len(closed) == 1
    assert closed[0] is not session.pipeline


def test_fails_otherwise(
    node: StreamPetrNode, devices: list[str], closed: list[StreamingPipeline]
) -> None:
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert devices == ["cuda:1"]
    assert len(closed) == 1
