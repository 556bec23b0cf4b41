"""A tree of frames with a bounded history: where was one frame seen from another, at what time.

The rules are those of tf2: every frame hangs from one parent, static edges hold at all times,
moving ones only between their first and last stamp, with linear and spherical interpolation.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import Enum
from threading import RLock
from typing import NamedTuple

from streampetr_ros.core.geometry import Array
from streampetr_ros.ingest.transforms.poses import (
    NO_MOTION,
    Pose,
    compose,
    interpolate,
    invert,
    to_matrix,
)

#: Poses in a row that are much older than the newest of their edge and begin it anew.
_SURELY_LATE = 3
#: A squared quaternion norm may differ from 1 by this much, as in tf2.
NORM_TOLERANCE = 1e-2


class StampedTransform(NamedTuple):
    """The pose of a frame.

    Attributes:
        parent: frame the pose is expressed in (`header.frame_id` of a TF message).
        child: frame that is posed (`child_frame_id`).
        stamp_ns: time of the pose; None holds at all times.
        translation: (3,) origin of the child in the parent, metres.
        quaternion_wxyz: (4,) rotation child to parent, **w first** (ROS messages: x first).
    """

    parent: str
    child: str
    stamp_ns: int | None
    translation: Sequence[float]
    quaternion_wxyz: Sequence[float]


class TransformError(ValueError):
    """A transform that cannot enter the tree."""


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
        reason: for programs.
        may_come: whether waiting can help.
    """

    def __init__(self, sentence: str, reason: Reason) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.may_come = reason in (Reason.TOO_LATE, Reason.NO_DATA, Reason.UNKNOWN_FRAME)


