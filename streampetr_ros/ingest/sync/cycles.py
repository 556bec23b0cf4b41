"""Exposure cycles that are not a set yet: images find their cycle by stamp, not by arrival."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Generic, TypeVar

from streampetr_ros.ingest.sync.camera_stream import Arrival
from streampetr_ros.ingest.sync.rhythm import CycleTiming

T = TypeVar("T")


class Cycle(Generic[T]):
    """Images believed to be of one exposure cycle.

    Attributes:
        starts: stamp minus the camera's offset, by camera index.
        members: arrivals by camera index.
        origin_ns: mean of the starts.
    """

    __slots__ = ("members", "origin_ns", "starts")

    def __init__(self, start_ns: int, arrival: Arrival[T]) -> None:
        self.starts = {arrival.camera: start_ns}
        self.members = {arrival.camera: arrival}
        self.origin_ns = start_ns

    def put(self, start_ns: int, arrival: Arrival[T]) -> None:
        """Add an image, in place of any the camera had here."""
        self.starts[arrival.camera] = start_ns
        self.members[arrival.camera] = arrival
        self.origin_ns = sum(self.starts.values()) // len(self.starts)

    def remove(self, camera: int) -> Arrival[T]:
        """Take the camera's image out."""
        del self.starts[camera]
        if self.starts:
            self.origin_ns = sum(self.starts.values()) // len(self.starts)
        return self.members.pop(camera)


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
        camera = arrival.camera
        start = arrival.image.stamp_ns - timing.offsets_ns[camera]
        nearest, best_distance = None, timing.windows_ns[camera]
        for cycle in reversed(self.cycles):
            distance = abs(start - cycle.origin_ns)
            if distance <= best_distance:
                nearest, best_distance = cycle, distance
            elif cycle.origin_ns < start:
                break
        if nearest is None and timing.fast[camera]:
            spare = self._spare[camera]
            spare.append((start, arrival))
            return None, spare.popleft()[1] if len(spare) > self._history else None
        if nearest is None:
            return self._open(start, arrival, timing), None
        if camera not in nearest.members:
            self._pending[camera] += 1
        elif best_distance >= abs(nearest.starts[camera] - nearest.origin_ns):
            return None, arrival
        loser = nearest.members.get(camera)
        nearest.put(start, arrival)
        return nearest, loser

    def _open(self, start_ns: int, arrival: Arrival[T], timing: CycleTiming) -> Cycle[T]:
        cycle = Cycle(start_ns, arrival)
        self._pending[arrival.camera] += 1
        place = len(self.cycles)
        while place and self.cycles[place - 1].origin_ns > start_ns:
            place -= 1
        self.cycles.insert(place, cycle)
        for camera, spare in enumerate(self._spare):
            if not spare or camera in cycle.members:
                continue
            # The spare image nearest to the cycle moves into it.
            distance, nearest = min((abs(s - cycle.origin_ns), i) for i, (s, _) in enumerate(spare))
            if distance <= timing.windows_ns[camera]:
                self._pending[camera] += 1
                cycle.put(*spare[nearest])
                del spare[nearest]
        return cycle

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
