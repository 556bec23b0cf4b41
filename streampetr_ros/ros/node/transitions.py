"""Keeps a node alive when it is asked for a transition its state does not allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode

from streampetr_ros.core.errors import first_line

Answer = Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer impossible requests with success = False.

    rclpy lets the error of such a request escape from the service callback, which ends the
    executor, and with it the node.
    """
    service: Any = getattr(node, "_service_change_state", None)
    if service is not None:
        service.callback = _guarded(node, service.callback)


def _guarded(node: LifecycleNode, answer: Answer) -> Answer:
    def guarded(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        try:
            return answer(request, response)
        except rclpy_implementation.RCLError as error:
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f"transition '{wanted}' refused: {first_line(error)}")
            response.success = False
            return response

    return guarded
