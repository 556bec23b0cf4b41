"""What enters and leaves the frame-set synchroniser, and what it can tell about itself."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_CAMERAS = 64


class DropReason(str, Enum):
    """Why an image did not become part of a set."""

    ZERO_STAMP = "zero stamp"
    DUPLICATE = "duplicate stamp"
    FROZEN = "frozen picture"
    IMPLAUSIBLE_STAMP = "implausible stamp"
    LATE = "late"
    SURPLUS = "second image in one cycle"
    INCOMPLETE = "cycle incomplete"
    RESTART = "dropped by a restart"


@dataclass(frozen=True, slots=True)
class StampedImage(Generic[T]):
    """One image as it arrived; the payload is never looked at.

    Attributes:
        camera: name, one of `SyncConfig.cameras`.
        stamp_ns: exposure time from the message header.
        payload: anything: raw bytes, a message, pixels.
        fingerprint: cheap digest of the picture to recognise a frozen camera; None skips the check.
    """

    camera: str
    stamp_ns: int
    payload: T
    fingerprint: Hashable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedSet(Generic[T]):
    """Images of one exposure cycle.

    Attributes:
        stamp_ns: newest stamp in the set, the set's reference time.
        images: in the order of `SyncConfig.cameras`, absent cameras left out.
        missing: names of the absent cameras.
        restarted: why the synchroniser started afresh just before this set, else None.
    """

    stamp_ns: int
    images: tuple[StampedImage[T], ...]
    missing: tuple[str, ...] = ()
    restarted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig:
    """How frame sets are formed.

    Attributes:
        cameras: names; their order is the order of images in a set.
        min_cameras: fewest cameras of a set; None demands all of them.
        offsets_ns: firing time of every camera within a cycle; None learns it from the stamps.
        period_ns: cycle time if known; None estimates it, as is done where all cameras are much
            faster.
        window_ns: largest distance of a stamp from where its cycle expects it; None derives it from
            the period. Never more than 0.45 periods.
        wait_ns: how long after its expected arrival a missing camera is waited for; None waits half
            a period but at most 0.2 s. Matters only if `min_cameras` is below the number of
            cameras.
        history: images kept per camera that are not part of a set yet.
        frozen_after: equal fingerprints in a row from which a camera counts as frozen and its
            images are dropped; 0 never does.
        max_jump_ns: a camera's stamp farther than this ahead of the others is not believed until
            most cameras agree; nor is one that jumped ahead alone, from 1 s or 8 periods on.
    """

    cameras: tuple[str, ...]
    min_cameras: int | None = None
    offsets_ns: Mapping[str, int] | None = None
    period_ns: int | None = None
    window_ns: int | None = None
    wait_ns: int | None = None
    history: int = 8
    frozen_after: int = 3
    max_jump_ns: int = 60_000_000_000

    def __post_init__(self) -> None:
        count = len(self.cameras)
        if not 1 <= count <= MAX_CAMERAS or len(set(self.cameras)) != count:
            raise ValueError(
                f"cameras {list(self.cameras)} must be 1 to {MAX_CAMERAS} different names"
            )
        if self.min_cameras is not None and not 1 <= self.min_cameras <= count:
            raise ValueError(f"min_cameras {self.min_cameras} must be in 1..{count}")
        if self.history < 2:
            raise ValueError(f"history {self.history} must be at least 2 images per camera")
        self._check_times()

    def _check_times(self) -> None:
        if self.offsets_ns is not None and set(self.offsets_ns) != set(self.cameras):
            raise ValueError(
                f"offsets_ns names {sorted(self.offsets_ns)}, the cameras are "
                f"{sorted(self.cameras)}; give an offset for each camera or none at all"
            )
        for name in ("period_ns", "window_ns", "max_jump_ns"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} {value} must be positive")
        if self.wait_ns is not None and self.wait_ns < 0:
            raise ValueError(f"wait_ns {self.wait_ns} must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStatistics:
    """What is known about one camera.

    Attributes:
        name: of the camera.
        received: images handed in.
        used: images that left in a set.
        dropped: count by reason, only reasons that occurred.
        reordered: images that came after a newer one of the same camera (used or not).
        pending: images waiting for their cycle to complete.
        last_stamp_ns: newest believed stamp of this run, None before the first image.
        silent_ns: time since the last believed image arrived, None before the first.
        offset_ns: firing time within the cycle, as given or learned.
        lag_ns: arrival minus stamp, median of the last images; None before the first. Compare it
            between cameras only, unless arrival times and stamps come from one clock.
        rate_hz: of the last images by their stamps, 0 when unknown.
        problems: sentences about what is wrong now, empty when healthy.
        repeated: images that showed the picture of the one before; 0 without fingerprints.
    """

    name: str
    received: int
    used: int
    dropped: Mapping[DropReason, int]
    reordered: int = 0
    pending: int = 0
    last_stamp_ns: int | None = None
    silent_ns: int | None = None
    offset_ns: int = 0
    lag_ns: int | None = None
    rate_hz: float = 0.0
    problems: tuple[str, ...] = ()
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatistics:
    """Snapshot of the synchroniser.

    Attributes:
        cameras: in configured order.
        complete: sets with all cameras.
        degraded: sets with fewer.
        restarts: how often stamps jumped and everything was cleared.
        last_restart: reason of the last restart, empty when none.
        period_ns: cycle time, None until known.
        window_ns: largest accepted distance of a stamp from its place in the cycle.
        last_set_stamp_ns: of the newest set of this run, None before the first.
        waiting_for: why no set forms right now, in words; empty while sets flow.
        dropped: images by reason, all cameras together.
    """

    cameras: tuple[CameraStatistics, ...]
    complete: int
    degraded: int = 0
    restarts: int = 0
    last_restart: str = ""
    period_ns: int | None = None
    window_ns: int = 0
    last_set_stamp_ns: int | None = None
    waiting_for: str = ""
    dropped: Mapping[DropReason, int] = field(default_factory=dict)
