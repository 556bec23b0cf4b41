"""Group the images of several cameras into frame sets, by stamp.

An image belongs to the exposure cycle nearest to its stamp minus its camera's firing offset; offset
and cycle time are learned from the stamps unless given. Neighbouring cycles never mix because the
match window is below half a period. A set leaves when its cycle is complete, or, if fewer cameras
are allowed, when the missing ones are overdue. There is no clock inside: arrival times are given by
the caller, from any clock that runs like the stamps.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median, median_low
from typing import Generic, TypeVar

from streampetr_ros.ingest.sync import report as sync_report
from streampetr_ros.ingest.sync.camera_stream import Arrival, CameraStream
from streampetr_ros.ingest.sync.cycles import Cycle, OpenCycles
from streampetr_ros.ingest.sync.rhythm import RigTiming
from streampetr_ros.ingest.sync.stamp_trust import EpochGuard
from streampetr_ros.ingest.sync.types import (
    CameraStatistics,
    DropReason,
    StampedImage,
    SyncConfig,
    SyncedSet,
    SyncStatistics,
)

T = TypeVar("T")

#: Half a period is waited for an overdue camera, but no longer than this.
LONGEST_WAIT_NS = 200_000_000

#: A source that sent one image per camera and then nothing for this long has a single frame.
SINGLE_SHOT_NS = 1_000_000_000


class FrameSetSynchroniser(Generic[T]):
    """Turns stamped images of several cameras into sets of one exposure cycle each.

    Work per image grows with the number of cameras only; memory is bounded by `SyncConfig.history`
    images per camera. Not thread-safe.

    Example:
        >>> sync = FrameSetSynchroniser(SyncConfig(cameras=("left", "right")))
        >>> sync.add(StampedImage("left", 1_000_000_000, "L"), now_ns=0)
        []
        >>> [found] = sync.add(StampedImage("right", 1_000_000_000, "R"), now_ns=0)
        >>> [image.payload for image in found.images]
        ['L', 'R']
    """

    def __init__(self, config: SyncConfig) -> None:
        self.config = config
        self._fewest = config.min_cameras or len(config.cameras)
        offsets = config.offsets_ns
        self._index = {name: i for i, name in enumerate(config.cameras)}
        self._streams: list[CameraStream[T]] = [CameraStream(name) for name in config.cameras]
        self._timing = RigTiming(
            len(config.cameras),
            config.period_ns,
            None if offsets is None else [offsets[name] for name in config.cameras],
            config.window_ns,
        )
        self._guard = EpochGuard(self._streams, self._timing, config.max_jump_ns)
        self._cycles: OpenCycles[T] = OpenCycles(len(config.cameras), config.history)
        self._complete = self._degraded = self._restarts = 0
        self._last_restart = ""
        self._restarted: str | None = None
        self._now_ns: int | None = None
        self._last_set_now_ns: int | None = None
        self._forget()

    def add(self, image: StampedImage[T], now_ns: int) -> list[SyncedSet[T]]:
        """Take in an image; return the sets that can leave, oldest first.

        Args:
            image: of one of the configured cameras.
            now_ns: time of arrival.

        Raises:
            ValueError: for a camera that is not configured.
        """
        if image.camera not in self._index:
            raise ValueError(
                f"camera '{image.camera}' is not one of {list(self._index)}; "
                f"add it to the synchroniser's cameras"
            )
        self._advance(now_ns)
        arrival = Arrival(image, self._index[image.camera], now_ns)
        stream = self._streams[arrival.camera]
        stream.received += 1
        stream.last_seen_ns = now_ns
        if image.stamp_ns <= 0:
            stream.zero_stamps += 1
            stream.drop(DropReason.ZERO_STAMP)
            return self._release(now_ns)
        stray_from_ns = self._guard.stray_from_ns(arrival)
        if stray_from_ns is not None:
            stream.disown(stray_from_ns)
            count = self._cycles.remove_beyond(arrival.camera, stray_from_ns)
            stream.drop(DropReason.IMPLAUSIBLE_STAMP, count)
        if self._guard.believes(arrival):
            self._take(arrival)
        else:
            stream.hold(arrival, self.config.history)
            agreed = self._guard.restarted(arrival)
            if agreed:
                return self._follow(agreed)
        return self._release(now_ns)

    def poll(self, now_ns: int) -> list[SyncedSet[T]]:
        """Return sets whose missing cameras are overdue by now, oldest first."""
        self._advance(now_ns)
        return self._release(now_ns)

    @property
    def next_deadline_ns(self) -> int | None:
        """Time by which `poll` should be called if no image comes, None if there is no need."""
        if not self._timing.now.known:
            return self._single_shot_ns()
        cycles = self._cycles.cycles
        return min((self._deadline_ns(c) for c in cycles if self._enough(c)), default=None)

    def restart(self, reason: str) -> list[SyncedSet[T]]:
        """Clear everything tied to absolute time, as on a backward jump of the stamps.

        Returns:
            Sets that could still be made of the images that waited.
        """
        sets = self._finish(self._cycles.cycles[-1:])
        for stream in self._streams:
            stream.drop(DropReason.RESTART, len(stream.held))
            stream.forget()
        self._drop(self._cycles.take_all(), DropReason.RESTART)
        self._timing.forget()
        # Without a set since the last start there is nothing for the receiver to start afresh.
        announced = reason if self._last_stamp_ns is not None else self._restarted
        self._forget()
        self._restarts += 1
        self._last_restart = reason
        self._restarted = announced
        return sets

    def statistics(self, now_ns: int) -> SyncStatistics:
        """Take a snapshot of counters, rhythm and troubles."""
        cameras = sync_report.camera_statistics(
            self._streams, self._timing, self._guard, self._cycles, now_ns
        )
        timing = self._timing.now
        return SyncStatistics(
            cameras=cameras,
            complete=self._complete,
            degraded=self._degraded,
            restarts=self._restarts,
            last_restart=self._last_restart,
            period_ns=timing.period_ns if timing.known else None,
            window_ns=max(timing.windows_ns),
            last_set_stamp_ns=self._last_stamp_ns,
            waiting_for=self._waiting_for(cameras, now_ns),
            dropped=sync_report.total_dropped(self._streams),
        )

    def _waiting_for(self, cameras: Iterable[CameraStatistics], now_ns: int) -> str:
        timing = self._timing.now
        patience = self._guard.pace * (3 * timing.period_ns + LONGEST_WAIT_NS)
        if self._last_set_now_ns is not None and now_ns - self._last_set_now_ns <= patience:
            return ""
        return sync_report.why_no_set(tuple(cameras), self._fewest, timing)

    def _forget(self) -> None:
        self._since_learning = 0
        self._last_stamp_ns: int | None = None
        self._last_origin_ns: int | None = None
        self._last_stamps: dict[int, int] = {}
        self._expected_ns = [0.0] * len(self._streams)

    def _advance(self, now_ns: int) -> None:
        """Survive a caller's clock that went back."""
        if self._now_ns is not None and now_ns < self._now_ns:
            self._cycles.clock_went_back(now_ns)
            for stream in self._streams:
                stream.clock_went_back(now_ns)
            self._last_set_now_ns = None
        self._now_ns = now_ns

    def _take(self, arrival: Arrival[T]) -> None:
        """Use an image whose stamp is believed, unless it repeats another."""
        stream, image = self._streams[arrival.camera], arrival.image
        stream.drop_held()
        stream.zero_stamps = 0
        if image.stamp_ns in stream.stamps:
            stream.drop(DropReason.DUPLICATE)
            return
        repeats = stream.repeats_picture(image.fingerprint)
        if repeats and 0 < self.config.frozen_after <= repeats + 1:
            stream.drop(DropReason.FROZEN)
        else:
            self._accept(arrival)

    def _accept(self, arrival: Arrival[T]) -> None:
        stream = self._streams[arrival.camera]
        newcomer = not stream.stamps
        stream.believe(arrival.image.stamp_ns, arrival.arrival_ns)
        self._since_learning += 1
        # About once a cycle: the rhythm changes slowly.
        due = self._since_learning >= max(4, len(self._streams))
        if newcomer or due or not self._timing.now.known:
            self._learn()
        self._place(arrival)

    def _learn(self) -> None:
        self._since_learning = 0
        moved = self._timing.learn([stream.stamps for stream in self._streams])
        timing = self._timing.now
        paces = [pace for stream in self._streams if (pace := stream.pace()) is not None]
        pace = self._guard.pace = max(1.0, median_low(paces)) if paces else 1.0
        lags = [stream.lag_ns() for stream in self._streams]
        usual = median([lag for lag in lags if lag is not None] or [0])
        # A camera that is slow by more than a period is not worth the wait.
        self._expected_ns = [
            pace * offset + (0 if lag is None else min(lag - usual, timing.period_ns))
            for offset, lag in zip(timing.offsets_ns, lags, strict=True)
        ]
        if moved:
            stamps = self._last_stamps.items()
            starts = [stamp - timing.offsets_ns[camera] for camera, stamp in stamps]
            self._last_origin_ns = median_low(starts) if starts else None
            for waiting in self._cycles.take_all():
                self._place(waiting)

    def _place(self, arrival: Arrival[T]) -> None:
        camera, stamp, timing = arrival.camera, arrival.image.stamp_ns, self._timing.now
        window = timing.windows_ns[camera] if len(self._streams) > 1 else 0
        last = self._last_origin_ns
        if last is not None and stamp - timing.offsets_ns[camera] <= last + window:
            # Its cycle has left already.
            repeated = stamp > self._last_stamps.get(camera, stamp)
            self._streams[camera].drop(DropReason.SURPLUS if repeated else DropReason.LATE)
            return
        cycle, loser = self._cycles.place(arrival, timing)
        if loser is not None:
            self._streams[camera].drop(DropReason.SURPLUS)
        if cycle is not None and self._cycles.trim(camera) is not None:
            self._streams[camera].drop(DropReason.INCOMPLETE)

    def _release(self, now_ns: int) -> list[SyncedSet[T]]:
        known = self._timing.now.known
        single_shot_ns = None if known else self._single_shot_ns()
        if single_shot_ns is not None and now_ns >= single_shot_ns:
            return [self._join(self._cycles.take_all())]
        ready = [
            cycle
            for cycle in self._cycles.cycles
            if len(cycle.members) == len(self._streams)
            or (known and self._enough(cycle) and now_ns >= self._deadline_ns(cycle))
        ]
        return self._finish(ready[-1:], now_ns)

    def _enough(self, cycle: Cycle[T]) -> bool:
        return len(cycle.members) >= self._fewest

    def _deadline_ns(self, cycle: Cycle[T]) -> int:
        """When the cycle stops waiting for the cameras it lacks."""
        expected, members = self._expected_ns, cycle.members
        start = median(arrival.arrival_ns - expected[camera] for camera, arrival in members.items())
        now_ns = 0 if self._now_ns is None else self._now_ns
        awaited = [
            expected[camera]
            for camera, stream in enumerate(self._streams)
            if camera not in members
            and stream.last_arrival_ns is not None
            and now_ns - stream.last_arrival_ns <= self._guard.silence_ns(camera)
        ]
        if not awaited:
            return round(start)
        wait_ns: float | None = self.config.wait_ns
        if wait_ns is None:
            wait_ns = self._guard.pace * min(self._timing.now.period_ns // 2, LONGEST_WAIT_NS)
        return round(start + max(awaited) + wait_ns)

    def _finish(self, last: list[Cycle[T]], now_ns: int | None = None) -> list[SyncedSet[T]]:
        """Close the cycles up to the last one given: those with enough cameras become sets."""
        sets = []
        for cycle in self._cycles.take_until(last[0]) if last else []:
            known = self._timing.now.known or len(cycle.members) == len(self._streams)
            stamp = max(arrival.image.stamp_ns for arrival in cycle.members.values())
            if known and self._enough(cycle) and stamp > (self._last_stamp_ns or 0):
                sets.append(self._set_from(cycle, stamp))
                self._last_set_now_ns = now_ns if now_ns is not None else self._last_set_now_ns
            else:
                self._drop(cycle.members.values(), DropReason.INCOMPLETE)
        return sets

    def _set_from(self, cycle: Cycle[T], stamp_ns: int) -> SyncedSet[T]:
        members = cycle.members
        for camera in members:
            self._streams[camera].used += 1
        names = self.config.cameras
        found = SyncedSet(
            stamp_ns=stamp_ns,
            images=tuple(members[camera].image for camera in sorted(members)),
            missing=tuple(name for i, name in enumerate(names) if i not in members),
            restarted=self._restarted,
        )
        self._complete += not found.missing
        self._degraded += bool(found.missing)
        self._restarted = None
        self._last_stamp_ns = stamp_ns
        self._last_origin_ns = cycle.origin_ns
        self._last_stamps = {camera: a.image.stamp_ns for camera, a in members.items()}
        return found

    def _drop(self, arrivals: Iterable[Arrival[T]], reason: DropReason) -> None:
        for arrival in arrivals:
            self._streams[arrival.camera].drop(reason)

    def _follow(self, arrivals: list[Arrival[T]]) -> list[SyncedSet[T]]:
        """Go on with images of another time, afresh unless they merely follow a gap."""
        went_ahead = self._guard.went_ahead(arrivals)
        newest = max((s.newest_ns for s in self._streams if s.newest_ns is not None), default=0)
        step_s = (min(arrival.image.stamp_ns for arrival in arrivals) - newest) / 1e9
        kept = {id(arrival) for arrival in arrivals}
        for stream in self._streams:
            stream.held = [arrival for arrival in stream.held if id(arrival) not in kept]
        sets: list[SyncedSet[T]] = []
        if not went_ahead:
            way = "back" if step_s < 0 else "ahead"
            sets += self.restart(f"stamps jumped {way} {abs(step_s):.3f} s")
        for arrival in arrivals:
            self._accept(arrival)
            sets += self._release(arrival.arrival_ns)
        return sets

    def _single_shot_ns(self) -> int | None:
        """When one image of each camera, taken about together, counts as all there will be."""
        if self._last_stamp_ns is not None or any(len(s.stamps) != 1 for s in self._streams):
            return None
        stamps = [stream.stamps[0] for stream in self._streams]
        if max(stamps) - min(stamps) > SINGLE_SHOT_NS:
            return None
        return max(s.last_arrival_ns or 0 for s in self._streams) + SINGLE_SHOT_NS

    def _join(self, arrivals: list[Arrival[T]]) -> SyncedSet[T]:
        """Make one set of images whatever their places in the cycle."""
        stamp = max(arrival.image.stamp_ns for arrival in arrivals)
        cycle = Cycle(stamp, arrivals[0])
        for arrival in arrivals[1:]:
            cycle.put(stamp, arrival)
        return self._set_from(cycle, stamp)
