"""Scenes: sane motion, no collisions, exact velocities, stamps."""

from __future__ import annotations

import numpy as np
import pytest

from streampetr_ros.core import geometry
from streampetr_ros.model.config import NUSCENES_CLASSES
from streampetr_ros.sources.synthetic import SyntheticSource
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene
from streampetr_ros.synth.world.collision import Rectangles, overlap
from streampetr_ros.synth.world.plan import MANOEUVRES
from streampetr_ros.synth.world.world import World, build_world

DURATION = 12.0


@pytest.fixture(scope="module", params=sorted(MANOEUVRES))
def world(request: pytest.FixtureRequest) -> World:
    return build_world(11, DURATION, request.param)


def test_nothing_touches(world: World):
    count = len(world.class_names)
    halves = 0.5 * world.sizes[:count, :2]
    radii = np.linalg.norm(halves, axis=1)
    for seconds in np.arange(0.0, DURATION, 0.33):
        _, instant = world.bodies_at(np.array([seconds]))
        centers, yaws = instant.positions[0, :count], instant.yaws[0, :count]
        apart = np.linalg.norm(centers[:, None] - centers, axis=-1)
        first, second = np.nonzero(np.triu(apart < radii[:, None] + radii, k=1))
        boxes = Rectangles(centers, yaws, halves)
        assert not overlap(boxes.selected(first), boxes.selected(second)).any()
        base_from_layout = geometry.inverse(world.layout_from_base(seconds))
        local = geometry.transform_points(base_from_layout, np.pad(centers, ((0, 0), (0, 1))))
        assert not ((np.abs(local[:, 0] - 1.4) < 2.0) & (np.abs(local[:, 1]) < 0.9)).any()


def test_motion_is_sane(world: World):
    seconds = np.arange(0.0, DURATION, 0.05)
    for motion in (world.ego, world.motion):
        instant = motion.at(seconds)
        speeds = np.linalg.norm(instant.velocities, axis=-1)
        assert speeds.max() < 27.0
        rates = np.diff(instant.yaws, axis=0) / 0.05
        assert np.abs(rates).max() < 0.6
        changes = np.abs(np.diff(instant.velocities, axis=0)) / 0.05
        assert changes.max() < 7.0
        heading = np.stack([np.cos(instant.yaws), np.sin(instant.yaws)], axis=-1)
        slip = instant.velocities - speeds[..., None] * heading
        assert np.abs(slip).max() < 0.35


def test_velocity_is_the_derivative_of_position(world: World):
    seconds = np.linspace(0.5, DURATION - 0.5, 23)
    instant = world.motion.at(seconds)
    step = 1e-3
    ahead = world.motion.at(seconds + step).positions
    behind = world.motion.at(seconds - step).positions
    assert (ahead - behind) / (2 * step) == pytest.approx(instant.velocities, abs=2e-2)


def test_ego_does_what_was_asked(world: World):
    instant = world.ego.at(np.arange(0.0, DURATION, 0.1))
    speeds = np.linalg.norm(instant.velocities[:, 0], axis=-1)
    turned = np.degrees(np.ptp(instant.yaws))
    sideways = np.ptp(instant.positions[:, 0, 1])
    if world.manoeuvre in ("left", "right"):
        assert 60 < turned < 91
    elif world.manoeuvre == "fast":
        assert speeds.max() > 10
    elif world.manoeuvre == "wait":
        assert speeds.min() < 0.1
    elif world.manoeuvre == "lane_change":
        assert 2.0 < sideways < 4.0
    else:
        assert turned < 1e-6


def test_all_classes_appear_at_plausible_sizes():
    sizes: dict[str, list[np.ndarray]] = {name: [] for name in NUSCENES_CLASSES}
    near = []
    for seed in range(8):
        world = build_world(seed, 4.0)
        for name, size in zip(world.class_names, world.sizes, strict=False):
            sizes[name].append(size)
        _, instant = world.bodies_at(np.array([2.0]))
        positions = instant.positions[0, : len(world.class_names)]
        ego = world.ego.at(np.array([2.0])).positions[0, 0]
        near.append((np.linalg.norm(positions - ego, axis=1) < 50).sum())
    medians = {name: np.median(values, axis=0) for name, values in sizes.items()}
    assert medians["car"] == pytest.approx([4.5, 1.9, 1.65], rel=0.1)
    assert medians["pedestrian"][2] == pytest.approx(1.74, rel=0.1)
    assert medians["barrier"][1] > 3 * medians["barrier"][0]
    assert medians["bus"][0] > medians["truck"][0] > medians["car"][0]
    assert 20 < np.mean(near) < 70


