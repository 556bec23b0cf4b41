"""The synchroniser on simulated rigs: counts of sets, never a mixed one, the rhythm learned."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from rig_simulation import (
    EPOCH_NS,
    MS,
    NUSCENES_MS,
    SECOND,
    Rig,
    check_order,
    mixed,
    play,
    run,
)
from rig_simulation import possible_sets as possible

from streampetr_ros.ingest.sync.rhythm import RigTiming, measure_phases
from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import StampedImage, SyncConfig

EQUAL = dict.fromkeys(NUSCENES_MS, 0.0)
EVEN = {f"camera_{i}": i * 1000 / 12 / 6 for i in range(6)}


class TestTargets:
    """600 cycles at 12 Hz, nuScenes offsets, 15 ms arrival jitter."""

    @pytest.mark.parametrize("given", [False, True], ids=["learned", "given"])
    @pytest.mark.parametrize(
        ("loss", "fewest", "at_least"),
        [(0.0, 6, 600), (0.0, 5, 600), (0.05, 5, 550), (0.1, 5, 520)],
    )
    def test_sets_formed(self, given, loss, fewest, at_least):
        rig = Rig(loss=loss)
        events = rig.events(600)
        sync = FrameSetSynchroniser(rig.config(fewest, given))
        sets = play(sync, events)
        assert len(sets) >= at_least
        assert len(sets) >= possible(events, fewest) - 1
        assert sum(not found.missing for found in sets) >= possible(events, 6) - 1
        assert mixed(sets) == 0
        assert sync.statistics(0).restarts == 0
        check_order(sets)

    @pytest.mark.parametrize("loss", [0.0, 0.05])
    def test_every_loop_of_a_bag_is_as_good_as_the_first(self, loss):
        rig = Rig(loss=loss)
        sync = FrameSetSynchroniser(rig.config(5))
        events = rig.events(600)
        length = events[-1].arrival_ns + 300 * MS
        loops = []
        for loop in range(4):
            again = [e._replace(arrival_ns=e.arrival_ns + loop * length) for e in events]
            loops.append(play(sync, again))
            check_order(loops[-1])
            assert mixed(loops[-1]) == 0
        counts = [len(sets) for sets in loops]
        assert max(abs(count - counts[0]) for count in counts) <= 0.01 * counts[0]
        statistics = sync.statistics(0)
        assert statistics.restarts == 3
        assert [bool(sets[0].restarted) for sets in loops] == [False, True, True, True]
        assert "jumped back 49" in statistics.last_restart

    def test_latency(self):
        """Complete sets leave with their last image, degraded ones within a period."""
        rig = Rig(loss=0.05)
        sync, arrived = FrameSetSynchroniser(rig.config(5)), {}
        for event in rig.events(200):
            arrived.setdefault(event.cycle, []).append(event.arrival_ns)
            while (deadline := sync.next_deadline_ns) is not None and deadline < event.arrival_ns:
                for found in sync.poll(deadline):
                    assert deadline - min(arrived[found.images[0].payload]) < SECOND / 12 * 1.2
            image = StampedImage(event.camera, event.stamp_ns, event.cycle)
            for found in sync.add(image, event.arrival_ns):
                if not found.missing and event.cycle > 2:
                    assert found.images[0].payload == event.cycle


class TestRandomRigs:
    def test_seeded_rigs_lose_and_mix_nothing(self):
        """Rates, offsets, losses, jitter and numbers of cameras drawn at random."""
        for seed in range(60):
            rng = random.Random(seed)
            hz = rng.choice([0.1, 0.5, 2, 5, 10, 12, 15, 20, 30])
            period = 1000 / hz
            count = rng.randint(2, 8)
            spread = rng.uniform(0, 0.42)  # of the period; the pause stays the widest gap
            offsets = {f"c{i}": rng.uniform(0, spread) * period for i in range(count)}
            rig = Rig(
                offsets=offsets,
                hz=hz,
                loss=rng.choice([0.0, 0.02, 0.05, 0.1]),
                arrival_jitter=rng.uniform(0, 0.2) * period,
                stamp_jitter=rng.uniform(0, 0.03) * period,
                trigger_jitter=rng.uniform(0, 0.15) * period,
            )
            fewest = rng.choice([count, max(1, count - 1)])
            events = rig.events(120, seed=seed)
            sets, _ = run(rig, events, min_cameras=fewest)
            assert mixed(sets) == 0, seed
            check_order(sets)
            assert len(sets) >= 0.98 * possible(events, fewest) - 1, (seed, rig)

    def test_only_differences_of_stamps_matter(self):
        events = Rig(loss=0.1).events(150)
        shifted = [e._replace(stamp_ns=e.stamp_ns - EPOCH_NS + SECOND) for e in events]
        one, other = (run(Rig(), each, min_cameras=5)[0] for each in (events, shifted))
        assert [f.stamp_ns - EPOCH_NS + SECOND for f in one] == [f.stamp_ns for f in other]

    def test_order_of_the_camera_list_does_not_matter(self):
        events = Rig(loss=0.1).events(150)
        turned = Rig(offsets=dict(reversed(NUSCENES_MS.items())))
        one, other = run(Rig(), events, min_cameras=5)[0], run(turned, events, min_cameras=5)[0]
        assert [f.stamp_ns for f in one] == [f.stamp_ns for f in other]
        assert one[0].images == tuple(reversed(other[0].images))

    @pytest.mark.parametrize("offsets", [EQUAL, EVEN], ids=["equal", "even"])
    @pytest.mark.parametrize("fewest", [5, 6])
    def test_rigs_without_a_pause_or_without_spread(self, offsets, fewest):
        rig = Rig(offsets=offsets, loss=0.05, stamp_jitter=1.0)
        events = rig.events(300)
        sets, _ = run(rig, events, min_cameras=fewest)
        check_order(sets)
        assert len(sets) >= 0.98 * possible(events, fewest)
        if offsets is EQUAL:
            assert mixed(sets) == 0

    def test_one_camera_is_a_set_at_once(self):
        rig = Rig(offsets={"mono": 0.0}, loss=0.2)
        events = rig.events(100)
        assert len(run(rig, events)[0]) == len(events)


class TestLearning:
    def test_offsets_and_period(self):
        rig = Rig(loss=0.1, stamp_jitter=1.0)
        _, statistics = run(rig, rig.events(100))
        assert statistics.period_ns == pytest.approx(SECOND / 12, rel=0.01)
        assert statistics.window_ns < statistics.period_ns / 2
        for camera in statistics.cameras:
            assert camera.offset_ns == pytest.approx(NUSCENES_MS[camera.name] * MS, abs=2.5 * MS)
            assert camera.rate_hz > 8

    def test_first_cycle_is_not_lost_to_learning(self):
        rig = Rig()
        sets, _ = run(rig, rig.events(3))
        assert [found.images[0].payload for found in sets] == [0, 1, 2]

    def test_heavy_loss_at_the_start(self):
        """The rhythm is learned right from what comes through, whichever images that is."""
        for seed in range(30):
            rig = Rig(loss=0.4)
            early = [e for e in rig.events(400, seed=seed) if e.cycle < 12]
            late = [e for e in Rig().events(60, seed=seed) if e.cycle >= 12]
            sets, _ = run(rig, early + late, min_cameras=5)
            assert mixed(sets) == 0, seed
            complete = [f for f in sets if not f.missing and f.images[0].payload >= 12]
            assert len(complete) >= 46, seed

    @pytest.mark.parametrize("late", list(NUSCENES_MS))
    def test_a_camera_that_starts_late(self, late):
        rig = Rig()
        events = [e for e in rig.events(120) if e.camera != late or e.cycle >= 40]
        sets, _ = run(rig, events, min_cameras=5)
        assert mixed(sets) == 0
        assert len(sets) >= 119
        assert sum(not found.missing for found in sets) >= 79

    @pytest.mark.parametrize("rates", [(12, 6), (6, 12), (10, 30), (12, 10)])
    def test_a_change_of_rate(self, rates):
        before = Rig(hz=rates[0], offsets={c: o / 2 for c, o in NUSCENES_MS.items()})
        after = replace(before, hz=rates[1])
        start = 100 * 1000 / rates[0]
        events = before.events(100)
        events += [
            e._replace(cycle=e.cycle + 100)
            for e in after.events(100, seed=1, start_ms=start, arrival_ms=start)
        ]
        sets, statistics = run(before, sorted(events))
        assert mixed(sets) == 0
        assert len(sets) >= 197
        assert statistics.period_ns == pytest.approx(SECOND / rates[1], rel=0.02)

    def test_a_camera_that_restarts_with_another_phase(self):
        rig, other = Rig(), Rig(offsets={**NUSCENES_MS, "front": 35.0})
        events = [e for e in rig.events(200) if e.camera != "front" or e.cycle < 100]
        events += [e for e in other.events(200) if e.camera == "front" and e.cycle >= 120]
        sets, _ = run(rig, sorted(events), min_cameras=5)
        assert mixed(sets) == 0
        assert len(sets) >= 199
        assert sum(not f.missing for f in sets if f.images[0].payload >= 130) >= 69

    def test_a_faster_camera_gives_its_nearest_images(self):
        offsets = dict.fromkeys(("a", "b", "c", "d"), 0.0)
        rig = Rig(offsets={**offsets, "b": 5.0, "c": 9.0}, hz=10)
        fast = Rig(offsets={"fast": 3.0}, hz=30)
        events = rig.events(200) + [e._replace(cycle=-1) for e in fast.events(600)]
        config = SyncConfig(cameras=(*offsets, "fast"))
        sets = play(FrameSetSynchroniser(config), sorted(events))
        check_order(sets)
        assert len(sets) >= 198
        oldest = [min(image.stamp_ns for image in found.images) for found in sets]
        spreads = [found.stamp_ns - ns for found, ns in zip(sets, oldest, strict=True)]
        assert max(spreads) <= 22 * MS

    def test_images_keep_their_cycles_until_two_of_a_camera_are_known(self):
        """Placed anew in the order of their stamps, these four would be one cycle."""
        sync = FrameSetSynchroniser(SyncConfig(cameras=("a", "b", "c", "d")))
        for camera, stamp in (("a", 0), ("c", 18), ("b", 10), ("d", 12)):
            image = StampedImage(camera, EPOCH_NS + stamp * MS, camera)
            assert sync.add(image, EPOCH_NS + 20 * MS) == []
        assert sync.next_deadline_ns == EPOCH_NS + 20 * MS + SECOND

    @pytest.mark.parametrize("offset", [0, 40 * MS])
    def test_a_steady_rhythm_moves_no_image(self, offset):
        timing = RigTiming(2, None, None, None)
        stamps = [[EPOCH_NS + cycle * 100 * MS for cycle in range(4)]]
        stamps.append([stamp + offset for stamp in stamps[0]])
        assert timing.learn(stamps)
        assert timing.now.offsets_ns == (0, offset)
        assert not timing.learn(stamps)
        assert timing.learn([stamps[0], [stamp + 6 * MS for stamp in stamps[1]]])
        assert not timing.learn([stamps[0], [stamp + 10 * MS for stamp in stamps[1]]])

    def test_a_single_frame_is_a_set_after_a_while(self):
        sync, events = FrameSetSynchroniser(Rig().config()), Rig().events(1)
        due = events[-1].arrival_ns + SECOND
        assert play(sync, events, due - 1) == []
        assert sync.next_deadline_ns == due
        assert [not found.missing for found in sync.poll(due)] == [True]

    def test_period_and_window_may_be_given(self):
        rig = Rig(loss=0.05)
        events = rig.events(100)
        sets, statistics = run(rig, events, period_ns=SECOND // 12, window_ns=10 * MS)
        assert statistics.window_ns == 10 * MS
        assert len(sets) == possible(events, 6)


def test_cameras_that_sent_nothing_have_no_phase():
    assert measure_phases([[], [], []], 100) == [None, None, None]
    assert measure_phases([[0, 100], [], [30, 130]], 100) == [0.0, None, pytest.approx(30.0)]
