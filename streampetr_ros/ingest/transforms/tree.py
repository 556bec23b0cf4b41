"""A tree of frames with a bounded history: where was one frame seen from another, at what time.

The rules are those of tf2: every frame hangs from one parent, static edges hold at all times,
moving ones only between their first and last stamp, with linear and spherical interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from threading import RLock

from streampetr_ros.core.geometry import Array
from streampetr_ros.ingest.transforms.history import (
    PoseHistory,
    Reason,
    TransformUnavailable,
    seconds,
)
from streampetr_ros.ingest.transforms.tuples import (
    IDENTITY,
    Pose,
    compose,
    from_matrix,
    invert,
    to_matrix,
)

__all__ = ["Reason", "TransformError", "TransformTree", "TransformUnavailable"]

#: A squared quaternion norm may differ from 1 by this much, as in tf2.
NORM_TOLERANCE = 1e-2


class TransformError(ValueError):
    """A transform that cannot enter the tree."""


class TransformTree:
    """Buffer of transforms between named frames. Thread-safe.

    A leading slash of a frame name is ignored. Stamps are integer nanoseconds. A pose much older
    than the newest of its edge means that time restarted: all moving edges are cleared.

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
        self.history_ns = history_ns
        self.extrapolation_ns = extrapolation_ns
        self.max_reorder_ns = max_reorder_ns
        self.restarts = 0
        self._edges: dict[str, PoseHistory] = {}
        self._frames: set[str] = set()
        self._lock = RLock()

    def insert(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        translation: Sequence[float],
        quaternion_wxyz: Sequence[float],
    ) -> None:
        """Enter the pose of a moving frame.

        Args:
            parent: frame the pose is expressed in (`header.frame_id` of a TF message).
            child: frame that is posed (`child_frame_id`).
            stamp_ns: of the pose.
            translation: (3,) origin of the child in the parent, metres.
            quaternion_wxyz: (4,) rotation child to parent, **w first** (ROS messages: x first).

        Raises:
            TransformError: if a value is not finite, the quaternion has not unit length, the
                names make no edge, or the edge would close a loop.
        """
        if stamp_ns < 0:
            raise TransformError(f"transform {parent} -> {child} has the stamp {stamp_ns}")
        pose = _checked_pose(parent, child, translation, quaternion_wxyz)
        self._put(parent, child, stamp_ns, pose)

    def insert_static(
        self,
        parent: str,
        child: str,
        translation: Sequence[float],
        quaternion_wxyz: Sequence[float],
    ) -> None:
        """Enter a pose that holds at all times; arguments as for `insert`."""
        self._put(parent, child, None, _checked_pose(parent, child, translation, quaternion_wxyz))

    def insert_matrix(
        self, parent: str, child: str, stamp_ns: int | None, parent_from_child: Array
    ) -> None:
        """Enter a (4, 4) rigid transform, static if the stamp is None."""
        pose = from_matrix(parent_from_child)
        if stamp_ns is None:
            self.insert_static(parent, child, pose[:3], pose[3:])
        else:
            self.insert(parent, child, stamp_ns, pose[:3], pose[3:])

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Array:
        """Return the (4, 4) target_from_source at a time.

        Args:
            target: frame to express coordinates in.
            source: frame the coordinates are given in.
            stamp_ns: time; None takes the newest for which all edges between have data.

        Raises:
            TransformUnavailable: saying why, and whether waiting can help.
        """
        with self._lock:
            target, source = _plain(target), _plain(source)
            if stamp_ns is None:
                stamp_ns = self._newest_common(target, source)
            return to_matrix(self._pose(target, source, stamp_ns))

    def lookup_between(
        self, target: str, target_stamp_ns: int, source: str, source_stamp_ns: int, fixed: str
    ) -> Array:
        """Return the (4, 4) transform from a frame at one time to a frame at another.

        Args:
            target: frame to express coordinates in.
            target_stamp_ns: time at which the target frame is meant.
            source: frame the coordinates are given in.
            source_stamp_ns: time at which the source frame is meant.
            fixed: frame that does not move between the two times.

        Raises:
            TransformUnavailable: as `lookup`.
        """
        with self._lock:
            target, source, fixed = _plain(target), _plain(source), _plain(fixed)
            target_from_fixed = self._pose(target, fixed, target_stamp_ns)
            fixed_from_source = self._pose(fixed, source, source_stamp_ns)
            return to_matrix(compose(target_from_fixed, fixed_from_source))

    def newest_common_ns(self, target: str, source: str) -> int | None:
        """Return the newest time `lookup` can answer, None if only static edges are between.

        Raises:
            TransformUnavailable: if the frames are unknown or not connected.
        """
        with self._lock:
            edges = self._edges_between(_plain(target), _plain(source), None)
            newest = [self._newest_of(edge, target, source) for edge in edges if not edge.static]
            return min(newest, default=None)

    def clear(self) -> None:
        """Drop all moving poses; static ones stay."""
        with self._lock:
            for edge in self._edges.values():
                edge.clear()

    def frames(self) -> frozenset[str]:
        """Return the names of all frames seen."""
        with self._lock:
            return frozenset(self._frames)

    def _put(self, parent: str, child: str, stamp_ns: int | None, pose: Pose) -> None:
        parent, child = _plain(parent), _plain(child)
        with self._lock:
            edge = self._edges.get(child)
            if edge is not None and edge.static != (stamp_ns is None):
                self._refuse_other_kind(edge, parent)
                edge = None
            if edge is None or edge.parent != parent:
                self._refuse_loop(parent, child, stamp_ns)
            if edge is None:
                edge = self._edges[child] = PoseHistory(child, static=stamp_ns is None)
            self._frames.update((parent, child))
            stamp = stamp_ns or 0
            newest = edge.newest_ns
            if newest is not None and stamp < newest - self.max_reorder_ns:
                self.restarts += 1
                self.clear()
            edge.put(stamp, parent, pose, self.history_ns)

    @staticmethod
    def _refuse_other_kind(edge: PoseHistory, parent: str) -> None:
        """Keep a frame static or moving: both in turn would give poses of the wrong time.

        A moving edge without poses gives way instead.
        """
        if not edge.static and edge.newest_ns is None:
            return
        first, second = ("static", "moving") if edge.static else ("moving", "static")
        raise TransformError(
            f"transform '{parent}' -> '{edge.child}' is {second}, but '{edge.child}' is {first} "
            f"already; it is published on /tf_static and also on /tf or as odometry, stop one"
        )

    def _refuse_loop(self, parent: str, child: str, stamp_ns: int | None) -> None:
        """Keep out an edge that would close a loop: no lookup would succeed any more.

        An edge that is no longer published gives way instead.
        """
        frame = parent
        while (edge := self._edges.get(frame)) is not None:
            if edge.parent == child and self._is_gone(edge, stamp_ns):
                del self._edges[frame]
                return
            frame = edge.parent
            if frame == child:
                raise TransformError(
                    f"transform '{parent}' -> '{child}' would close a loop, as '{parent}' hangs "
                    f"from '{child}' already; two publishers disagree about a parent, stop one"
                )

    def _is_gone(self, edge: PoseHistory, stamp_ns: int | None) -> bool:
        if edge.static or stamp_ns is None:
            return False
        return edge.newest_ns is None or edge.newest_ns < stamp_ns - self.history_ns

    def _newest_common(self, target: str, source: str) -> int:
        newest = self.newest_common_ns(target, source)
        return 0 if newest is None else newest

    def _newest_of(self, edge: PoseHistory, target: str, source: str) -> int:
        if edge.newest_ns is None:
            sentence = f"{edge.parent} -> {edge.child} has no data since time restarted"
            raise TransformUnavailable(
                f"no transform from {source} to {target}: {sentence}", Reason.NO_DATA
            )
        return edge.newest_ns

    def _pose(self, target: str, source: str, stamp_ns: int) -> Pose:
        """Return target_from_source at a time."""
        up = self._chain(source, stamp_ns)
        down = self._chain(target, stamp_ns)
        meeting = self._meeting(target, source, up, down)
        try:
            meeting_from_source = self._climb(up, meeting, stamp_ns)
            meeting_from_target = self._climb(down, meeting, stamp_ns)
        except TransformUnavailable as error:
            raise TransformUnavailable(
                f"no transform from {source} to {target} at {seconds(stamp_ns)}: {error}",
                error.reason,
                error.missing_ns,
            ) from None
        return compose(invert(meeting_from_target), meeting_from_source)

    def _chain(self, frame: str, stamp_ns: int | None) -> list[str]:
        """Return the frame and its ancestors at a time (None: at present), up to the root."""
        if frame not in self._frames:
            known = ", ".join(sorted(self._frames)[:20]) or "none"
            raise TransformUnavailable(
                f"frame '{frame}' is unknown, known are: {known}; check the name and its publisher",
                Reason.UNKNOWN_FRAME,
            )
        chain = [frame]
        edge = self._edges.get(frame)
        while edge is not None:
            frame = edge.parent if stamp_ns is None else edge.parent_at(stamp_ns)
            if frame in chain:
                raise TransformUnavailable(
                    f"the frames {' -> '.join([*chain, frame])} form a loop; two publishers "
                    f"disagree about a parent",
                    Reason.LOOP,
                )
            chain.append(frame)
            edge = self._edges.get(frame)
        return chain

    @staticmethod
    def _meeting(target: str, source: str, up: list[str], down: list[str]) -> str:
        """Return the lowest frame that both chains contain."""
        below_target = set(down)
        for frame in up:
            if frame in below_target:
                return frame
        raise TransformUnavailable(
            f"frames '{target}' and '{source}' are not connected: one hangs from '{down[-1]}', the "
            f"other from '{up[-1]}'; a transform between these trees is not published",
            Reason.DISCONNECTED,
        )

    def _climb(self, chain: list[str], meeting: str, stamp_ns: int) -> Pose:
        """Return meeting_from_start along a chain."""
        total = IDENTITY
        for frame in chain:
            if frame == meeting:
                break
            total = compose(self._edges[frame].at(stamp_ns, self.extrapolation_ns), total)
        return total

    def _edges_between(self, target: str, source: str, stamp_ns: int | None) -> list[PoseHistory]:
        up, down = self._chain(source, stamp_ns), self._chain(target, stamp_ns)
        meeting = self._meeting(target, source, up, down)
        steps = [*up[: up.index(meeting)], *down[: down.index(meeting)]]
        return [self._edges[frame] for frame in steps]


def _plain(frame: str) -> str:
    return frame.removeprefix("/")


def _checked_pose(
    parent: str, child: str, translation: Sequence[float], quaternion_wxyz: Sequence[float]
) -> Pose:
    """Check the parts of a transform and normalise its quaternion."""
    edge = f"transform '{parent}' -> '{child}'"
    if not _plain(parent) or not _plain(child) or _plain(parent) == _plain(child):
        raise TransformError(f"{edge} must join two different, named frames")
    x, y, z = (float(value) for value in translation)
    w, i, j, k = (float(value) for value in quaternion_wxyz)
    if not all(map(math.isfinite, (x, y, z, w, i, j, k))):
        raise TransformError(f"{edge} has values that are not finite; check its publisher")
    squared = w * w + i * i + j * j + k * k
    if abs(squared - 1.0) > NORM_TOLERANCE:
        raise TransformError(
            f"{edge} has a quaternion of length {math.sqrt(squared):.4g} instead of 1; its "
            f"publisher must normalise it"
        )
    norm = math.sqrt(squared)
    return (x, y, z, w / norm, i / norm, j / norm, k / norm)
