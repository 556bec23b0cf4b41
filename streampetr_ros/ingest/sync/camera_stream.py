"""Memory of one camera's stream: recent stamps, lags, counters, and who repeats itself."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import Generic, TypeVar

from streampetr_ros.ingest.sync.types import DropReason, StampedImage

T = TypeVar("T")

#: Stamps remembered per camera: enough for a median, few enough to follow a changing rig.
MEMORY = 9

#: Stamps within this time, or within some periods, are of one time.
TOGETHER_FLOOR_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Arrival(Generic[T]):
    """An image with the time it was handed in."""

    image: StampedImage[T]
    camera: int
    arrival_ns: int


class CameraStream(Generic[T]):
    """State of one camera.

    Attributes:
        stamps: the newest `MEMORY` believed stamps, ascending.
        newest_ns: largest believed stamp since the last restart.
        last_arrival_ns: when the last believed image arrived.
        last_seen_ns: when the last image arrived, believed or not.
        held: images whose stamps are not believed yet.
        unbelieved_ns: by how much the last unbelieved stamp was off, 0 when all is well.
        repeats: how often in a row the present picture came again.
        repeated: images so far that showed the picture of the one before.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = 0
        self.used = 0
        self.reordered = 0
        self.dropped: Counter[DropReason] = Counter()
        self.last_arrival_ns: int | None = None
        self.last_seen_ns: int | None = None
        self.zero_stamps = 0
        self._fingerprint: Hashable | None = None
        self.repeats = 0
        self.repeated = 0
        self.forget()

    def forget(self) -> None:
        """Drop everything tied to absolute time; counters stay."""
        self.stamps: list[int] = []
        self.lags: deque[int] = deque(maxlen=MEMORY)
        self.arrivals: deque[int] = deque(maxlen=MEMORY)
        self.newest_ns: int | None = None
        self.held: list[Arrival[T]] = []
        self.unbelieved_ns = 0

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count images that will not be used."""
        if count:
            self.dropped[reason] += count

    def hold(self, arrival: Arrival[T], limit: int) -> None:
        """Keep an image whose stamp is not believed yet; the oldest gives way."""
        self.held.append(arrival)
        if len(self.held) > limit:
            del self.held[0]
            self.drop(DropReason.IMPLAUSIBLE_STAMP)

    def drop_held(self) -> None:
        """Give up on stamps that nothing confirmed; not so old ones were merely late."""
        newest_ns = self.newest_ns or 0
        for arrival in self.held:
            late = newest_ns - TOGETHER_FLOOR_NS <= arrival.image.stamp_ns < newest_ns
            self.reordered += late
            self.drop(DropReason.LATE if late else DropReason.IMPLAUSIBLE_STAMP)
        self.held = []

    def repeats_picture(self, fingerprint: Hashable | None) -> int:
        """Count how often in a row the same picture came; 0 for a new or unknown one."""
        same = fingerprint is not None and fingerprint == self._fingerprint
        self.repeats = self.repeats + 1 if same else 0
        self.repeated += same
        self._fingerprint = fingerprint
        return self.repeats

    def believe(self, stamp_ns: int, arrival_ns: int) -> None:
        """Enter a believed stamp into the recent memory."""
        if self.newest_ns is not None and stamp_ns < self.newest_ns:
            self.reordered += 1
        self.newest_ns = stamp_ns if self.newest_ns is None else max(self.newest_ns, stamp_ns)
        self.last_arrival_ns = arrival_ns
        self.unbelieved_ns = 0
        insort(self.stamps, stamp_ns)
        if len(self.stamps) > MEMORY:
            del self.stamps[0]
        self.lags.append(arrival_ns - stamp_ns)
        self.arrivals.append(arrival_ns)

    def disown(self, beyond_ns: int) -> None:
        """Take back the belief in stamps that lie beyond this one."""
        self.stamps = self.stamps[: bisect_right(self.stamps, beyond_ns)]
        self.newest_ns = self.stamps[-1] if self.stamps else None
        self.lags.clear()
        self.arrivals.clear()

    def lag_ns(self) -> int | None:
        """Median of arrival minus stamp, None before the first image."""
        return median_low(self.lags) if self.lags else None

    def clock_went_back(self, now_ns: int) -> None:
        """Forget arrival times that lie in the future of the caller's new clock."""
        self.lags.clear()
        self.arrivals.clear()
        if self.last_arrival_ns is not None:
            self.last_arrival_ns = min(self.last_arrival_ns, now_ns)
        if self.last_seen_ns is not None:
            self.last_seen_ns = min(self.last_seen_ns, now_ns)

    def pace(self) -> float | None:
        """Arrival time that passes per stamp time: 1 live, 10 for a replay at a tenth."""
        if len(self.arrivals) < 2:
            return None
        arrived = sorted(b - a for a, b in pairwise(self.arrivals))
        taken = sorted(b - a for a, b in pairwise(self.stamps))
        # Medians, so that a pause counts once and not for as long as it is remembered.
        return arrived[len(arrived) // 2] / taken[len(taken) // 2]

    def rate_hz(self) -> float:
        """Rate of the remembered images by stamp, lost ones not counted; 0 when unknown."""
        if len(self.stamps) < 2:
            return 0.0
        return (len(self.stamps) - 1) * 1e9 / (self.stamps[-1] - self.stamps[0])
