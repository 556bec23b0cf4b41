"""A drive through the node: one frame set after the other, some of them tampered with."""

from __future__ import annotations

from collections.abc import Callable

from graph import Graph
from node_process import NodeProcess
from rigs import frame_set
from streampetr_ros.msg import Object3DArray

from streampetr_ros.messages.vehicle import CameraMessages, FrameNames, SetMessages, set_messages
from streampetr_ros.ros.messages import types

Tamper = Callable[[CameraMessages], None]

#: The one camera that sends compressed images where a test says so.
PACKED = "CAM_BACK"

_FIRST_ATTEMPTS = 5


class Drive:
    """Sends consecutive frame sets.

    Args:
        graph: publishers and recorder.
        node: under test.
        packed: whether camera `PACKED` sends JPEG instead of raw images.
    """

    def __init__(self, graph: Graph, node: NodeProcess, *, packed: bool = False) -> None:
        self.graph = graph
        self.node = node
        self.index = -1
        self._packed = packed

    def messages(self, tamper: Tamper | None = None, camera: str = "CAM_FRONT") -> SetMessages:
        """Make the next frame set, one camera's messages changed."""
        self.index += 1
        each = frame_set(self.index)
        messages = set_messages(types, each, "raw", FrameNames())
        if self._packed:
            messages = with_packed_camera(messages, set_messages(types, each, "jpeg", FrameNames()))
        if tamper is not None:
            tamper(next(c for c in messages.cameras if c.camera == camera))
        return messages

    def good(self) -> Object3DArray:
        """Send a frame set nothing is wrong with; returns its result.

        A drive starts with as many sets as it takes: DDS may connect the two directions, and bring
        mountings and images, at different times.
        """
        for _ in range(_FIRST_ATTEMPTS if self.index < 0 else 0):
            messages = self.messages()
            self.graph.send(messages, mountings=True)
            if self.graph.is_answered(messages.stamp_ns, within=5.0):
                return self.graph.result_of(messages.stamp_ns)
        messages = self.messages()
        self.graph.send(messages)
        return self.graph.result_of(messages.stamp_ns)

    def connect(self) -> None:
        """Send frame sets until the node answers one, whichever cameras it had by then."""
        for _ in range(_FIRST_ATTEMPTS):
            self.graph.send(self.messages(), mountings=True)
            if self.graph.is_answered(None, within=5.0):
                return
        raise AssertionError(f"the node answers nothing:\n{self.node.log}")

    def bad(self, expected: str, tamper: Tamper, camera: str = "CAM_FRONT") -> str:
        """Send a tampered frame set and wait for what the node says; returns the line."""
        seen = len(self.node.log)
        self.graph.send(self.messages(tamper, camera))
        return self.node.wait_for_log(expected, seen)


def with_packed_camera(raw: SetMessages, packed: SetMessages) -> SetMessages:
    cameras = tuple(
        by_jpeg if by_jpeg.camera == PACKED else plain
        for plain, by_jpeg in zip(raw.cameras, packed.cameras, strict=True)
    )
    return SetMessages(
        stamp_ns=raw.stamp_ns, cameras=cameras, poses=raw.poses, mountings=raw.mountings
    )
