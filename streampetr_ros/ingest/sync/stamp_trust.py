"""Tell a restarted stream (bag loop, clock step) from a camera that merely sends odd stamps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low
from typing import Generic, TypeVar

from streampetr_ros.ingest.sync.camera_stream import TOGETHER_FLOOR_NS, Arrival, CameraStream
from streampetr_ros.ingest.sync.rhythm import RigTiming

T = TypeVar("T")

#: A camera is silent after this many of its periods, and never before `SILENCE_FLOOR_NS`.
SILENT_PERIODS = 3.5
SILENCE_FLOOR_NS = 250_000_000

#: A step back by more than this many periods is no reordering.
BACK_PERIODS = 1.5
#: The same while the period is unknown.
BACK_UNKNOWN_NS = 250_000_000

#: Unbelieved stamps support each other within this many periods, and within `TOGETHER_FLOOR_NS`.
TOGETHER_PERIODS = 8

#: A stamp of one camera that jumps this many periods ahead needs a second one to be believed.
AHEAD_PERIODS = 2.5


class EpochGuard(Generic[T]):
    """Believes a stamp that continues its own stream and is not far ahead of the other cameras.

    Images with other stamps are held. When most of the cameras that are alive hold images of one
    new time, that time is the truth: everything restarted, or went ahead. A single camera never
    convinces the guard while others contradict it.

    Args:
        streams: all cameras.
        timing: rhythm of the rig.
        max_jump_ns: how far ahead a stamp may be.
    """

    def __init__(
        self, streams: Sequence[CameraStream[T]], timing: RigTiming, max_jump_ns: int
    ) -> None:
        self._streams = streams
        self._timing = timing
        self._max_jump_ns = max_jump_ns
        self.pace = 1.0

    def silence_ns(self, camera: int) -> int:
        """Arrival time after which the camera counts as silent."""
        own = self._timing.periods_ns[camera] or 0
        period = max(own, self._timing.now.period_ns)
        return round(self.pace * max(SILENT_PERIODS * period, SILENCE_FLOOR_NS))

    def alive(self, camera: int, now_ns: int) -> bool:
        """Whether anything, believed or not, came from the camera lately."""
        seen = self._streams[camera].last_seen_ns
        return seen is not None and now_ns - seen <= self.silence_ns(camera)

    def believes(self, arrival: Arrival[T]) -> bool:
        """Judge the stamp of an image, remembering by how much an unbelieved one is off."""
        stream = self._streams[arrival.camera]
        stamp, own = arrival.image.stamp_ns, stream.newest_ns
        jump = self._jump_ns()
        if own is not None and own - self._back_ns() <= stamp <= own + jump:
            stream.unbelieved_ns = self._ahead_alone_ns(arrival, own)
            return not stream.unbelieved_ns
        reference = self._reference(arrival.arrival_ns)
        if reference is None:
            return True
        earliest = reference - jump if own is None else own - self._back_ns()
        if earliest <= stamp <= reference + jump:
            stream.unbelieved_ns = 0 if own is None else self._ahead_alone_ns(arrival, own)
            return not stream.unbelieved_ns
        stream.unbelieved_ns = stamp - (own if own is not None and stamp < own else reference)
        return False

    def stray_from_ns(self, arrival: Arrival[T]) -> int | None:
        """Stamp beyond which its camera was wrongly believed, as this image shows; else None.

        That is so where the camera's newest stamp is off and this one is back among the others.
        """
        stamp, own = arrival.image.stamp_ns, self._streams[arrival.camera].newest_ns
        if own is None or stamp >= own - self._back_ns():
            return None
        others = self._others_ns(arrival)
        if others is None or 2 * abs(stamp - others) >= own - others:
            return None
        return max(stamp, others)

    def restarted(self, latest: Arrival[T]) -> list[Arrival[T]]:
        """Return the images of a new time that most live cameras agree on, else nothing."""
        reach = self._reach_ns()
        images = [
            arrival
            for stream in self._streams
            for arrival in stream.held
            if abs(arrival.image.stamp_ns - latest.image.stamp_ns) <= reach
        ]
        agreeing = len({arrival.camera for arrival in images})
        living = sum(self.alive(i, latest.arrival_ns) for i in range(len(self._streams)))
        if len(images) < 2 or agreeing <= living // 2:
            return []
        return sorted(images, key=lambda arrival: arrival.arrival_ns)

    def went_ahead(self, agreed: Sequence[Arrival[T]]) -> bool:
        """Whether images most cameras agree on merely follow a gap, which is no restart."""
        jump = self._jump_ns()
        newest = [
            (arrival.image.stamp_ns, self._streams[arrival.camera].newest_ns) for arrival in agreed
        ]
        return all(own is not None and own < stamp <= own + jump for stamp, own in newest)

    def _ahead_alone_ns(self, arrival: Arrival[T], own_ns: int) -> int:
        """By how much a stamp leads the other cameras, 0 unless it jumped there by itself.

        It did if its own stream went ahead by more than the time that passed meanwhile.
        """
        stream, stamp = self._streams[arrival.camera], arrival.image.stamp_ns
        timing, limit = self._timing.now, self._reach_ns()
        if timing.known and not stream.held:
            limit = min(limit, round(AHEAD_PERIODS * timing.period_ns))
        if stamp - own_ns <= limit:
            return 0
        passed = arrival.arrival_ns - (stream.last_arrival_ns or 0)
        others = self._others_ns(arrival)
        if others is None or stamp - own_ns - passed / self.pace <= limit:
            return 0
        return stamp - others if stamp - others > limit else 0

    def _jump_ns(self) -> int:
        return max(self._max_jump_ns, 20 * self._timing.now.period_ns)

    def _reach_ns(self) -> int:
        return max(TOGETHER_FLOOR_NS, TOGETHER_PERIODS * self._timing.now.period_ns)

    def _back_ns(self) -> float:
        timing = self._timing.now
        return BACK_PERIODS * timing.period_ns if timing.known else BACK_UNKNOWN_NS

    def _others_ns(self, arrival: Arrival[T]) -> int | None:
        """Median of the newest stamps of the other cameras alive, None without any."""
        newest = [
            stream.newest_ns
            for i, stream in enumerate(self._streams)
            if i != arrival.camera
            and stream.newest_ns is not None
            and self.alive(i, arrival.arrival_ns)
        ]
        return median_low(newest) if newest else None

    def _reference(self, now_ns: int) -> int | None:
        """Median of the newest stamps of the cameras alive, of all if none is."""
        known = [(i, s.newest_ns) for i, s in enumerate(self._streams) if s.newest_ns is not None]
        living = [newest for i, newest in known if self.alive(i, now_ns)]
        newest = living or [newest for _, newest in known]
        return median_low(newest) if newest else None
