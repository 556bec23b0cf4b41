"""Pictures: exact visibility, agreement with the truth, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streampetr_ros.core import geometry
from streampetr_ros.synth.render.primitives import build_primitives
from streampetr_ros.synth.render.render import Pictures, render
from streampetr_ros.synth.render.shading import build_palette
from streampetr_ros.synth.render.stage import Poses, Stage
from streampetr_ros.synth.render.tiles import build_lenses, pixel_rays
from streampetr_ros.synth.rig import RigOptions, build_rig
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene
from streampetr_ros.synth.world.bodies import SHAPE_NAMES, template
from streampetr_ros.synth.world.scenery import RoadGrid, random_ground, random_lighting
from streampetr_ros.synth.world.shapes import PAINTS

KINDS = [("car", (4.5, 1.9, 1.6)), ("pedestrian", (0.7, 0.7, 1.8)), ("truck", (7.0, 2.5, 3.0))]


def small_stage(shapes: list[str], sizes: list[tuple[float, float, float]]):
    rng = np.random.default_rng(1)
    palettes = rng.uniform(0.1, 0.9, (len(shapes), len(PAINTS), 3))
    grid = RoadGrid(spacing_x=80.0, spacing_y=90.0, origin_x=30.0, lanes=1)
    light, ground = random_lighting(rng), random_ground(rng)
    table = build_primitives(shapes, np.array(sizes), palettes)
    return Stage(table, build_palette(light, ground, "cpu"), grid, light)


def front_view(stage, centers: np.ndarray, yaws: np.ndarray) -> tuple:
    calibration = build_rig(RigOptions(width=160, height=90))[0]
    poses = Poses(
        layout_from_camera=calibration.base_from_camera[None],
        centers=centers[None],
        yaws=yaws[None],
        gains=np.ones(1),
        noise_seed=0,
    )
    return calibration, render(stage, build_lenses([calibration]), poses)


def on_image(calibration, points_camera: np.ndarray) -> np.ndarray:
    return geometry.project(geometry.homogeneous_intrinsic(calibration.intrinsic), points_camera)[0]


def brute_force(table, calibration, centers: np.ndarray, yaws: np.ndarray):
    """Nearest body and depth per pixel by clipping every ray at every plane, in float64."""
    rays = pixel_rays(calibration).astype(np.float64)
    directions = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1)
    rotation, eye = calibration.base_from_camera[:3, :3], calibration.base_from_camera[:3, 3]
    directions = directions @ rotation.T
    with np.errstate(divide="ignore"):
        depth = np.where(directions[..., 2] < 0, -eye[2] / directions[..., 2], np.inf)
    body = np.full(depth.shape, -1)
    for planes, owner in zip(table.planes.double().numpy(), table.owners.tolist(), strict=True):
        turn = geometry.rotation_about_z(yaws[owner])
        normals = planes[:, :3] @ turn.T
        offsets = planes[:, 3] + normals @ centers[owner] - normals @ eye
        speed = directions @ normals.T
        with np.errstate(divide="ignore", invalid="ignore"):
            times = offsets / speed
        enter = np.where(speed < 0, times, -np.inf).max(-1)
        leave = np.where(speed > 0, times, np.inf).min(-1)
        hit = (enter <= leave) & (enter > 0) & (enter < depth)
        depth, body = np.where(hit, enter, depth), np.where(hit, owner, body)
    return body, depth


def test_every_pixel_shows_what_its_ray_meets_first():
    rng = np.random.default_rng(3)
    shapes = [name for name in SHAPE_NAMES for _ in range(2)]
    sizes = [tuple(rng.uniform((1.0, 0.8, 1.0), (5.0, 3.0, 4.0))) for _ in shapes]
    stage = small_stage(shapes, sizes)
    centers = np.stack(
        [
            rng.uniform(4, 40, len(shapes)),
            rng.uniform(-15, 15, len(shapes)),
            0.5 * np.array(sizes)[:, 2],
        ],
        axis=1,
    )
    yaws = rng.uniform(-3, 3, len(shapes))
    calibration, pictures = front_view(stage, centers, yaws)
    body, depth = brute_force(stage.table, calibration, centers, yaws)
    # Rays along an edge may fall to either side in single precision.
    wrong = pictures.bodies[0].numpy() != body
    assert wrong.mean() < 2e-3
    inverse = pictures.inverse_depths[0].numpy()
    error = np.abs(inverse - 1 / depth)[~wrong]
    assert error.max() < 1e-4
    assert len(np.unique(body)) > 15


def test_coverage_counts_hidden_parts_and_visible_does_not():
    shapes, sizes = zip(*KINDS, strict=True)
    stage = small_stage(list(shapes), list(sizes))
    # The pedestrian stands behind the truck, the car half behind it.
    centers = np.array([[22.0, 5.6, 0.8], [20.0, 0.0, 0.9], [14.0, 0.0, 1.5]])
    yaws = np.array([0.0, 0.0, np.pi / 2])
    _, together = front_view(stage, centers, yaws)
    alone = []
    for index in range(3):
        far = centers + np.array([1e4, 0, 0]) * (np.arange(3) != index)[:, None]
        alone.append(front_view(stage, far, yaws)[1].visible[0, index])
    assert together.coverage[0].tolist() == [float(count) for count in alone]
    shares = (together.visible[0] / together.coverage[0]).tolist()
    assert shares[1] == 0.0
    assert shares[2] == 1.0
    assert 0.1 < shares[0] < 0.9


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_bodies_fill_their_boxes(name: str):
    bottoms, tops, *_ = (np.array(part) for part in zip(*template(name), strict=True))
    x = np.concatenate([bottoms[:, :2], tops[:, :2]]).ravel()
    y = np.concatenate([bottoms[:, 2:4], tops[:, 2:4]]).ravel()
    z = np.concatenate([bottoms[:, 4], tops[:, 4]])
    low = [x.min(), y.min(), z.min()]
    if name == "lamp_post":
        assert -0.5 <= low[0] < 0
    else:
        assert low == pytest.approx([-0.5] * 3)
    assert [x.max(), y.max(), z.max()] == pytest.approx([0.5] * 3)
    assert (tops[:, 4] > bottoms[:, 4]).all()


def test_masks_agree_with_projected_bodies(scene: SyntheticScene, pictures: Pictures):
    """Rectangles of unhidden objects lie within 1.5 pixels of their projected vertices."""
    world = scene.world
    table = build_primitives(world.shapes, world.sizes, world.palettes)
    owners, vertices = table.owners.numpy(), table.vertices.double().numpy()
    stamps = np.array([scene.seconds(stamp) for stamp in scene.camera_stamps_ns(4)])
    centers, instant = world.bodies_at(stamps)
    checked = 0
    for view, calibration in enumerate(scene.calibrations):
        camera_from_layout = geometry.inverse(
            world.layout_from_base(stamps[view]) @ calibration.base_from_camera
        )
        alone = pictures.visible[view] == pictures.coverage[view]
        # Tips of smaller ones fall between the pixels.
        large = (pictures.visible[view] >= 40)[: scene.object_count]
        for body in torch.nonzero(alone[: scene.object_count] & large)[:, 0].tolist():
            layout_from_body = geometry.transform_from_parts(
                centers[view, body], geometry.rotation_about_z(instant.yaws[view, body])
            )
            points = vertices[owners == body].reshape(-1, 3)
            points = geometry.transform_points(camera_from_layout @ layout_from_body, points)
            pixels = on_image(calibration, points)
            expected = np.concatenate([pixels.min(0), pixels.max(0)])
            rows, columns = np.nonzero(pictures.bodies[view].numpy() == body)
            mask = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            inside = (expected[:2] > 2).all() and (expected[2:] < (350, 126)).all()
            if inside:
                assert mask == pytest.approx(expected, abs=1.5)
                checked += 1
    assert checked > 15


def test_boxes_of_the_truth_enclose_what_is_seen(scene: SyntheticScene, pictures: Pictures):
    seen = 0
    for view, calibration in enumerate(scene.calibrations):
        shares = (pictures.visible[view] > 0).double().numpy()[: scene.object_count]
        truth = scene.truth(scene.camera_stamps_ns(4)[view], shares)
        camera_from_base = geometry.inverse(calibration.base_from_camera)
        corners = geometry.transform_points(camera_from_base, truth.boxes.corners())
        bodies = pictures.bodies[view].numpy()
        for box, instance, share in zip(
            corners, truth.instance_ids, truth.visibilities, strict=True
        ):
            rows, columns = np.nonzero(bodies == instance)
            assert (len(rows) > 0) == (share > 0)
            if len(rows) and (box[:, 2] > 0).all():
                pixels = on_image(calibration, box)
                (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
                assert left - 0.6 <= columns.min()
                assert columns.max() + 1 <= right + 0.6
                assert top - 0.6 <= rows.min()
                assert rows.max() + 1 <= bottom + 0.6
                seen += 1
    assert seen > 30


def test_same_seed_same_picture():
    options = SceneOptions(seed=9, duration=2.0, rig=RigOptions(width=96, height=64))
    first, second = SyntheticScene(options), SyntheticScene(options)
    later = first.frame_set(3)
    first.frame_set(1)
    again = second.frame_set(3)
    for one, other in zip(later.cameras, again.cameras, strict=True):
        assert (one.pixels == other.pixels).all()
        assert (one.fixed_from_base == other.fixed_from_base).all()
    assert (later.truth.boxes.centers == again.truth.boxes.centers).all()
    other = SyntheticScene(replace(options, seed=10)).frame_set(3)
    assert (other.cameras[0].pixels != later.cameras[0].pixels).mean() > 0.5


def test_threads_do_not_change_the_picture(scene: SyntheticScene, pictures: Pictures):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        shared = scene.pictures(4)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for one, other in zip(shared, pictures, strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_renders_what_the_cpu_renders(scene: SyntheticScene, pictures: Pictures):
    on_gpu = SyntheticScene(scene.options, device="cuda").pictures(4)
    assert (on_gpu.bodies.cpu() != pictures.bodies).float().mean() < 2e-3
    assert torch.equal(on_gpu.coverage.cpu() > 0, pictures.coverage > 0)


def test_any_size_renders(scene: SyntheticScene):
    rig = RigOptions(width=101, height=67)
    odd = SyntheticScene(SceneOptions(seed=5, duration=1.0, rig=rig)).frame_set(0)
    assert all(camera.pixels.shape == (67, 101, 3) for camera in odd.cameras)
    assert all(camera.pixels.std() > 10 for camera in odd.cameras)