class TransformTree:
    """Buffer of transforms between named frames. Thread-safe.

    A leading slash of a frame name is ignored. Stamps are integer nanoseconds. A pose much older
    than the newest of its edge is refused; where several follow each other, the edge begins anew
    with them, and all moving edges do where the others do not contradict: time has restarted.

    Args:
        history_ns: how long poses are kept, counted per edge from its newest.
        extrapolation_ns: how far beyond its newest pose an edge may be continued.
        max_reorder_ns: how much older than the newest pose of its edge a pose may arrive.

    Attributes:
        restarts: how often time was found to have restarted.

    Example:
        >>> tree = TransformTree()
        >>> tree.insert("odom", "base_link", 0, (0, 0, 0), (1, 0, 0, 0))
        >>> tree.insert("odom", "base_link", 10, (1, 0, 0), (1, 0, 0, 0))
        >>> tree.lookup("odom", "base_link", 5)[:3, 3].tolist()
        [0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        history_ns: int = 10_000_000_000,
        extrapolation_ns: int = 0,
        max_reorder_ns: int = 1_000_000_000,
    ) -> None:
        self.restarts = 0
        self._arrivals = 0
        self._history_ns = history_ns
        self._extrapolation_ns = extrapolation_ns
        self._max_reorder_ns = max_reorder_ns
        self._edges: dict[str, _Edge] = {}
        self._frames: set[str] = set()
        self._lock = RLock()

    def insert(
        self,
        parent: str,
        child: str,
        stamp_ns: int | None,
        translation: Sequence[float],
        quaternion_wxyz: Sequence[float],
    ) -> None:
        """Enter the fields of a `StampedTransform`.

        Raises:
            TransformError: if a value is not finite, the quaternion has not unit length, the
                names make no edge, the edge would close a loop, the frame is both static and
                moving, or the pose is much older than the newest.
        """
        edge_name = f"transform '{parent}' -> '{child}'"
        parent, child = parent.removeprefix("/"), child.removeprefix("/")
        if not parent or not child or parent == child:
            raise TransformError(f"{edge_name} must join two different, named frames")
        if stamp_ns is not None and stamp_ns < 0:
            raise TransformError(f"{edge_name} has the stamp {stamp_ns}")
        pose = _checked_pose(edge_name, translation, quaternion_wxyz)
        with self._lock:
            edge = self._edges.get(child)
            if edge is not None and edge.static != (stamp_ns is None):
                # A moving edge without poses gives way.
                if edge.static or edge.stamps:
                    raise edge.of_other_kind(parent)
                edge = None
            if edge is None or edge.parents[-1] != parent:
                self._refuse_loop(parent, child, stamp_ns)
            if edge is None:
                edge = self._edges[child] = _Edge(child, static=stamp_ns is None)
            self._frames.update((parent, child))
            if stamp_ns is None:
                edge.stamps, edge.parents, edge.poses = [0], [parent], [pose]
                return
            self._arrivals += 1
            behind_ns = edge.stamps[-1] - stamp_ns if edge.stamps else 0
            if behind_ns > self._max_reorder_ns:
                edge.late_since = edge.late_since or self._arrivals
                edge.late.append((stamp_ns, parent, pose))
                if len(edge.late) < _SURELY_LATE:
                    raise TransformError(
                        f"{edge_name} is {seconds(behind_ns)} older than the newest one; it does "
                        "not count: stop its second publisher, or set the clock of its machine"
                    )
                self._begin_anew(edge)
                return
            edge.late_since, edge.late, edge.in_time = 0, [], self._arrivals
            edge.put(stamp_ns, parent, pose, self._history_ns)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """Return the (4, 4) target_from_source at a time.

        Args:
            target: frame to express coordinates in.
            source: frame the coordinates are given in.
            stamp_ns: time.

        Raises:
            TransformUnavailable: saying why, and whether waiting can help.
        """
        target, source = target.removeprefix("/"), source.removeprefix("/")
        with self._lock:
            up, down = self._chain(source, stamp_ns), self._chain(target, stamp_ns)
            above_target = set(down)
            meeting = next((frame for frame in up if frame in above_target), None)
            if meeting is None:
                raise TransformUnavailable(
                    f"frames '{target}' and '{source}' are not connected: one hangs from "
                    f"'{down[-1]}', the other from '{up[-1]}'; a transform between these trees is "
                    "not published",
                    Reason.DISCONNECTED,
                )
            try:
                meeting_from_source = self._climb(up, meeting, stamp_ns)
                meeting_from_target = self._climb(down, meeting, stamp_ns)
            except TransformUnavailable as error:
                raise TransformUnavailable(
                    f"no transform from {source} to {target} at {seconds(stamp_ns)}: {error}",
                    error.reason,
                ) from None
        return to_matrix(compose(invert(meeting_from_target), meeting_from_source))

    def clear(self) -> None:
        """Drop all moving poses; static ones stay."""
        with self._lock:
            for edge in self._edges.values():
                if not edge.static:
                    edge.clear()

    def _begin_anew(self, edge: _Edge) -> None:
        """Let an edge go on from its late poses, and all others where time has restarted.

        It has where more moving edges are surely late than came in time since this one's first.
        """
        moving = [each for each in self._edges.values() if not each.static]
        late = [each for each in moving if len(each.late) >= _SURELY_LATE]
        in_time = [each for each in moving if each.in_time > edge.late_since]
        has_restarted = len(late) > len(in_time)
        self.restarts += has_restarted
        for each in moving if has_restarted else [edge]:
            poses = each.late
            each.clear()
            for stamp_ns, parent, pose in poses:
                each.put(stamp_ns, parent, pose, self._history_ns)

    def _refuse_loop(self, parent: str, child: str, stamp_ns: int | None) -> None:
        """Keep out an edge that would close a loop: no lookup would succeed any more.

        An edge that is no longer published gives way instead.
        """
        frame = parent
        while (edge := self._edges.get(frame)) is not None:
            below, frame = frame, edge.parents[-1]
            newest_ns = edge.stamps[-1] if edge.stamps else -math.inf
            may_go = frame == child and not edge.static
            if may_go and stamp_ns is not None and newest_ns < stamp_ns - self._history_ns:
                del self._edges[below]
                return
            if frame == child:
                raise TransformError(
                    f"transform '{parent}' -> '{child}' would close a loop, as '{parent}' hangs "
                    f"from '{child}' already; two publishers disagree about a parent, stop one"
                )

    def _chain(self, frame: str, stamp_ns: int) -> list[str]:
        """Return the frame and its ancestors at a time, up to the root."""
        if frame not in self._frames:
            known = ", ".join(sorted(self._frames)[:20]) or "none"
            raise TransformUnavailable(
                f"frame '{frame}' is unknown, known are: {known}; check the name and its publisher",
                Reason.UNKNOWN_FRAME,
            )
        chain = [frame]
        while (edge := self._edges.get(frame)) is not None:
            frame = edge.parent_at(stamp_ns)
            if frame in chain:
                raise TransformUnavailable(
                    f"the frames {' -> '.join([*chain, frame])} form a loop; two publishers "
                    f"disagree about a parent",
                    Reason.LOOP,
                )
            chain.append(frame)
        return chain

    def _climb(self, chain: list[str], meeting: str, stamp_ns: int) -> Pose:
        """Return meeting_from_start along a chain."""
        total = NO_MOTION
        for frame in chain:
            if frame == meeting:
                break
            total = compose(self._edges[frame].at(stamp_ns, self._extrapolation_ns), total)
        return total


class _Edge:
    """The edge from a child frame up to its parent: one pose if static, else poses by stamp.

    The parent is stored with every pose: a frame may be hung up elsewhere while time goes on.
    """

    __slots__ = ("child", "in_time", "late", "late_since", "parents", "poses", "stamps", "static")

    def __init__(self, child: str, *, static: bool) -> None:
        self.child = child
        self.static = static
        self.stamps: list[int] = []
        #: Of each pose; the newest one still where poses were cleared.
        self.parents: list[str] = []
        self.poses: list[Pose] = []
        #: Poses in a row that came much too late; arrivals of the first and of the last in time.
        self.late: list[tuple[int, str, Pose]] = []
        self.late_since = self.in_time = 0

    def clear(self) -> None:
        """Drop all poses; the newest parent is remembered."""
        if self.stamps:
            self.stamps, self.poses, self.parents = [], [], self.parents[-1:]
        self.late_since, self.late = 0, []

    def put(self, stamp_ns: int, parent: str, parent_from_child: Pose, history_ns: int) -> None:
        """Enter a pose; of two with one stamp the later wins, poses beyond the history go."""
        if not self.stamps:
            self.parents = []
        place = bisect_left(self.stamps, stamp_ns)
        if place < len(self.stamps) and self.stamps[place] == stamp_ns:
            self.parents[place], self.poses[place] = parent, parent_from_child
            return
        self.stamps.insert(place, stamp_ns)
        self.parents.insert(place, parent)
        self.poses.insert(place, parent_from_child)
        gone = bisect_left(self.stamps, self.stamps[-1] - history_ns)
        del self.stamps[:gone], self.parents[:gone], self.poses[:gone]

    def parent_at(self, stamp_ns: int) -> str:
        """Parent at a time; outside the data the nearest known one."""
        return self.parents[max(0, bisect_right(self.stamps, stamp_ns) - 1)]

    def at(self, stamp_ns: int, extrapolation_ns: int) -> Pose:
        """Return parent_from_child at a time.

        Raises:
            TransformUnavailable: for times outside the data, beyond the extrapolation allowed.
        """
        if self.static:
            return self.poses[0]
        stamps = self.stamps
        place, last = bisect_left(stamps, stamp_ns), len(stamps) - 1
        if place <= last and stamps[place] == stamp_ns:
            return self.poses[place]
        if 0 < place <= last:
            return self._between(place - 1, place, stamp_ns)
        if last > 0 and 0 < stamp_ns - stamps[-1] <= extrapolation_ns:
            # The motion of an interval as long as the extrapolation goes on: the last two poses
            # alone may be so close in time that their noise would be magnified.
            before = bisect_right(stamps, 2 * stamps[-1] - stamp_ns) - 1
            return self._between(min(max(0, before), last - 1), last, stamp_ns)
        raise self._unavailable(stamp_ns)

    def _between(self, before: int, after: int, stamp_ns: int) -> Pose:
        if self.parents[before] != self.parents[after]:
            return self.poses[before]
        start, end = self.stamps[before], self.stamps[after]
        fraction = (stamp_ns - start) / (end - start)
        return interpolate(self.poses[before], self.poses[after], fraction)

    def _unavailable(self, stamp_ns: int) -> TransformUnavailable:
        edge, stamps = f"{self.parent_at(stamp_ns)} -> {self.child}", self.stamps
        if not stamps:
            return TransformUnavailable(
                f"{edge} has no data since time restarted; check its publisher", Reason.NO_DATA
            )
        span = f"{edge} is known from {seconds(stamps[0])} to {seconds(stamps[-1])}"
        if stamp_ns > stamps[-1]:
            return TransformUnavailable(
                f"{span}, {seconds(stamp_ns - stamps[-1])} too old: wait for newer data, check the "
                f"rate of its publisher, or allow extrapolation",
                Reason.TOO_LATE,
            )
        return TransformUnavailable(
            f"{span}, which starts {seconds(stamps[0] - stamp_ns)} too late: keep a longer "
            f"history, or ask for newer times",
            Reason.TOO_EARLY,
        )

    def of_other_kind(self, parent: str) -> TransformError:
        """Say that a frame is static or moving: both in turn would give poses of the wrong time."""
        first, second = ("static", "moving") if self.static else ("moving", "static")
        return TransformError(
            f"transform '{parent}' -> '{self.child}' is {second}, but '{self.child}' is {first} "
            f"already; it is published on /tf_static and also on /tf or as odometry, stop one"
        )


def _checked_pose(
    edge_name: str, translation: Sequence[float], quaternion_wxyz: Sequence[float]
) -> Pose:
    """Check the parts of a transform and normalise its quaternion."""
    x, y, z = (float(value) for value in translation)
    w, i, j, k = (float(value) for value in quaternion_wxyz)
    if not all(map(math.isfinite, (x, y, z, w, i, j, k))):
        raise TransformError(f"{edge_name} has values that are not finite; check its publisher")
    squared = w * w + i * i + j * j + k * k
    norm = math.sqrt(squared)
    if abs(squared - 1.0) > NORM_TOLERANCE:
        raise TransformError(
            f"{edge_name} has a quaternion of length {norm:.4g} instead of 1; its publisher must "
            "normalise it"
        )
    return (x, y, z, w / norm, i / norm, j / norm, k / norm)


def seconds(nanoseconds: int) -> str:
    """Write a time exactly to the microsecond, as seconds.

    Example:
        >>> seconds(1_700_000_000_123_456_789)
        '1700000000.123456 s'
    """
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{sign}{whole}.{rest // 1000:06d} s"
