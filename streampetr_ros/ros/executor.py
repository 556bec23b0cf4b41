"""An executor for nodes that hear hundreds of messages per second.

For every message rclpy's own one lists twice all that it waits for. Most of that are events of QoS
policies, one or two per topic, which hardly ever happen.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any, cast

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.subscription import Subscription

#: Events of QoS policies are looked for this often while messages stream in, seconds.
_EVENTS_S = 0.5


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
        """Serve subscriptions and guard conditions; see that rclpy serves all else that is due."""
        nodes = self.get_nodes()
        kinds: dict[str, list[Any]] = {
            "subscription": [each for node in nodes for each in node.subscriptions],
            "guard_condition": [each for node in nodes for each in node.guards],
            "timer": [each for node in nodes for each in node.timers],
            "client": [each for node in nodes for each in node.clients],
            "service": [each for node in nodes for each in node.services],
        }
        with ExitStack() as held:
            held.enter_context(cast("AbstractContextManager[None]", self._context.handle))
            wait_set = rclpy_implementation.WaitSet(
                len(kinds["subscription"]),
                len(kinds["guard_condition"]) + 2,
                *(len(kinds[kind]) for kind in ("timer", "client", "service")),
                0,
                self._context.handle,
            )
            wait_set.clear_entities()
            # A signal, and changes of what there is to wait for, end the wait; neither is a reason
            # to look for events.
            for guard in (self._guard, self._sigint_gc):
                wait_set.add_guard_condition(guard.handle)
            for kind, entities in kinds.items():
                add = getattr(wait_set, f"add_{kind}")
                for entity in entities:
                    # What is no longer valid is left out; the rest stays so while it is held.
                    with suppress(rclpy_implementation.InvalidHandle):
                        held.enter_context(entity.handle)
                        add(entity.handle)
            wait_set.wait(round(timeout_s * 1e9))
            pointers = {kind: set(wait_set.get_ready_entities(kind)) for kind in kinds}
            messages, guards = (
                [each for each in kinds[kind] if each.handle.pointer in pointers[kind]]
                for kind in ("subscription", "guard_condition")
            )
        if not self._context.ok():
            raise ExternalShutdownException
        if pointers["timer"] or pointers["client"] or pointers["service"]:
            self._stream_until_s = 0.0
        for subscription in messages:
            serve(subscription)
        for guard in guards:
            guard.callback()


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
