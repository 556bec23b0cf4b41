"""Cameras: firing order, sizes, rays."""

from __future__ import annotations

import numpy as np
import pytest

from streampetr_ros.core import geometry
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.nuscenes.car import CAMERA_ORDER
from streampetr_ros.preprocess.image import plan_resize_crop
from streampetr_ros.synth.render.tiles import pixel_rays
from streampetr_ros.synth.rig import FIRING_OFFSETS_NS, RigOptions, build_rig


def test_cameras_fire_in_the_order_of_a_sweeping_lidar():
    names = tuple(calibration.name for calibration in build_rig(RigOptions()))
    assert names == CAMERA_ORDER
    offsets = dict(zip(names, FIRING_OFFSETS_NS, strict=True))
    order = sorted(offsets, key=offsets.__getitem__)
    assert [name[4:] for name in order] == [
        "FRONT_LEFT",
        "FRONT",
        "FRONT_RIGHT",
        "BACK_RIGHT",
        "BACK",
        "BACK_LEFT",
    ]
    assert offsets["CAM_BACK_LEFT"] == 42_600_000


def test_every_camera_looks_where_its_name_says():
    for calibration in build_rig(RigOptions()):
        forward = calibration.base_from_camera[:3, 2]
        down = calibration.base_from_camera[:3, 1]
        assert down[2] < -0.99
        assert (forward[0] > 0) == ("FRONT" in calibration.name)
        if "LEFT" in calibration.name:
            assert forward[1] > 0.5
        if "RIGHT" in calibration.name:
            assert forward[1] < -0.5


@pytest.mark.parametrize("size", [(352, 128), (704, 256), (800, 320)])
def test_network_size_equals_the_preprocessed_reference_camera(size: tuple[int, int]):
    full = build_rig(RigOptions(width=1600, height=900))
    small = build_rig(RigOptions(width=size[0], height=size[1]))
    plan = plan_resize_crop(1600, 900, ImageConfig(width=size[0], height=size[1]))
    for large, direct in zip(full, small, strict=True):
        assert plan.network_from_image @ large.intrinsic == pytest.approx(
            direct.intrinsic, abs=1e-4
        )


def test_randomness_moves_every_camera_and_is_reproducible():
    standard = build_rig(RigOptions())
    options = RigOptions(randomness=1.0, seed=3)
    first, again = build_rig(options), build_rig(options)
    other = build_rig(RigOptions(randomness=1.0, seed=4))
    for index, calibration in enumerate(first):
        same = again[index]
        assert (calibration.base_from_camera == same.base_from_camera).all()
        assert not np.allclose(calibration.intrinsic, other[index].intrinsic)
        shift = geometry.inverse(standard[index].base_from_camera)
        shift = shift @ calibration.base_from_camera
        assert 0 < np.linalg.norm(shift[:3, 3]) < 0.4
        assert np.trace(shift[:3, :3]) > 1 + 2 * np.cos(np.radians(8))


def test_rays_project_back_to_their_pixels():
    for calibration in build_rig(RigOptions(width=80, height=45, randomness=1.0)):
        rays = pixel_rays(calibration).astype(np.float64)
        points = np.concatenate([rays, np.ones((45, 80, 1))], axis=-1) * 7.0
        image_from_camera = geometry.homogeneous_intrinsic(calibration.intrinsic)
        pixels, depth = geometry.project(image_from_camera, points)
        u, v = np.meshgrid(np.arange(80) + 0.5, np.arange(45) + 0.5)
        assert pixels == pytest.approx(np.stack([u, v], axis=-1), abs=1e-3)
        assert (depth == 7.0).all()
