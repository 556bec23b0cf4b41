"""A camera whose stamps run ahead by seconds: it costs its own images, not those that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from rig_simulation import EPOCH_NS, MS, SECOND, Event, Rig, check_order, mixed, ns, play, run

from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import DropReason

RIG = Rig(hz=10.0)
CYCLES = 120
#: What a set may end at without being ahead of time.
END_NS = EPOCH_NS + CYCLES * 100 * MS


def shifted(events: Sequence[Event], seconds: float, which: Callable[[Event], bool]) -> list[Event]:
    return [e._replace(stamp_ns=e.stamp_ns + ns(seconds * 1000)) if which(e) else e for e in events]


@pytest.mark.parametrize("fewest", [6, 5, 1])
@pytest.mark.parametrize("seconds", [0.3, 5.0, 30.0, 59.0, 70.0, -5.0])
@pytest.mark.parametrize("camera", ["front_left", "back_left"])
class TestOneCamera:
    def test_a_single_stamp(self, camera: str, seconds: float, fewest: int):
        events = shifted(
            RIG.events(CYCLES), seconds, lambda e: e.camera == camera and e.cycle == 30
        )
        sets, statistics = run(RIG, events, min_cameras=fewest)
        check_order(sets)
        assert mixed(sets) == 0
        assert len(sets) == CYCLES - (fewest == 6)
        assert sum(not found.missing for found in sets) == CYCLES - 1
        assert sets[-1].stamp_ns < END_NS
        assert statistics.restarts == 0
        assert statistics.dropped[DropReason.IMPLAUSIBLE_STAMP] == 1

    def test_the_first_stamp(self, camera: str, seconds: float, fewest: int):
        """Nothing tells that it is wrong, but the next ones do."""
        events = shifted(RIG.events(CYCLES), seconds, lambda e: e.camera == camera and e.cycle == 0)
        sets, statistics = run(RIG, events, min_cameras=fewest)
        assert mixed(sets) == 0
        assert sum(not found.missing for found in sets) >= CYCLES - 2
        assert sets[-1].stamp_ns < END_NS
        assert statistics.restarts == (seconds == 70.0 and camera == "front_left")


@pytest.mark.parametrize("fewest", [6, 5, 1])
@pytest.mark.parametrize("seconds", [5.0, 30.0, 59.0])
def test_two_seconds_of_wrong_stamps(seconds: float, fewest: int):
    events = shifted(
        RIG.events(CYCLES), seconds, lambda e: e.camera == "front" and 30 <= e.cycle < 50
    )
    sets, statistics = run(RIG, events, min_cameras=fewest)
    check_order(sets)
    assert mixed(sets) == 0
    assert sum(not found.missing for found in sets) >= CYCLES - 21
    assert len(sets) == CYCLES - 20 * (fewest == 6)
    assert sets[-1].stamp_ns < END_NS
    assert statistics.restarts == 0


def test_a_clock_that_stays_ahead_is_named():
    events = shifted(RIG.events(60), 5.0, lambda e: e.camera == "front" and e.cycle >= 30)
    sets, statistics = run(RIG, events, min_cameras=5)
    assert len(sets) == 60
    (problem,) = statistics.cameras[1].problems
    assert "clock skew: stamps are" in problem
    assert "s ahead of the other cameras" in problem


def test_wrongly_believed_stamps_are_taken_back_from_open_cycles():
    """The camera returns alone after a pause of all, with a wrong stamp that only it has."""
    rig = Rig(hz=10.0, arrival_jitter=0.0)
    late = [e for e in rig.events(60) if e.cycle < 30 or e.cycle >= 50]
    events = shifted(late, 8.0, lambda e: e.camera == "front_left" and e.cycle == 50)
    sets, statistics = run(rig, events)
    assert mixed(sets) == 0
    assert len(sets) == 39
    assert statistics.dropped[DropReason.IMPLAUSIBLE_STAMP] == 1
    assert all(camera.pending <= 1 for camera in statistics.cameras)


class TestAllCameras:
    @pytest.mark.parametrize("seconds", [0.3, 5.0, 30.0, 59.0])
    @pytest.mark.parametrize("pause", [False, True])
    @pytest.mark.parametrize("fewest", [6, 5, 1])
    def test_a_gap_of_the_recording(self, seconds: float, pause: bool, fewest: int):
        """Played as it was or with the gap cut out: no set is lost, nothing starts afresh."""
        events = shifted(RIG.events(CYCLES), seconds, lambda e: e.cycle >= 60)
        events = [
            e._replace(arrival_ns=e.arrival_ns + ns(seconds * 1000) * (pause and e.cycle >= 60))
            for e in events
        ]
        sets, statistics = run(RIG, events, min_cameras=fewest)
        check_order(sets)
        assert mixed(sets) == 0
        assert len(sets) == CYCLES
        assert sum(not found.missing for found in sets) >= CYCLES - 1
        assert statistics.restarts == 0

    def test_cameras_that_return_one_after_the_other(self):
        order = list(RIG.cameras)
        events = [
            e
            for e in RIG.events(400)
            if e.cycle < 30 or e.cycle >= 330 + 10 * order.index(e.camera)
        ]
        sets, statistics = run(RIG, events)
        assert mixed(sets) == 0
        assert len(sets) == 30 + 20
        assert statistics.restarts == 0

    def test_a_camera_that_was_away_returns(self):
        events = [e for e in RIG.events(CYCLES) if e.camera != "front" or not 30 <= e.cycle < 90]
        sets, _ = run(RIG, events, min_cameras=5)
        assert len(sets) == CYCLES
        assert sum(not found.missing for found in sets) == CYCLES - 60

    @pytest.mark.parametrize("seconds", [5.0, 59.0, -5.0])
    def test_a_single_camera_follows_its_own_stamps(self, seconds: float):
        rig = Rig(offsets={"mono": 0.0}, hz=10.0)
        sets, _ = run(rig, shifted(rig.events(60), seconds, lambda e: e.cycle >= 30))
        assert len(sets) == 60

    def test_two_cameras_of_which_one_is_behind(self):
        """Neither is known to be right, so a pause of the one ahead must not silence it."""
        rig = Rig(offsets={"left": 0.0, "right": 3.0}, hz=10.0, skew={"right": -5000.0})
        events = [e for e in rig.events(100) if e.camera != "left" or not 30 <= e.cycle < 60]
        sync = FrameSetSynchroniser(rig.config(1))
        play(sync, events)
        left = sync.statistics(events[-1].arrival_ns).cameras[0]
        assert left.dropped.get(DropReason.IMPLAUSIBLE_STAMP, 0) == 0
        assert left.problems == () or "ahead of the other" not in left.problems[0]


@pytest.mark.parametrize("hz", [20, 30])
@pytest.mark.parametrize("fewest", [6, 5])
def test_a_period_that_is_given_far_too_long_does_not_stop_the_sets(hz: int, fewest: int):
    rig = Rig(offsets={f"c{i}": 2.0 * i for i in range(6)}, hz=hz, arrival_jitter=5.0)
    sets, statistics = run(rig, rig.events(300), min_cameras=fewest, period_ns=SECOND // 10)
    assert mixed(sets) == 0
    assert len(sets) >= 298
    assert statistics.period_ns == pytest.approx(SECOND / hz, rel=0.02)
