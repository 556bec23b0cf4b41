"""Frame sets made into messages ahead of time, so that making them does not disturb the pace."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from threading import Condition, Thread

from streampetr_ros.messages.vehicle import SetMessages

#: Sets kept ready from a source that is fast enough.
_AHEAD = 3
#: Sets after which it is known whether the source is fast enough, the first not counted.
_JUDGED = 3
#: A source must be so much faster than the playback, because the receiver needs the CPU as well.
_MARGIN = 2.0
#: Images kept ready from a slower source, bytes.
_MOST_BYTES = 256 << 20
#: Longest wait for the set in the making at the end, seconds.
_MOST_ENDING_S = 10.0
#: Playback begins after so long even if it will have to wait, seconds.
_MOST_PREPARING_S = 120.0


class ReadAhead:
    """Makes frame sets in a thread of its own.

    Args:
        sets: makes the messages, stamps increasing.
        speed: playback speed.
    """

    def __init__(self, sets: Iterable[SetMessages], speed: float) -> None:
        self._sets = sets
        self._speed = speed
        self._waiting: deque[SetMessages] = deque()
        self._bytes = 0
        self._began = time.monotonic()
        self._made: list[tuple[float, int]] = []
        self._ended = self._closed = False
        self._error: Exception | None = None
        self._news = Condition()
        self._thread = Thread(target=self._run, daemon=True, name="read_ahead")
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether `take` returns at once."""
        with self._news:
            return bool(self._waiting) or self._ended

    @property
    def is_prepared(self) -> bool:
        """Whether playback may begin: it will not have to wait, or waiting longer is no use."""
        with self._news:
            judged = len(self._made) > _JUDGED
            late = time.monotonic() - self._began > _MOST_PREPARING_S and bool(self._waiting)
            return self._ended or late or (judged and not self._has_room())

    def take(self) -> SetMessages | None:
        """Return the next set, None after the last.

        Raises:
            SourceError: or whatever else kept the next set from being made.
        """
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                if self._error is not None:
                    raise self._error
                return None
            taken = self._waiting.popleft()
            self._bytes -= _image_bytes(taken)
            self._news.notify_all()
            return taken

    def close(self) -> None:
        """Make no more sets; waits for the one in the making."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        # Python must not end under a thread that computes.
        self._thread.join(_MOST_ENDING_S)

    def _run(self) -> None:
        try:
            for messages in self._sets:
                if not self._keep(messages):
                    break
        except Exception as error:  # noqa: BLE001 - raised where the set would have been taken
            self._error = error
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _keep(self, messages: SetMessages) -> bool:
        """Add a set once there is room; tells whether more are wanted."""
        with self._news:
            if len(self._made) <= _JUDGED:
                self._made.append((time.monotonic(), messages.stamp_ns))
            self._waiting.append(messages)
            self._bytes += _image_bytes(messages)
            self._news.notify_all()
            self._news.wait_for(lambda: self._closed or self._has_room())
            return not self._closed

    def _has_room(self) -> bool:
        if len(self._waiting) < _AHEAD or len(self._made) <= _JUDGED:
            return True
        return self._bytes < _MOST_BYTES and not self._source_is_fast()

    def _source_is_fast(self) -> bool:
        """Compare the time that the first sets took with the time they last."""
        (begin_s, first_ns), (end_s, last_ns) = self._made[0], self._made[_JUDGED]
        return (end_s - begin_s) * _MARGIN * self._speed * 1e9 < last_ns - first_ns


def _image_bytes(messages: SetMessages) -> int:
    return sum(len(camera.image.data) for camera in messages.cameras)
