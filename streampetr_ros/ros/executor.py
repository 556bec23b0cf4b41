"""An executor for nodes that hear hundreds of messages per second.

For every message rclpy's own one lists twice all that it waits for. Most of that are events of QoS
policies, one or two per topic, which hardly ever happen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple, cast

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription

#: Events of QoS policies are looked for this often while messages stream in, seconds.
_EVENTS_S = 0.5


class _Ready(NamedTuple):
    """What a wait ended with.

    Attributes:
        subscriptions: that have messages.
        guards: that were triggered.
        others: whether something else is due.
    """

    subscriptions: list[Subscription]
    guards: list[GuardCondition]
    others: bool


class StreamExecutor(SingleThreadedExecutor):
    """Takes messages on a short way and leaves all else to rclpy.

    Once a message has come, it waits for messages, guard conditions, timers, services and clients
    only. As soon as one of the last three is due, and twice a second, rclpy's own way is taken,
    which is also the one that waits while no messages come. Callbacks of subscriptions and guard
    conditions must be plain functions.

    Args:
        context: of the nodes; None takes the default one.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._stream_until_s = 0.0

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for something and execute it."""
        left_s = self._stream_until_s - time.monotonic()
        if timeout_sec is None and left_s > 0.0:
            self._take_messages(left_s)
        else:
            super().spin_once(timeout_sec)

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        """Wait as rclpy does; a message is likely to be followed by others."""
        found: Any = super().wait_for_ready_callbacks(*args, **kwargs)
        if isinstance(found[1], Subscription):
            self._stream_until_s = time.monotonic() + _EVENTS_S
        return found

    def _take_messages(self, timeout_s: float) -> None:
        nodes = self.get_nodes()
        ready = self._wait(nodes, timeout_s)
        if not self._context.ok():
            raise ExternalShutdownException
        if ready.others:
            self._stream_until_s = 0.0
        for subscription in ready.subscriptions:
            serve(subscription)
        for guard in ready.guards:
            guard.callback()

    def _wait(self, nodes: list[Node], timeout_s: float) -> _Ready:
        subscriptions = [each for node in nodes for each in node.subscriptions]
        guards = [each for node in nodes for each in node.guards]
        timers = [each for node in nodes for each in node.timers]
        services = [each for node in nodes for each in node.services]
        clients = [each for node in nodes for each in node.clients]
        with ExitStack() as held:
            held.enter_context(cast("AbstractContextManager[None]", self._context.handle))
            wait_set = rclpy_implementation.WaitSet(
                len(subscriptions),
                len(guards) + 2,
                len(timers),
                len(clients),
                len(services),
                0,
                self._context.handle,
            )
            wait_set.clear_entities()
            # A signal, and changes of what there is to wait for, end the wait; neither is a reason
            # to look for events.
            for guard in (self._guard, self._sigint_gc):
                wait_set.add_guard_condition(guard.handle)
            for add, entities in (
                (wait_set.add_subscription, subscriptions),
                (wait_set.add_guard_condition, guards),
                (wait_set.add_timer, timers),
                (wait_set.add_client, clients),
                (wait_set.add_service, services),
            ):
                for handle in _held(entities, held):
                    add(handle)
            wait_set.wait(round(timeout_s * 1e9))
            others = [wait_set.get_ready_entities(kind) for kind in ("timer", "client", "service")]
            return _Ready(
                _among(wait_set.get_ready_entities("subscription"), subscriptions),
                _among(wait_set.get_ready_entities("guard_condition"), guards),
                any(others),
            )


def _among(pointers: list[int], entities: list[Any]) -> list[Any]:
    ready = set(pointers)
    return [each for each in entities if each.handle.pointer in ready]


def _held(entities: list[Any], held: ExitStack) -> Iterator[Any]:
    """Yield the handles that are still valid, which stay so while `held` is open."""
    for entity in entities:
        try:
            held.enter_context(entity.handle)
        except rclpy_implementation.InvalidHandle:
            continue
        yield entity.handle


def serve(subscription: Subscription) -> bool:
    """Hand a message that has come to the callback; belongs to the thread of the executor.

    Returns:
        Whether there was one; there is none where the subscription was destroyed meanwhile.
    """
    try:
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    except rclpy_implementation.InvalidHandle:
        return False
    if taken is not None:
        subscription.callback(taken[0])
    return taken is not None
