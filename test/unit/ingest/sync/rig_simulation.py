"""A rig of cameras that fires in cycles, loses images and delivers late: input for sync tests."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import StampedImage, SyncConfig, SyncedSet, SyncStatistics

MS = 1_000_000
SECOND = 1_000_000_000
EPOCH_NS = 1_700_000_000 * SECOND

#: Firing offsets inside a nuScenes cycle, milliseconds.
NUSCENES_MS = {
    "front_left": 0.0,
    "front": 7.6,
    "front_right": 15.5,
    "back_right": 23.0,
    "back": 32.7,
    "back_left": 42.6,
}


class Event(NamedTuple):
    """An image on its way: truth is the cycle it was really exposed in."""

    arrival_ns: int
    camera: str
    stamp_ns: int
    cycle: int
    fingerprint: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What the simulated cameras do; times in milliseconds."""

    offsets: Mapping[str, float] = field(default_factory=lambda: dict(NUSCENES_MS))
    hz: float = 12.0
    loss: float = 0.0
    latency: float = 20.0
    arrival_jitter: float = 15.0
    stamp_jitter: float = 0.0
    trigger_jitter: float = 0.0
    skew: Mapping[str, float] = field(default_factory=dict)
    extra_latency: Mapping[str, float] = field(default_factory=dict)

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.offsets)

    def events(
        self, cycles: int, seed: int = 0, start_ms: float = 0.0, arrival_ms: float | None = None
    ) -> list[Event]:
        """Simulate; stamps start at `start_ms` after the epoch, arrivals at `arrival_ms`."""
        rng = random.Random(seed)
        lead = 0.0 if arrival_ms is None else arrival_ms - start_ms
        events = []
        for cycle in range(cycles):
            trigger = start_ms + cycle * 1000 / self.hz + self._jitter(rng, self.trigger_jitter)
            for camera, offset in self.offsets.items():
                if rng.random() < self.loss:
                    continue
                exposed = trigger + offset
                stamp = exposed + self._jitter(rng, self.stamp_jitter) + self.skew.get(camera, 0)
                late = self.latency + self.extra_latency.get(camera, 0)
                arrival = exposed + lead + late + rng.uniform(0, self.arrival_jitter)
                events.append(Event(ns(arrival), camera, EPOCH_NS + ns(stamp), cycle))
        return sorted(events)

    @staticmethod
    def _jitter(rng: random.Random, width: float) -> float:
        return rng.uniform(-width, width)

    def config(self, min_cameras: int | None = None, given: bool = False) -> SyncConfig:
        offsets = {camera: ns(offset) for camera, offset in self.offsets.items()}
        return SyncConfig(
            cameras=self.cameras,
            min_cameras=min_cameras,
            offsets_ns=offsets if given else None,
        )


def ns(milliseconds: float) -> int:
    return round(milliseconds * MS)


def play(
    sync: FrameSetSynchroniser[int], events: Sequence[Event], until_ns: int | None = None
) -> list[SyncedSet[int]]:
    """Deliver events in order of arrival, polling whenever the synchroniser asks for it."""
    sets: list[SyncedSet[int]] = []
    for event in events:
        sets += poll_until(sync, event.arrival_ns)
        image = StampedImage(event.camera, event.stamp_ns, event.cycle, event.fingerprint)
        sets += sync.add(image, event.arrival_ns)
    end_ns = events[-1].arrival_ns + SECOND if until_ns is None else until_ns
    return sets + poll_until(sync, end_ns)


def poll_until(sync: FrameSetSynchroniser[int], until_ns: int) -> list[SyncedSet[int]]:
    sets: list[SyncedSet[int]] = []
    deadline = sync.next_deadline_ns
    while deadline is not None and deadline < until_ns:
        found = sync.poll(deadline)
        assert found, "a deadline that releases nothing would be polled for ever"
        sets += found
        deadline = sync.next_deadline_ns
    return sets


def possible_sets(events: Sequence[Event], min_cameras: int) -> int:
    """Cycles of which enough cameras came through: no rule can form more sets."""
    present: dict[int, set[str]] = {}
    for event in events:
        present.setdefault(event.cycle, set()).add(event.camera)
    return sum(len(cameras) >= min_cameras for cameras in present.values())


def mixed(sets: Sequence[SyncedSet[int]]) -> int:
    """Count sets that join images of different exposure cycles."""
    return sum(len({image.payload for image in found.images}) > 1 for found in sets)


def run(rig: Rig, events: list[Event], **config: object) -> tuple[list[SyncedSet], SyncStatistics]:
    sync = FrameSetSynchroniser(replace(rig.config(), **config))
    sets = play(sync, events)
    return sets, sync.statistics(events[-1].arrival_ns)


def check_order(sets: list[SyncedSet]) -> None:
    """Sets of one run come in order of their stamps and use every image once."""
    for before, after in pairwise(sets):
        assert after.stamp_ns > before.stamp_ns or after.restarted
    used = [id(image) for found in sets for image in found.images]
    assert len(used) == len(set(used))
    assert all(found.stamp_ns == max(i.stamp_ns for i in found.images) for found in sets)
