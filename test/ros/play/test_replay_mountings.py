"""Playback follows a rig that changes within its source."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from graph import NAMES, Graph
from rigs import frame_set, without
from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from streampetr_ros.core.types import FrameSet
from streampetr_ros.messages.vehicle import FrameNames, set_messages
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.play import replay_publisher
from streampetr_ros.ros.play.read_ahead import ReadAhead
from streampetr_ros.ros.play.replay_publisher import Playback, ReplayPublisher

LATE = NAMES[-1]


def higher(original: FrameSet, metres: float) -> FrameSet:
    """Another vehicle, whose first camera sits higher."""
    first, *rest = original.cameras
    mounting = first.calibration.base_from_camera.copy()
    mounting[2, 3] += metres
    moved = replace(first.calibration, base_from_camera=mounting)
    return replace(original, cameras=(replace(first, calibration=moved), *rest))


def test_mountings_that_change_or_come_later_are_published(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replay_publisher, "_TAIL_S", 0.3)
    sets = [frame_set(i, size=(16, 8)) for i in range(6)]
    drive = [without(sets[0], LATE), *sets[1:3], *(higher(each, 1.0) for each in sets[3:])]
    messages = [set_messages(types, each, "jpeg", FrameNames()) for each in drive]
    static: list[TFMessage] = []
    images: list[CompressedImage] = []
    listener = graph.node.create_subscription(
        CompressedImage,
        f"{LATE}/image_raw/compressed",
        images.append,
        qos.images("best_effort", 5),
    )
    publisher = ReplayPublisher(NAMES[:-1], Playback())
    # A subscriber would hear what other tests have left on the topic.
    monkeypatch.setattr(publisher, "_tf_static", SimpleNamespace(publish=static.append))
    thread = threading.Thread(target=publisher.play, args=(ReadAhead(messages, 1.0),))
    try:
        thread.start()
        graph.wait_for(lambda: not thread.is_alive(), "the end of the playback")
    finally:
        thread.join()
        publisher.destroy_node()
        graph.node.destroy_subscription(listener)
    frames = [{each.child_frame_id: each.transform for each in one.transforms} for one in static]
    first, last = f"{NAMES[0]}_optical_frame", f"{LATE}_optical_frame"
    assert [last in one for one in frames] == [False, True, True]
    heights = [one[first].translation.z for one in frames]
    np.testing.assert_allclose(np.subtract(heights, heights[0]), [0.0, 0.0, 1.0], atol=1e-9)
    assert images, "a camera that comes later is published"
    assert capfd.readouterr().err.count(f"the mounting of '{first}' changes") == 1
