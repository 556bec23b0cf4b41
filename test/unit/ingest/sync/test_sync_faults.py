"""The synchroniser with cameras that misbehave: named, counted, and harmless to the others."""

from __future__ import annotations

import random
import re
import weakref
from dataclasses import replace

import pytest
from rig_simulation import EPOCH_NS, MS, NUSCENES_MS, SECOND, Rig, mixed, ns, play, run
from rig_simulation import possible_sets as possible

from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import DropReason, StampedImage, SyncConfig, SyncStatistics


def problems(statistics: SyncStatistics, camera: str) -> str:
    return "; ".join(next(c.problems for c in statistics.cameras if c.name == camera))


def healthy(statistics: SyncStatistics, *but: str) -> bool:
    return not any(c.problems for c in statistics.cameras if c.name not in but)


class TestBadStamps:
    def test_duplicates(self):
        events = [e for e in Rig().events(60) for _ in range(2)]
        sets, statistics = run(Rig(), events)
        assert len(sets) == 60
        assert statistics.dropped == {DropReason.DUPLICATE: 360}

    def test_zero_stamps_are_named(self):
        events = [e._replace(stamp_ns=0) if e.camera == "back" else e for e in Rig().events(60)]
        sets, statistics = run(Rig(), events)
        assert not sets
        assert statistics.cameras[4].dropped == {DropReason.ZERO_STAMP: 60}
        assert "zero" in problems(statistics, "back")
        assert "back: stamps are zero" in statistics.waiting_for
        assert healthy(statistics, "back")

    def test_reordered_images_are_used_while_their_cycle_is_open(self):
        """Two neighbours of one camera change places; the others wait for the last to come."""
        events = Rig(extra_latency={"back_left": 90}).events(100)
        front = [i for i, e in enumerate(events) if e.camera == "front"]
        for first, second in zip(front[10:80:8], front[11:80:8], strict=False):
            a, b = events[first], events[second]
            events[first] = b._replace(arrival_ns=a.arrival_ns)
            events[second] = a._replace(arrival_ns=b.arrival_ns)
        sets, statistics = run(Rig(), events)
        assert mixed(sets) == 0
        assert len(sets) == 100
        assert statistics.cameras[1].reordered == 9

    def test_late_images_are_counted(self):
        rig = Rig()
        events = [
            e._replace(arrival_ns=e.arrival_ns + 150 * MS)
            if e.camera == "front" and e.cycle % 10 == 5
            else e
            for e in rig.events(100)
        ]
        sets, statistics = run(rig, sorted(events), min_cameras=5)
        assert len(sets) == 100
        assert statistics.degraded == 10
        assert statistics.cameras[1].dropped == {DropReason.LATE: 10}

    def test_frozen_camera_is_named_and_left_out(self):
        events = [
            e._replace(fingerprint=7 if e.camera == "front" and e.cycle >= 50 else e.cycle)
            for e in Rig().events(100)
        ]
        sets, statistics = run(Rig(), events, min_cameras=5)
        assert len(sets) == 100
        assert sum(not found.missing for found in sets) == 52
        assert statistics.cameras[1].dropped == {DropReason.FROZEN: 48}
        assert "frozen" in problems(statistics, "front")
        assert healthy(statistics, "front")

    def test_frozen_check_can_be_off(self):
        events = [e._replace(fingerprint=7) for e in Rig().events(30)]
        assert len(run(Rig(), events, frozen_after=0)[0]) == 30

    @pytest.mark.parametrize("years", [-50, 1, 80])
    def test_single_stamps_from_another_time(self, years):
        """A stray stamp costs its own image only and restarts nothing."""
        far = years * 365 * 24 * 3600 * SECOND
        events = [
            e._replace(stamp_ns=max(1, e.stamp_ns + far))
            if e.camera in ("front", "back") and e.cycle % 20 == 7 + len(e.camera)
            else e
            for e in Rig().events(100)
        ]
        sets, statistics = run(Rig(), events, min_cameras=5)
        assert len(sets) == 100
        assert statistics.restarts == 0
        assert statistics.dropped == {DropReason.IMPLAUSIBLE_STAMP: 10}

    def test_a_forward_jump_of_all_is_followed(self):
        events = Rig().events(50)
        hour = 3600 * SECOND
        moved = [
            e._replace(stamp_ns=e.stamp_ns + hour, arrival_ns=e.arrival_ns + 5 * SECOND)
            for e in Rig().events(50, seed=1)
        ]
        sets, statistics = run(Rig(), events + moved)
        assert len(sets) == 100
        assert statistics.restarts == 1
        assert "ahead 35" in statistics.last_restart

    def test_a_gap_is_no_restart(self):
        events = [e for e in Rig().events(200) if not 50 <= e.cycle < 150]
        sets, statistics = run(Rig(), events)
        assert len(sets) == 100
        assert statistics.restarts == 0

    def test_short_bag_loops(self):
        events, sync, count = Rig().events(4), FrameSetSynchroniser(Rig().config()), 0
        for loop in range(6):
            again = [e._replace(arrival_ns=e.arrival_ns + loop * SECOND) for e in events]
            count += len(play(sync, again, again[-1].arrival_ns))
        assert count == 24
        assert sync.statistics(0).restarts == 5


