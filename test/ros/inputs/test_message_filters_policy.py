"""The policies of message_filters behind our interface, where that package is installed."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("message_filters", reason="needs message_filters")

from streampetr_ros.ingest.sync.types import DropReason, StampedImage, SyncConfig, SyncedSet
from streampetr_ros.parameters.inputs import SyncParameters
from streampetr_ros.ros.inputs.message_filters_sync import MessageFiltersSynchroniser

CAMERAS = ("left", "front", "right")
MS = 1_000_000


def make(policy: str) -> MessageFiltersSynchroniser[str]:
    return MessageFiltersSynchroniser(
        SyncConfig(cameras=CAMERAS), SyncParameters(policy=policy, slop_s=0.03)
    )


def cycle(sync: MessageFiltersSynchroniser[str], start_ms: int, step_ms: int) -> list[SyncedSet]:
    found = []
    for place, name in enumerate(CAMERAS):
        stamp_ns = (start_ms + place * step_ms) * MS
        found += sync.add(StampedImage(name, stamp_ns, f"{name} {start_ms}"), stamp_ns)
    return found


def test_exact() -> None:
    sync = make("exact")
    assert [found.stamp_ns for found in cycle(sync, 1000, 0)] == [1000 * MS]
    assert cycle(sync, 1100, 1) == []


def test_approximate_keeps_camera_order_and_payload() -> None:
    [found] = cycle(make("approximate"), 1000, 10)
    assert [image.camera for image in found.images] == list(CAMERAS)
    assert [image.payload for image in found.images] == ["left 1000", "front 1000", "right 1000"]
    assert found.stamp_ns == 1020 * MS
    assert not found.missing


def test_zero_and_repeated_stamps_are_dropped_and_counted() -> None:
    sync = make("approximate")
    assert sync.add(StampedImage("left", 0, "x"), 0) == []
    cycle(sync, 1000, 10)
    sync.add(StampedImage("right", 1020 * MS, "again"), 0)
    statistics = sync.statistics(0)
    assert statistics.complete == 1
    assert statistics.dropped == {DropReason.ZERO_STAMP: 1, DropReason.DUPLICATE: 1}
    assert [camera.received for camera in statistics.cameras] == [2, 1, 2]


def test_loop_of_a_recording_starts_afresh() -> None:
    sync = make("approximate")
    for start in range(100_000, 101_000, 100):
        assert len(cycle(sync, start, 10)) == 1
    sync.add(StampedImage("left", 101_000 * MS, "unmatched"), 0)
    first, *rest = [found for start in range(1000, 2000, 100) for found in cycle(sync, start, 10)]
    assert first.restarted == "stamps jumped back"
    assert len(rest) == 9
    assert not any(found.restarted for found in rest)
    assert sync.statistics(0).restarts == 1
