"""What keeps frame sets from being made or published: counted always, said now and then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from threading import Lock

from streampetr_ros.core.errors import one_line

#: Places that are told apart; whoever makes up new names must not fill the log.
_MOST_PLACES = 200


class Problem(str, Enum):
    """Kinds of problems."""

    NO_CAMERA_INFO = "no CameraInfo"
    BAD_CALIBRATION = "unusable CameraInfo"
    BAD_FRAME = "unusable frame_id"
    BAD_IMAGE = "unusable image"
    BAD_TRANSFORM = "unusable transform"
    NO_TRANSFORM = "missing transform"
    DROPPED_IMAGE = "dropped image"
    QOS = "incompatible QoS"
    OVERTAKEN = "overtaken by a newer set"
    NOT_DUE = "not due yet"
    NO_LISTENER = "nobody listens"
    PIPELINE = "processing failed"
    OUTPUT = "publishing failed"
    CLOCK = "clock that steps back"
    NO_IMAGE = "camera that sends nothing"
    RESTART = "memory restarted"


class SkippedSet(Exception):  # noqa: N818 - a state of affairs, not a mistake
    """A frame set that cannot be made; its text says what, where and what to do.

    Attributes:
        problem: kind.
        topic: concerned; of transforms, what is wrong with them.
        may_come: whether what is missing may still come.
    """

    def __init__(
        self, problem: Problem, topic: str, sentence: str, *, may_come: bool = False
    ) -> None:
        super().__init__(sentence)
        self.problem = problem
        self.topic = topic
        self.may_come = may_come

    @property
    def kind(self) -> str:
        """Problem and topic, the same for all sets that have it."""
        if self.problem is Problem.NO_TRANSFORM:
            return f"{self.problem.value} ({self.topic})"
        return f"{self.problem.value} on '{self.topic}'"


class ProblemLog:
    """Counts problems and passes on each kind at each place once per period. Thread-safe.

    Args:
        warn: receives sentences.
        period_s: least time between two sentences of one kind and place.
        clock: seconds that never go back.

    Attributes:
        last: what was reported last, said or not.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        period_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.period_s = period_s
        self.last = ""
        self._warn = warn
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[Problem] = Counter()
        self._said: dict[tuple[Problem, str], float] = {}
        self._silent: Counter[tuple[Problem, str]] = Counter()

    def report(self, problem: Problem, where: str, sentence: str, count: int = 1) -> None:
        """Count a problem and log it unless it was logged within the period.

        Args:
            problem: kind.
            where: topic, camera or frame it concerns.
            sentence: for the log; empty only counts.
            count: occurrences.
        """
        with self._lock:
            self._counts[problem] += count
            self.last = one_line(sentence) or self.last
            text = self._worth_saying(self._key(problem, where), one_line(sentence), count)
        if text:
            self._warn(text)

    def _key(self, problem: Problem, where: str) -> tuple[Problem, str]:
        """Let all places share one key once there are too many of them."""
        key = (problem, where)
        if key in self._said or len(self._said) < _MOST_PLACES:
            return key
        return problem, "elsewhere"

    def _worth_saying(self, key: tuple[Problem, str], sentence: str, count: int) -> str:
        now = self._clock()
        last = self._said.get(key)
        if not sentence:
            return ""
        if last is not None and now - last < self.period_s:
            self._silent[key] += count
            return ""
        self._said[key] = now
        more = self._silent.pop(key, 0)
        return f"{sentence} ({more} more since the last report)" if more else sentence

    def counts(self) -> Mapping[Problem, int]:
        """Return how often each kind occurred."""
        with self._lock:
            return dict(self._counts)
