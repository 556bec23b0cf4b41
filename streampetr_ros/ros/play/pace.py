"""Simulated time of a playback: how stamps of a recording follow wall time."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECOND_NS = 1_000_000_000
#: The clock is shown this often, seconds of wall time; no duration by it is known better.
TICK_S = 0.01
#: An image may come so late before time stands still for it, seconds of wall time.
_SLACK_S = 0.5


class Pace:
    """Time that flows at a constant speed, and stands still where images are not ready.

    It never runs faster to catch up: a receiver that measures how long something takes by the clock
    would measure that.

    Args:
        speed: seconds of the recording per second of wall time.
        show: publishes a time, nanoseconds; only ever called with increasing ones.
        is_running: False ends all waits.
        wall: seconds of a clock that never jumps.
        sleep: waits for seconds of wall time.

    Attributes:
        stood_still_s: seconds of wall time that were not played.
    """

    def __init__(
        self,
        speed: float,
        show: Callable[[int], None],
        is_running: Callable[[], bool],
        wall: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.stood_still_s = 0.0
        self._speed = speed
        self._show = show
        self._is_running = is_running
        self._wall = wall
        self._sleep = sleep
        self._anchor = (0.0, 0)
        self._shown_ns: int | None = None

    def start(self, stamp_ns: int) -> None:
        """Let time go on from a stamp, which may lie before what was shown."""
        self._anchor = (self._wall(), stamp_ns)
        self._shown_ns = stamp_ns
        self._show(stamp_ns)

    def reach(self, stamp_ns: int) -> None:
        """Wait until a stamp is due; the clock shows it then, or later if it was due before."""
        while self._is_running():
            now_ns = self._now_ns()
            if now_ns >= stamp_ns:
                self._show_later(self._stand_at(stamp_ns, now_ns, _SLACK_S))
                return
            self._show_later(now_ns)
            self._sleep(min((stamp_ns - now_ns) / _SECOND_NS / self._speed, TICK_S))

    def idle(self, limit_ns: int) -> None:
        """Wait for one tick of wall time; the clock goes on, but not beyond a limit."""
        self._show_later(self._stand_at(limit_ns, self._now_ns(), 0.0))
        self._sleep(TICK_S)

    def _now_ns(self) -> int:
        wall_s, stamp_ns = self._anchor
        return stamp_ns + int((self._wall() - wall_s) * self._speed * _SECOND_NS)

    def _stand_at(self, stamp_ns: int, now_ns: int, slack_s: float) -> int:
        """Hold time at a stamp if it passed it by more than a slack; returns the time it is."""
        late_s = (now_ns - stamp_ns) / _SECOND_NS / self._speed
        if late_s <= slack_s:
            return now_ns
        self._anchor = (self._wall(), stamp_ns)
        self.stood_still_s += late_s
        return stamp_ns

    def _show_later(self, stamp_ns: int) -> None:
        if self._shown_ns is None or stamp_ns > self._shown_ns:
            self._shown_ns = stamp_ns
            self._show(stamp_ns)
