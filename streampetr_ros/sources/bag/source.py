"""A rosbag2 recording as a source of frame sets, made as the node makes them from live topics.

Images go through the same synchroniser, transforms through the same tree, pictures and CameraInfo
through the same decoders, in the order they were recorded; a set that cannot be used is skipped
and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.sync.types import SyncStatistics
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.file import BagFile
from streampetr_ros.sources.bag.log import Recording
from streampetr_ros.sources.bag.single_pass import BagPass
from streampetr_ros.sources.bag.topics import find_topics


def _silent(_sentence: str) -> None:
    """Say nothing."""


class BagSource:
    """Frame sets of a bag.

    Args:
        recording: rosbag2 folder, .mcap or .db3 file, or one that is open.
        options: what the bag itself does not tell.
        warn: hears the first of each kind of problem.

    Attributes:
        options: as given.
        file: the recording.
        topics: what is read of it.
        problems: what was wrong in the last pass: reason to number of occurrences.

    Raises:
        SourceError: if the bag cannot be read or lacks topics; names the remedy.
    """

    def __init__(
        self,
        recording: Path | Recording,
        options: BagOptions | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.options = options or BagOptions()
        self.file = BagFile(recording) if isinstance(recording, Path) else recording
        self.topics = find_topics(self.file.topics, self.options, self.file.place)
        if self.topics.problems:
            raise SourceError(f"{self.file.title}: {self.topics.problems[0]}")
        self.problems: Counter[str] = Counter()
        self._warn = warn or _silent
        self._first_problem = ""
        self._pass: BagPass | None = None

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.file.name

    @property
    def position(self) -> int:
        """Sets tried so far in the last pass, good or not; see `frame_sets`."""
        return 0 if self._pass is None else self._pass.position

    @property
    def statistics(self) -> SyncStatistics | None:
        """What the synchroniser found in the last pass; None before the first."""
        return None if self._pass is None else self._pass.statistics()

    def __len__(self) -> int:
        """Return the most frame sets there can be; incomplete cycles make it fewer."""
        counts = {topic.name: topic.count for topic in self.file.topics}
        images = [counts[camera.image_topic] for camera in self.topics.cameras]
        return max(images) if self.options.parameters.sync.min_cameras else min(images)

    def __iter__(self) -> Iterator[FrameSet]:
        return self.frame_sets()

    def frame_sets(self, start: int = 0) -> Iterator[FrameSet]:
        """Yield the frame sets that can be used.

        Args:
            start: sets, good or not, to pass over without looking at their images, so that an
                interrupted run goes on where `position` was.

        Raises:
            SourceError: if the bag is damaged, or no set of it can be used.
        """
        self.problems.clear()
        current = self._pass = BagPass(self.file, self.topics, self.options, self.name, self._note)
        count = 0
        for frame_set in current.frame_sets(start):
            count += 1
            yield frame_set
        if count == 0 and start == 0:
            raise SourceError(f"{self.file.title} has no frame set that can be used: {self._why()}")

    def _note(self, reason: str, sentence: str) -> None:
        self.problems[reason] += 1
        if self.problems[reason] == 1:
            self._warn(sentence)
        if sum(self.problems.values()) == 1:
            self._first_problem = sentence

    def _why(self) -> str:
        """Say why nothing came out, in one sentence."""
        if self.problems:
            return self._first_problem
        statistics = self.statistics
        found = statistics.waiting_for if statistics else ""
        return found or "the stamps of the cameras do not meet; check the clocks of the cameras"
