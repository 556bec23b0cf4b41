"""Say in words and numbers what the synchroniser sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import TypeVar

from streampetr_ros.ingest.sync.camera_stream import CameraStream
from streampetr_ros.ingest.sync.cycles import OpenCycles
from streampetr_ros.ingest.sync.rhythm import CycleTiming, RigTiming
from streampetr_ros.ingest.sync.stamp_trust import EpochGuard
from streampetr_ros.ingest.sync.types import CameraStatistics, DropReason

T = TypeVar("T")

#: Lags of cameras may differ by this part of the period, but at least by `LAG_FLOOR_NS`.
LAG_SHARE = 0.5
LAG_FLOOR_NS = 20_000_000

#: A camera's measured place in the cycle may differ from the given one by this part of the period.
DEVIATION_SHARE = 0.1

#: What helps against each reason for which images are dropped.
DROP_REMEDIES = MappingProxyType(
    {
        DropReason.ZERO_STAMP: "the driver must fill in header.stamp",
        DropReason.DUPLICATE: "check for a second publisher of the topic or a driver that repeats",
        DropReason.FROZEN: "the camera repeats one picture; restart it, or set sync.frozen_after",
        DropReason.IMPLAUSIBLE_STAMP: "synchronise the clock of the camera with the others",
        DropReason.LATE: "the transport delivered them after their set had left; raise sync.wait_s",
        DropReason.SURPLUS: "the camera is faster than the others; check its rate or sync.period_s",
        DropReason.INCOMPLETE: (
            "other cameras of the cycle did not deliver; see their diagnostics, or allow fewer by "
            "sync.min_cameras"
        ),
        DropReason.RESTART: "they belong to the time before a jump of stamps or clock",
    }
)


def total_dropped(streams: Sequence[CameraStream[T]]) -> Mapping[DropReason, int]:
    """Add up the cameras' drops by reason."""
    total: Counter[DropReason] = Counter()
    for stream in streams:
        total.update(stream.dropped)
    return dict(total)


def camera_statistics(
    streams: Sequence[CameraStream[T]],
    timing: RigTiming,
    guard: EpochGuard[T],
    cycles: OpenCycles[T],
    now_ns: int,
) -> tuple[CameraStatistics, ...]:
    """Take a snapshot of every camera."""
    lags = [stream.lag_ns() for stream in streams]
    return tuple(
        CameraStatistics(
            name=stream.name,
            received=stream.received,
            used=stream.used,
            dropped=dict(stream.dropped),
            reordered=stream.reordered,
            repeated=stream.repeated,
            pending=cycles.pending(i) + len(stream.held),
            last_stamp_ns=stream.newest_ns,
            silent_ns=None if stream.last_arrival_ns is None else now_ns - stream.last_arrival_ns,
            offset_ns=timing.now.offsets_ns[i],
            lag_ns=lags[i],
            rate_hz=stream.rate_hz(),
            problems=(
                *_stoppages(stream, guard.alive(i, now_ns), now_ns),
                *_time_troubles(_lag_difference(lags, i), timing.deviations_ns[i], timing.now),
            ),
        )
        for i, stream in enumerate(streams)
    )


def _stoppages(stream: CameraStream[T], alive: bool, now_ns: int) -> list[str]:
    """Name what keeps the camera's images out of the sets."""
    if stream.last_seen_ns is None:
        return ["no image yet: check the topic name, the publisher and its QoS"]
    if not alive:
        seconds = (now_ns - stream.last_seen_ns) / 1e9
        return [f"silent for {seconds:.1f} s: its driver stopped, or the network loses its images"]
    found = []
    if stream.zero_stamps:
        found.append("stamps are zero: its driver must fill in the header stamp")
    if stream.dropped[DropReason.FROZEN] and stream.repeats:
        found.append(f"frozen: the same picture {stream.repeats + 1} times with new stamps")
    if stream.unbelieved_ns:
        side = "ahead of the other cameras" if stream.unbelieved_ns > 0 else "back in time"
        seconds = abs(stream.unbelieved_ns) / 1e9
        found.append(f"clock skew: stamps are {seconds:.3f} s {side}; synchronise its clock")
    return found


def _lag_difference(lags_ns: Sequence[int | None], camera: int) -> float:
    """Lag of one camera against the median of the others, 0 if unknown."""
    own = lags_ns[camera]
    others = [lag for i, lag in enumerate(lags_ns) if i != camera and lag is not None]
    return own - median(others) if own is not None and len(others) >= 2 else 0.0


def _time_troubles(lag_ns: float, deviation_ns: int, timing: CycleTiming) -> list[str]:
    """Name clocks that disagree by what the stamps say or when they arrive."""
    if not timing.known:
        return []
    found = []
    if abs(lag_ns) > max(LAG_SHARE * timing.period_ns, LAG_FLOOR_NS):
        late = lag_ns > 0
        found.append(
            f"clock skew or transport: arrives {abs(lag_ns) / 1e6:.0f} ms "
            f"{'later' if late else 'sooner'} after its stamps than the other cameras, so its "
            f"clock is {'behind or its transport slow' if late else 'ahead or theirs is slow'}; "
            "synchronise the clocks of the cameras (PTP)"
        )
    if abs(deviation_ns) > DEVIATION_SHARE * timing.period_ns:
        found.append(
            f"clock skew: fires {deviation_ns / 1e6:+.1f} ms from its given offset (modulo the "
            f"period); synchronise its clock or correct the offset"
        )
    return found


def why_no_set(cameras: Sequence[CameraStatistics], fewest: int, timing: CycleTiming) -> str:
    """Explain in a sentence why no set forms."""
    if not any(camera.received for camera in cameras):
        return "no image has arrived from any camera; check topic names and QoS"
    troubled = [camera for camera in cameras if camera.problems]
    named = "; ".join(f"{camera.name}: {', '.join(camera.problems)}" for camera in troubled)
    if len(cameras) - len(troubled) < fewest:
        return f"{fewest} cameras are needed: {named}"
    if not timing.known:
        return "learning the rig's rhythm, which needs two images of a camera"
    text = (
        f"no cycle has {fewest} cameras within {max(timing.windows_ns) / 1e6:.0f} ms of their "
        f"places; compare the cameras' stamps"
    )
    return f"{text} ({named})" if named else text