def test_cameras_see_their_own_instant(scene: SyntheticScene):
    frame_set = scene.frame_set(2)
    stamps = [camera.stamp_ns for camera in frame_set.cameras]
    assert frame_set.stamp_ns == max(stamps)
    assert max(stamps) - min(stamps) == 42_600_000
    speed = np.linalg.norm(scene.world.ego.at(np.array([1.0])).velocities)
    for camera in frame_set.cameras:
        lag = (frame_set.stamp_ns - camera.stamp_ns) * 1e-9
        moved = frame_set.fixed_from_base[:3, 3] - camera.fixed_from_base[:3, 3]
        assert np.linalg.norm(moved) == pytest.approx(speed * lag, rel=0.2, abs=1e-3)


def test_truth_moves_by_its_velocity(scene: SyntheticScene):
    """Boxes of two sets 0.5 s apart, compared in the fixed frame."""
    before, after = scene.frame_set(3), scene.frame_set(4)
    seconds = (after.stamp_ns - before.stamp_ns) * 1e-9
    fixed = [f.truth.boxes.transformed(f.fixed_from_base) for f in (before, after)]
    ids = [f.truth.instance_ids for f in (before, after)]
    _, first, second = np.intersect1d(*ids, return_indices=True)
    assert len(first) > 20
    mean = 0.5 * (fixed[0].velocities[first] + fixed[1].velocities[second])
    moved = (fixed[1].centers[second] - fixed[0].centers[first])[:, :2]
    assert moved == pytest.approx(seconds * mean, abs=0.15)
    still = np.linalg.norm(mean, axis=1) == 0
    assert moved[still] == pytest.approx(0, abs=1e-9)
    assert (fixed[0].sizes[first] == fixed[1].sizes[second]).all()


def test_truth_is_in_range_and_marks_the_hidden(scene: SyntheticScene):
    truth = scene.frame_set(4).truth
    assert np.linalg.norm(truth.boxes.centers[:, :2], axis=1).max() <= 60.0
    assert truth.boxes.centers[:, 2] == pytest.approx(0.5 * truth.boxes.sizes[:, 2])
    assert ((truth.visibilities >= 0) & (truth.visibilities <= 1)).all()
    assert 0 < (truth.visibilities == 0).sum() < 0.8 * len(truth.visibilities)
    assert set(truth.class_names) <= set(NUSCENES_CLASSES)


def test_visibility_hardly_depends_on_the_image_size(scene: SyntheticScene):
    larger = SceneOptions(seed=5, duration=6.0, rate=2.0, rig=RigOptions(width=704, height=256))
    coarse, fine = scene.frame_set(4).truth, SyntheticScene(larger).frame_set(4).truth
    assert (coarse.instance_ids == fine.instance_ids).all()
    assert np.abs(coarse.visibilities - fine.visibilities).mean() < 0.05


def test_source_yields_scenes_in_order_and_again():
    options = SceneOptions(duration=1.0, rate=2.0, rig=RigOptions(width=64, height=32))
    source = SyntheticSource(3, options, scenes=2)
    assert len(source) == 4
    first, second = list(source), list(source)
    assert [f.token for f in first] == [f.token for f in second]
    assert [f.sequence for f in first] == ["synthetic-000003"] * 2 + ["synthetic-000004"] * 2
    assert len({f.token for f in first}) == 4
    assert (np.diff([f.stamp_ns for f in first]) > 0).all()


def test_bad_options_say_what_is_wrong():
    with pytest.raises(ValueError, match="must not be negative"):
        SceneOptions(seed=-1)
    with pytest.raises(ValueError, match="positive length and rate"):
        SceneOptions(rate=0)
    scene = SyntheticScene(SceneOptions(duration=1.0, rate=2.0))
    with pytest.raises(IndexError, match="no frame set 2, only 2"):
        scene.frame_set(2)


@pytest.mark.parametrize(("seed", "duration"), [(32, 2.0), (100_011, 8.0)])
def test_a_lane_may_be_empty(seed: int, duration: float):
    assert build_world(seed, duration).class_names
