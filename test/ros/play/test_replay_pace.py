"""How a playback keeps its pace, with a wall clock that only moves when asked to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from rigs import frame_set

from streampetr_ros.messages.vehicle import FrameNames, SetMessages, set_messages
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.play.pace import TICK_S, Pace
from streampetr_ros.ros.play.read_ahead import ReadAhead
from streampetr_ros.sources import SourceError

SECOND_NS = 1_000_000_000


class Wall:
    """Wall time, and what the playback showed at which."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.shown: list[tuple[float, int]] = []

    def pass_(self, seconds: float) -> None:
        self.now_s += seconds

    def pace(self, speed: float) -> Pace:
        return Pace(
            speed,
            lambda stamp_ns: self.shown.append((self.now_s, stamp_ns)),
            lambda: True,
            lambda: self.now_s,
            self.pass_,
        )

    def never_ran_ahead(self, speed: float, slack_s: float = 1e-6) -> bool:
        """Tell whether no two times shown are further apart than wall time allows."""
        return all(
            0 <= later - sooner <= (end_s - begin_s + slack_s) * speed * SECOND_NS
            for i, (begin_s, sooner) in enumerate(self.shown)
            for end_s, later in self.shown[i:]
        )


@pytest.mark.parametrize("speed", [0.1, 1.0, 10.0])
def test_clock_ticks_at_the_speed(speed: float) -> None:
    wall = Wall()
    pace = wall.pace(speed)
    pace.start(5 * SECOND_NS)
    pace.reach(6 * SECOND_NS)
    assert wall.now_s - 100.0 == pytest.approx(1.0 / speed, abs=1e-6)
    assert wall.shown[-1][1] >= 6 * SECOND_NS
    assert wall.never_ran_ahead(speed)
    assert max(later - sooner for (sooner, _), (later, _) in pairwise(wall.shown)) < 1.01 * TICK_S


def test_clock_does_not_race_after_a_source_that_was_late() -> None:
    """A clock that stood still and then caught up made latencies of 0 and of seconds."""
    wall = Wall()
    pace = wall.pace(1.0)
    pace.start(0)
    pace.reach(SECOND_NS)
    for _ in range(300):
        pace.idle(SECOND_NS + SECOND_NS // 20)
    assert wall.shown[-1][1] == SECOND_NS + SECOND_NS // 20
    pace.reach(SECOND_NS + SECOND_NS // 10)
    pace.reach(SECOND_NS + SECOND_NS // 5)
    assert wall.never_ran_ahead(1.0)
    assert wall.now_s - 100.0 == pytest.approx(4.2 - 0.05, abs=0.03)
    assert pace.stood_still_s == pytest.approx(2.95, abs=0.02)


def test_short_delays_are_made_up_for_and_long_ones_are_not() -> None:
    wall = Wall()
    pace = wall.pace(1.0)
    pace.start(0)
    wall.pass_(0.3)
    pace.reach(SECOND_NS // 10)
    # The image is late, and the clock says so.
    assert wall.shown[-1][1] == pytest.approx(0.3 * SECOND_NS, abs=10)
    assert pace.stood_still_s == 0.0
    wall.pass_(5.0)
    pace.reach(SECOND_NS // 2)
    assert wall.shown[-1][1] == SECOND_NS // 2
    assert pace.stood_still_s == pytest.approx(4.8)
    assert wall.never_ran_ahead(1.0)


def test_time_may_start_again() -> None:
    wall = Wall()
    pace = wall.pace(1.0)
    pace.start(SECOND_NS)
    pace.reach(2 * SECOND_NS)
    pace.start(SECOND_NS)
    assert wall.shown[-1][1] == SECOND_NS
    pace.reach(SECOND_NS + 1000)
    assert wall.shown[-1][1] == pytest.approx(SECOND_NS + 1000, abs=10)


def messages(index: int) -> SetMessages:
    return set_messages(types, frame_set(index, size=(16, 8)), "jpeg", FrameNames())


def test_slow_source_is_prepared_to_its_end() -> None:
    go_on = threading.Event()

    def sets() -> Iterator[SetMessages]:
        yield from map(messages, range(5))
        go_on.wait(10.0)
        yield messages(5)

    # At this speed no source is fast enough.
    ahead = ReadAhead(sets(), 1e9)
    assert ahead.take() is not None
    assert not ahead.is_prepared
    go_on.set()
    stamps = []
    while (found := ahead.take()) is not None:
        stamps.append(found.stamp_ns)
    assert ahead.is_prepared
    assert stamps == [frame_set(index).stamp_ns for index in range(1, 6)]


def test_fast_source_is_not_read_to_its_end() -> None:
    made: list[int] = []
    enough = threading.Event()

    def sets() -> Iterator[SetMessages]:
        for index in range(100):
            made.append(index)
            if len(made) == 5:
                enough.set()
            yield messages(index)

    ahead = ReadAhead(sets(), 1e-6)
    assert not enough.wait(0.2)
    assert ahead.is_prepared
    assert ahead.take() is not None
    ahead.take()
    assert enough.wait(10.0)
    ahead.close()


def test_whatever_stops_a_source_reaches_the_player() -> None:
    def sets() -> Iterator[SetMessages]:
        yield messages(0)
        raise SourceError("the disk is gone")

    ahead = ReadAhead(sets(), 1.0)
    assert ahead.take() is not None
    with pytest.raises(SourceError, match="the disk is gone"):
        ahead.take()
    assert ahead.is_prepared
