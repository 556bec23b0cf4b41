"""Poses of one child frame over time, and what is wrong when a pose cannot be had."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import Enum

from streampetr_ros.ingest.transforms.tuples import Pose, interpolate


class Reason(str, Enum):
    """Why a transform is unavailable, for programs."""

    UNKNOWN_FRAME = "unknown_frame"
    DISCONNECTED = "disconnected"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    NO_DATA = "no_data"
    LOOP = "loop"


class TransformUnavailable(LookupError):  # noqa: N818 - a state of affairs, not a mistake
    """No transform for these frames and times; never replaced by anything else.

    Attributes:
        reason: for programs; `TOO_LATE`, `NO_DATA` and `UNKNOWN_FRAME` may heal by waiting.
        missing_ns: for `TOO_EARLY` and `TOO_LATE`, how far the stamp is outside the data.
    """

    def __init__(self, sentence: str, reason: Reason, missing_ns: int = 0) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.missing_ns = missing_ns

    @property
    def may_come(self) -> bool:
        """Whether waiting can help."""
        return self.reason in (Reason.TOO_LATE, Reason.NO_DATA, Reason.UNKNOWN_FRAME)


class PoseHistory:
    """The edge from a child frame up to its parent: one pose if static, else poses by stamp.

    The parent is stored with every pose: a frame may be hung up elsewhere while time goes on.

    Args:
        child: frame name.
        static: one pose, valid at all times.
    """

    __slots__ = ("_parents", "_poses", "_stamps", "child", "static")

    def __init__(self, child: str, static: bool) -> None:
        self.child = child
        self.static = static
        self._stamps: list[int] = []
        self._parents: list[str] = []
        self._poses: list[Pose] = []

    @property
    def parent(self) -> str:
        """Newest parent."""
        return self._parents[-1]

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest pose, None without poses and for static edges."""
        return self._stamps[-1] if self._stamps and not self.static else None

    def put(self, stamp_ns: int, parent: str, parent_from_child: Pose, history_ns: int) -> None:
        """Enter a pose; of two with one stamp the later wins, poses beyond the history go."""
        if self.static:
            self._stamps, self._parents, self._poses = [0], [parent], [parent_from_child]
            return
        if not self._stamps:
            self._parents = []
        place = bisect_left(self._stamps, stamp_ns)
        if place < len(self._stamps) and self._stamps[place] == stamp_ns:
            self._parents[place], self._poses[place] = parent, parent_from_child
            return
        self._stamps.insert(place, stamp_ns)
        self._parents.insert(place, parent)
        self._poses.insert(place, parent_from_child)
        self._prune(self._stamps[-1] - history_ns)

    def _prune(self, earliest_ns: int) -> None:
        if self._stamps[0] < earliest_ns:
            gone = bisect_left(self._stamps, earliest_ns)
            del self._stamps[:gone], self._parents[:gone], self._poses[:gone]

    def clear(self) -> None:
        """Drop all poses but remember the newest parent; static edges stay."""
        if not self.static and self._stamps:
            self._stamps, self._poses, self._parents = [], [], [self.parent]

    def parent_at(self, stamp_ns: int) -> str:
        """Parent at a time; outside the data the nearest known one."""
        if self.static or not self._stamps or self._parents[0] == self._parents[-1]:
            return self._parents[-1]
        return self._parents[max(0, bisect_right(self._stamps, stamp_ns) - 1)]

    def at(self, stamp_ns: int, extrapolation_ns: int) -> Pose:
        """Return parent_from_child at a time.

        Raises:
            TransformUnavailable: for times outside the data, beyond the extrapolation allowed.
        """
        stamps = self._stamps
        if self.static:
            return self._poses[0]
        place = bisect_left(stamps, stamp_ns)
        if place < len(stamps) and stamps[place] == stamp_ns:
            return self._poses[place]
        if 0 < place < len(stamps):
            return self._between(place - 1, place, stamp_ns)
        if place and stamp_ns - stamps[-1] <= extrapolation_ns and len(stamps) > 1:
            return self._beyond(stamp_ns)
        raise self._unavailable(stamp_ns)

    def _between(self, before: int, after: int, stamp_ns: int) -> Pose:
        if self._parents[before] != self._parents[after]:
            return self._poses[before]
        start, end = self._stamps[before], self._stamps[after]
        fraction = (stamp_ns - start) / (end - start)
        return interpolate(self._poses[before], self._poses[after], fraction)

    def _beyond(self, stamp_ns: int) -> Pose:
        """Continue the motion of an interval that is as long as the extrapolation, if there is one.

        The last two poses alone may be so close in time that their noise would be magnified.
        """
        last = len(self._stamps) - 1
        before = bisect_right(self._stamps, 2 * self._stamps[last] - stamp_ns) - 1
        return self._between(min(max(0, before), last - 1), last, stamp_ns)

    def _unavailable(self, stamp_ns: int) -> TransformUnavailable:
        edge = f"{self.parent_at(stamp_ns)} -> {self.child}"
        stamps = self._stamps
        if not stamps:
            return TransformUnavailable(
                f"{edge} has no data since time restarted; check its publisher", Reason.NO_DATA
            )
        span = f"{edge} is known from {seconds(stamps[0])} to {seconds(stamps[-1])}"
        if stamp_ns > stamps[-1]:
            missing = stamp_ns - stamps[-1]
            return TransformUnavailable(
                f"{span}, {seconds(missing)} too old: wait for newer data, check the rate of its "
                f"publisher, or allow extrapolation",
                Reason.TOO_LATE,
                missing,
            )
        missing = stamps[0] - stamp_ns
        return TransformUnavailable(
            f"{span}, which starts {seconds(missing)} too late: keep a longer history, or ask for "
            f"newer times",
            Reason.TOO_EARLY,
            missing,
        )


def seconds(nanoseconds: int) -> str:
    """Write a time exactly to the microsecond, as seconds.

    Example:
        >>> seconds(1_700_000_000_123_456_789)
        '1700000000.123456 s'
    """
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{sign}{whole}.{rest // 1000:06d} s"
