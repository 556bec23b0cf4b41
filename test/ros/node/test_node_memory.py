"""Nothing of a network is left when the node is unconfigured, before GPU memory is given back."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

import torch
from rclpy.lifecycle import TransitionCallbackReturn

from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.ros.node import session
from streampetr_ros.ros.node.node import StreamPetrNode
from streampetr_ros.ros.node.processing import SetProcessor
from streampetr_ros.ros.node.session import DetectionSession

PARAMETERS = {"model.name": "tiny", "model.weights": "random:0"}


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the watched network was still there, each time GPU memory was given back."""
    seen: list[bool] = []
    watched: list[weakref.ref] = []
    build = session.SetProcessor

    def watch(*parts: Any) -> SetProcessor:
        watched.extend(weakref.ref(p.backend) for p in parts if isinstance(p, StreamingPipeline))
        return build(*parts)

    monkeypatch.setattr(session, "SetProcessor", watch)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(watched[-1]() is not None))
    return seen


def test_cleanup_frees_the_network(node: StreamPetrNode, given_back: list[bool]) -> None:
    for count in (1, 2):
        for step in ("configure", "activate", "deactivate", "cleanup"):
            assert not given_back[count - 1 :]
            assert getattr(node, f"trigger_{step}")() == TransitionCallbackReturn.SUCCESS
        assert given_back == [False] * count


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ValueError, TransitionCallbackReturn.FAILURE),
        (KeyError, TransitionCallbackReturn.ERROR),
    ],
    ids=["foreseen", "unforeseen"],
)
def test_failed_configuration_frees_the_network(
    error: type[Exception],
    result: TransitionCallbackReturn,
    node: StreamPetrNode,
    given_back: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error("the last step of configuring fails")

    def topics() -> tuple[int, int, int]:
        kinds = (node.publishers, node.subscriptions, node.services)
        first, second, third = (len(list(kind)) for kind in kinds)
        return first, second, third

    monkeypatch.setattr(DetectionSession, "apply", fail)
    before = topics()
    assert node.trigger_configure() == result
    assert given_back == [False]
    assert topics() == before