class TestSkewedClocks:
    def test_given_offsets_keep_a_skewed_camera_out(self):
        rig = Rig(skew={"front": 60.0})
        sync = FrameSetSynchroniser(rig.config(5, given=True))
        sets = play(sync, rig.events(100))
        statistics = sync.statistics(rig.events(100)[-1].arrival_ns)
        assert len(sets) == 100
        assert mixed(sets) == 0
        assert all(found.missing == ("front",) for found in sets)
        assert "clock skew: fires -23.3 ms" in problems(statistics, "front")
        assert healthy(statistics, "front")

    def test_a_camera_near_its_given_offset_is_healthy(self):
        rig = Rig(skew={"front": 3.0})
        sync = FrameSetSynchroniser(rig.config(given=True))
        sets = play(sync, rig.events(100))
        statistics = sync.statistics(rig.events(100)[-1].arrival_ns)
        assert len(sets) == 100
        assert healthy(statistics)

    @pytest.mark.parametrize(
        ("skew", "word"), [(60.0, "sooner"), (-300.0, "later"), (5000.0, "sooner")]
    )
    def test_learned_offsets_name_it_by_arrival(self, skew, word):
        rig = Rig(skew={"back": skew})
        _, statistics = run(rig, rig.events(100), min_cameras=5)
        text = problems(statistics, "back")
        assert "clock skew" in text
        assert word in text
        assert int(re.search(r"(\d+) ms", text)[1]) == pytest.approx(abs(skew), abs=5)
        assert healthy(statistics, "back")

    @pytest.mark.parametrize("camera", ["front_left", "back"])
    @pytest.mark.parametrize("skew", [5000.0, -5000.0, 3.6e6, -3.6e6])
    def test_a_clock_off_by_seconds_or_hours_costs_its_camera_only(self, camera, skew):
        rig = Rig(skew={camera: skew})
        sets, statistics = run(rig, rig.events(100), min_cameras=5)
        assert len(sets) >= 99
        assert mixed(sets) == 0
        assert all(found.missing == (camera,) for found in sets)
        assert "clock skew" in problems(statistics, camera)
        assert healthy(statistics, camera)

    def test_a_clock_stepped_back_in_mid_run(self):
        events = [
            e._replace(stamp_ns=e.stamp_ns - 20 * SECOND)
            if e.camera == "back" and e.cycle >= 50
            else e
            for e in Rig().events(100)
        ]
        sets, statistics = run(Rig(), events, min_cameras=5)
        assert len(sets) == 100
        assert statistics.restarts == 0
        assert "back in time" in problems(statistics, "back")


class TestMissingCameras:
    def test_dead_camera_is_named(self):
        events = [e for e in Rig().events(100) if e.camera != "front" or e.cycle < 50]
        sets, statistics = run(Rig(), events)
        assert len(sets) == 50
        assert "silent for 4." in problems(statistics, "front")
        assert statistics.waiting_for.startswith("6 cameras are needed: front: silent for 4.")
        assert max(camera.pending for camera in statistics.cameras) <= 8

    def test_dead_camera_is_not_waited_for(self):
        """Once a camera is known to be silent, sets leave with the last of the others."""
        rig = Rig(arrival_jitter=0.0)
        sync = FrameSetSynchroniser(rig.config(5))
        for event in [e for e in rig.events(100) if e.camera != "back_left" or e.cycle < 50]:
            found = sync.add(StampedImage(event.camera, event.stamp_ns, 0), event.arrival_ns)
            if event.cycle > 60:
                assert len(found) == (event.camera == "back")

    def test_never_seen(self):
        sync = FrameSetSynchroniser(Rig().config())
        assert "no image has arrived" in sync.statistics(0).waiting_for
        play(sync, [e for e in Rig().events(3) if e.camera != "back"])
        assert "back: no image yet" in sync.statistics(300 * MS).waiting_for

    def test_waiting_for_says_when_it_learns(self):
        sync = FrameSetSynchroniser(Rig().config())
        for event in Rig().events(1):
            sync.add(StampedImage(event.camera, event.stamp_ns, 0), event.arrival_ns)
        assert "learning" in sync.statistics(80 * MS).waiting_for

    def test_nothing_to_say_while_sets_flow(self):
        _, statistics = run(Rig(), Rig().events(30))
        assert statistics.waiting_for == ""
        assert healthy(statistics)

    @pytest.mark.parametrize("late", [100.0, 300.0, 550.0])
    def test_slow_transport_of_one_camera(self, late):
        rig = Rig(extra_latency={"front": late})
        sets, statistics = run(rig, rig.events(100))
        assert len(sets) == 100
        assert mixed(sets) == 0
        assert "transport slow" in problems(statistics, "front")

    def test_memory_is_bounded_whatever_comes(self):
        rng = random.Random(0)
        sync = FrameSetSynchroniser(replace(Rig().config(), history=4))
        for k in range(3000):
            camera = rng.choice(list(NUSCENES_MS))
            stamp = EPOCH_NS + rng.choice([k * MS, -k * MS, rng.randint(-(10**12), 10**12)])
            sync.add(StampedImage(camera, stamp, 0), k * MS)
        held = sum(camera.pending for camera in sync.statistics(0).cameras)
        assert held <= 6 * (4 + 4)

    def test_every_image_is_accounted_for(self):
        events = Rig(loss=0.2, stamp_jitter=3).events(200)
        _, statistics = run(Rig(), events, min_cameras=5)
        for camera in statistics.cameras:
            assert camera.received == camera.used + camera.pending + sum(camera.dropped.values())


