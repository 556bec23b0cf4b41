"""Exposure cycles that are not a set yet: images find their cycle by stamp, not by arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Generic, TypeVar

from streampetr_ros.ingest.sync.camera_stream import Arrival
from streampetr_ros.ingest.sync.rhythm import CycleTiming

T = TypeVar("T")


class Cycle(Generic[T]):
    """Images believed to be of one exposure cycle.

    Attributes:
        origin_ns: mean over the images of stamp minus the camera's offset.
        members: arrivals by camera index.
    """

    __slots__ = ("_starts", "members", "origin_ns")

    def __init__(self, start_ns: int, arrival: Arrival[T]) -> None:
        self._starts = {arrival.camera: start_ns}
        self.members = {arrival.camera: arrival}
        self.origin_ns = start_ns

    def distance(self, camera: int) -> int:
        """How far the camera's image is from the cycle's origin."""
        return abs(self._starts[camera] - self.origin_ns)

    def put(self, start_ns: int, arrival: Arrival[T]) -> None:
        """Add an image, in place of any the camera had here."""
        self._starts[arrival.camera] = start_ns
        self.members[arrival.camera] = arrival
        self._centre()

    def remove(self, camera: int) -> Arrival[T]:
        """Take the camera's image out."""
        del self._starts[camera]
        arrival = self.members.pop(camera)
        if self._starts:
            self._centre()
        return arrival

    def _centre(self) -> None:
        self.origin_ns = sum(self._starts.values()) // len(self._starts)


class OpenCycles(Generic[T]):
    """Cycles in ascending order of origin, with a bounded number of images per camera.

    Args:
        count: number of cameras.
        history: images kept per camera; the oldest gives way.
    """

    def __init__(self, count: int, history: int) -> None:
        self._history = history
        self._pending = [0] * count
        # Images of fast cameras between cycles; they join a cycle that others open.
        self._spare: list[deque[tuple[int, Arrival[T]]]] = [deque() for _ in range(count)]
        self.cycles: list[Cycle[T]] = []

    def __iter__(self) -> Iterator[Cycle[T]]:
        return iter(self.cycles)

    def pending(self, camera: int) -> int:
        """Images of this camera that wait."""
        return self._pending[camera] + len(self._spare[camera])

    def place(
        self, arrival: Arrival[T], timing: CycleTiming
    ) -> tuple[Cycle[T] | None, Arrival[T] | None]:
        """Put an image into the cycle its stamp belongs to, opening one if need be.

        Returns:
            The cycle the image is now in (None if it waits between cycles or is surplus), and an
            image that lost its place to a nearer one of the same camera.
        """
        start = arrival.image.stamp_ns - timing.offsets_ns[arrival.camera]
        cycle = self._find(start, timing.windows_ns[arrival.camera])
        if cycle is None and timing.fast[arrival.camera]:
            return None, self._spare_one(start, arrival)
        if cycle is None:
            return self._open(start, arrival, timing), None
        if arrival.camera not in cycle.members:
            self._pending[arrival.camera] += 1
        elif abs(start - cycle.origin_ns) >= cycle.distance(arrival.camera):
            return None, arrival
        loser = cycle.members.get(arrival.camera)
        cycle.put(start, arrival)
        return cycle, loser

    def _find(self, start_ns: int, window_ns: int) -> Cycle[T] | None:
        """Find the nearest cycle within the window."""
        best, best_distance = None, window_ns
        for cycle in reversed(self.cycles):
            distance = abs(start_ns - cycle.origin_ns)
            if distance <= best_distance:
                best, best_distance = cycle, distance
            elif cycle.origin_ns < start_ns:
                break
        return best

    def _open(self, start_ns: int, arrival: Arrival[T], timing: CycleTiming) -> Cycle[T]:
        cycle = Cycle(start_ns, arrival)
        self._pending[arrival.camera] += 1
        place = len(self.cycles)
        while place and self.cycles[place - 1].origin_ns > start_ns:
            place -= 1
        self.cycles.insert(place, cycle)
        for camera, spare in enumerate(self._spare):
            if spare:
                self._adopt(cycle, camera, timing.windows_ns[camera])
        return cycle

    def _adopt(self, cycle: Cycle[T], camera: int, window_ns: int) -> None:
        """Move the spare image nearest to the cycle into it."""
        spare = self._spare[camera]
        nearest = min(spare, key=lambda entry: abs(entry[0] - cycle.origin_ns))
        if camera not in cycle.members and abs(nearest[0] - cycle.origin_ns) <= window_ns:
            spare.remove(nearest)
            self._pending[camera] += 1
            cycle.put(*nearest)

    def _spare_one(self, start_ns: int, arrival: Arrival[T]) -> Arrival[T] | None:
        spare = self._spare[arrival.camera]
        spare.append((start_ns, arrival))
        return spare.popleft()[1] if len(spare) > self._history else None

    def trim(self, camera: int) -> Arrival[T] | None:
        """Take out the camera's oldest image if it has more than its share."""
        if self._pending[camera] <= self._history:
            return None
        cycle = next(cycle for cycle in self.cycles if camera in cycle.members)
        self._pending[camera] -= 1
        oldest = cycle.remove(camera)
        if not cycle.members:
            self.cycles.remove(cycle)
        return oldest

    def remove_beyond(self, camera: int, stamp_ns: int) -> int:
        """Take out the camera's images with later stamps; return how many there were."""
        spare = self._spare[camera]
        kept = [entry for entry in spare if entry[1].image.stamp_ns <= stamp_ns]
        count = len(spare) - len(kept)
        self._spare[camera] = deque(kept)
        for cycle in self.cycles:
            arrival = cycle.members.get(camera)
            if arrival is not None and arrival.image.stamp_ns > stamp_ns:
                cycle.remove(camera)
                self._pending[camera] -= 1
                count += 1
        self.cycles = [cycle for cycle in self.cycles if cycle.members]
        return count

    def clock_went_back(self, now_ns: int) -> None:
        """Pull arrival times that lie in the future of the caller's new clock to the present."""
        for cycle in self.cycles:
            for camera, arrival in cycle.members.items():
                earlier = min(arrival.arrival_ns, now_ns)
                cycle.members[camera] = replace(arrival, arrival_ns=earlier)

    def take_until(self, last: Cycle[T]) -> list[Cycle[T]]:
        """Take out all cycles up to and including `last`, oldest first."""
        count = self.cycles.index(last) + 1
        taken, self.cycles = self.cycles[:count], self.cycles[count:]
        for cycle in taken:
            for camera in cycle.members:
                self._pending[camera] -= 1
        return taken

    def take_all(self) -> list[Arrival[T]]:
        """Take out every image, ascending by stamp."""
        arrivals = [arrival for cycle in self.cycles for arrival in cycle.members.values()]
        arrivals += [arrival for spare in self._spare for _, arrival in spare]
        self.cycles = []
        self._pending = [0] * len(self._pending)
        for spare in self._spare:
            spare.clear()
        return sorted(arrivals, key=lambda arrival: arrival.image.stamp_ns)
