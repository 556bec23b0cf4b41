"""The stage of the benchmark that needs ROS, and why it is missing where there is none."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from streampetr_ros.core.types import Detections


@dataclass(slots=True)
class Publishing:
    """Whether and how results are published.

    Attributes:
        publish: makes and publishes the message of boxes in the base frame; None if it cannot be.
        summary: how it was done, or why not; complete when publishing has ended.
    """

    publish: Callable[[Detections], None] | None
    summary: str


@contextmanager
def open_publishing(model: str, cameras: Sequence[str], wanted: bool) -> Iterator[Publishing]:
    """Publish over ROS to a process of its own until the block ends, where ROS is there.

    Args:
        model: name of the model.
        cameras: names of the cameras that every set is of.
        wanted: False publishes nothing.
    """
    if not wanted:
        yield Publishing(None, "not measured, as asked for")
        return
    try:
        probing = importlib.import_module("streampetr_ros.ros.listen.publish_probe")
    except ImportError as error:
        yield Publishing(None, f"not measured, {_absence(error)}")
        return
    with ExitStack() as stack:
        try:
            probe = stack.enter_context(probing.open_probe(model, cameras))
        except (RuntimeError, TimeoutError) as error:
            yield Publishing(None, f"not measured, {error}")
            return
        publishing = Publishing(probe.publish, "")
        yield publishing
    publishing.summary = (
        f"{probe.kind} over {probe.middleware} to another process, which took {probe.received}"
    )


def _absence(error: ImportError) -> str:
    if error.name is None:
        return f"ROS 2 does not load: {error}"
    return f"Python finds no '{error.name}'; source the set-up file of the ROS installation"