class TestCallersClock:
    def test_slow_replay_on_a_fast_clock(self):
        """A tenth of the speed with wall time as arrival: degraded sets still wait long enough."""
        rig = Rig(arrival_jitter=5.0)
        events = [e._replace(arrival_ns=e.arrival_ns * 10) for e in rig.events(60)]
        sets, _ = run(rig, events, min_cameras=5)
        assert sum(not found.missing for found in sets) >= 57

    def test_clock_that_goes_back(self):
        first = Rig(loss=0.05).events(50)
        second = [
            e._replace(arrival_ns=e.arrival_ns - 3 * SECOND, cycle=e.cycle + 50)
            for e in Rig(loss=0.05).events(50, seed=1, start_ms=50_000 / 12, arrival_ms=50_000 / 12)
        ]
        sync = FrameSetSynchroniser(Rig().config(5))
        sets = play(sync, first, first[-1].arrival_ns) + play(sync, second)
        assert len(sets) >= possible(first, 5) + possible(second, 5) - 1
        assert mixed(sets) == 0

    def test_all_images_in_one_burst(self):
        events = [e._replace(arrival_ns=0) for e in Rig().events(8)]
        assert len(run(Rig(), events, min_cameras=5)[0]) == 8

    @pytest.mark.parametrize("wait", [10, 30, 60])
    def test_waiting_time_may_be_given(self, wait):
        """A missing camera is waited for from its usual time of arrival on."""
        rig = Rig(arrival_jitter=0.0)
        events = [e for e in rig.events(30) if e.camera != "back_left" or e.cycle != 20]
        sync = FrameSetSynchroniser(replace(rig.config(5), wait_ns=wait * MS))
        for event in events[: 6 * 20 + 5]:
            sync.add(StampedImage(event.camera, event.stamp_ns, 0), event.arrival_ns)
        expected = events[0].arrival_ns + ns(20 * 1000 / 12 + 42.6 + wait)
        assert sync.next_deadline_ns == pytest.approx(expected, abs=1000)

    def test_restart_by_hand(self):
        sync = FrameSetSynchroniser(Rig().config())
        play(sync, Rig().events(5))
        assert sync.restart("clock jumped") == []
        sets = play(sync, Rig().events(5))
        assert sets[0].restarted == "clock jumped"
        assert [found.restarted for found in sets[1:]] == [None] * 4


class TestConfig:
    @pytest.mark.parametrize(
        ("wrong", "word"),
        [
            ({"cameras": ()}, "different names"),
            ({"cameras": ("a", "a")}, "different names"),
            ({"min_cameras": 3}, "1..2"),
            ({"min_cameras": 0}, "1..2"),
            ({"offsets_ns": {"a": 0}}, "offset for each camera"),
            ({"history": 1}, "history"),
            ({"period_ns": 0}, "period_ns"),
            ({"window_ns": -1}, "window_ns"),
            ({"wait_ns": -1}, "wait_ns"),
        ],
    )
    def test_wrong_values_are_refused(self, wrong, word):
        with pytest.raises(ValueError, match=word):
            SyncConfig(**{"cameras": ("a", "b"), **wrong})

    def test_unknown_camera(self):
        sync = FrameSetSynchroniser(SyncConfig(cameras=("a", "b")))
        with pytest.raises(ValueError, match="'c' is not one of"):
            sync.add(StampedImage("c", 1, None), 0)


class Payload:
    """Something whose life can be watched."""


def test_memory_is_bounded_when_nothing_matches():
    """One camera five seconds ahead, all required: queues are full all the time."""
    rig = Rig(skew={"front": 5000.0})
    config = rig.config()
    sync = FrameSetSynchroniser(config)
    alive = weakref.WeakSet()
    most = 0
    for event in rig.events(150):
        payload = Payload()
        alive.add(payload)
        sync.add(StampedImage(event.camera, event.stamp_ns, payload), event.arrival_ns)
        del payload
        most = max(most, len(alive))
    assert most <= 2 * config.history * len(config.cameras)
