"""Say in the log which images the synchroniser dropped, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from streampetr_ros.ingest.messages import stamp_text
from streampetr_ros.ingest.sync.report import DROP_REMEDIES
from streampetr_ros.ingest.sync.types import CameraStatistics, DropReason, SyncStatistics
from streampetr_ros.ros.problems import Problem, ProblemLog


class DropReport:
    """Compares snapshots of the synchroniser and reports what was dropped in between.

    Args:
        problems: counts and logs.
    """

    def __init__(self, problems: ProblemLog) -> None:
        self._problems = problems
        self._seen: dict[tuple[str, DropReason], int] = {}

    def update(self, statistics: SyncStatistics, topics: Mapping[str, str]) -> None:
        """Report drops since the last snapshot.

        Args:
            statistics: snapshot.
            topics: image topic by camera.
        """
        for camera in statistics.cameras:
            for reason, total in camera.dropped.items():
                count = total - self._seen.get((camera.name, reason), 0)
                self._seen[camera.name, reason] = total
                if count > 0:
                    self._report(camera, reason, count, topics.get(camera.name, ""))

    def _report(self, camera: CameraStatistics, reason: DropReason, count: int, topic: str) -> None:
        newest = camera.last_stamp_ns
        stamp = "" if newest is None else f", newest stamp {stamp_text(newest)}"
        self._problems.report(
            Problem.DROPPED_IMAGE,
            f"{camera.name} {reason.value}",
            f"{count} image(s) of camera '{camera.name}' on '{topic}' dropped: {reason.value}"
            f"{stamp}; {DROP_REMEDIES[reason]}",
            count,
        )
