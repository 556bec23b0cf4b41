"""Samples, batches and the frame cache."""

import numpy as np
import pytest
import torch
from scenes import make_frame_set

from streampetr_ros.core import geometry
from streampetr_ros.model.config import NUSCENES_CLASSES, detector_config
from streampetr_ros.training.config import DataConfig
from streampetr_ros.training.data import frame_cache
from streampetr_ros.training.data.augment import Augmentation
from streampetr_ros.training.data.samples import collate, make_sample

STRONG = Augmentation(resize=(0.9, 1.3), flip=0.5, angle=0.39, scale=(0.9, 1.1))


def config():
    return detector_config("tiny")


def sample_of(frame_set, seed=0, **asked):
    draws = STRONG.draw(frame_set, config().image, np.random.default_rng(seed))
    return make_sample(frame_set, config(), draws, DataConfig(**asked)), draws


@pytest.mark.parametrize("seed", range(6))
def test_pixels_calibration_and_boxes_move_together(seed):
    frame_set = make_frame_set()
    sample, draws = sample_of(frame_set, seed)
    camera = frame_set.cameras[1]
    # A point of the augmented model frame must land where the augmented image shows it.
    centers = sample.targets.codes[:, :3].numpy()
    pixels, _ = geometry.project(np.linalg.inv(sample.model_from_image[1]), centers)
    chain = (
        geometry.homogeneous_intrinsic(camera.calibration.intrinsic)
        @ geometry.inverse(camera.fixed_from_base @ camera.calibration.base_from_camera)
        @ frame_set.fixed_from_base
    )
    source, _ = geometry.project(chain, frame_set.truth.boxes.centers)
    homogeneous = np.concatenate([source, np.ones((3, 1))], axis=1)
    expected = homogeneous @ draws.image.network_from_source().T
    np.testing.assert_allclose(pixels, expected[:, :2], atol=1e-2)
    # Depth is scaled by the scene scale, which the projection does not see.
    fixed = geometry.transform_points(sample.fixed_from_model, centers)
    truth = geometry.transform_points(frame_set.fixed_from_base, frame_set.truth.boxes.centers)
    np.testing.assert_allclose(fixed, truth, atol=1e-4)


def test_selection():
    sample, _ = sample_of(make_frame_set(), min_visibility=0.6)
    assert sample.targets.labels.tolist() == [0, NUSCENES_CLASSES.index("bus")]
    assert sample.images.shape == (2, 128, 352, 3)
    assert all(len(t.boxes) for t in sample.image_targets)


def test_far_objects_are_not_asked_for():
    frame_set = make_frame_set()
    distances = np.linalg.norm(frame_set.truth.boxes.centers[:, :2], axis=1)
    sample, _ = sample_of(frame_set, farthest=float(np.sort(distances)[1]))
    assert len(sample.targets.labels) == 2
    assert max(len(target.labels) for target in sample.image_targets) == 2


def test_relative_poses_keep_the_world_fixed():
    first, _ = sample_of(make_frame_set(0), 1)
    second, _ = sample_of(make_frame_set(1), 2)
    start = collate([first], [None], config())
    batch = collate([second], start.moments, config())
    point = np.array([3.0, 12.0, -1.0])
    moved = geometry.transform_points(batch.inputs.now_from_previous[0].double().numpy(), point)
    np.testing.assert_allclose(
        geometry.transform_points(second.fixed_from_model, moved),
        geometry.transform_points(first.fixed_from_model, point),
        atol=1e-4,
    )
    assert batch.inputs.elapsed.tolist() == [0.5]
    assert batch.inputs.continues.tolist() == [1.0]
    torch.testing.assert_close(start.inputs.now_from_previous[0], torch.eye(4))


def test_cache_round_trip(tmp_path):
    frames = [make_frame_set(index) for index in range(3)]
    frame_cache.write_sequence(tmp_path, "a", frames)
    assert frame_cache.is_cached(tmp_path, "a")
    stored = frame_cache.CachedSequence(tmp_path, "a")
    assert len(stored) == 3
    for index, frame in enumerate(frames):
        first, _ = sample_of(frame, index)
        second, _ = sample_of(stored[index], index)
        assert (first.images == second.images).all()
        assert torch.equal(first.targets.codes, second.targets.codes)
        np.testing.assert_array_equal(first.model_from_image, second.model_from_image)
        assert first.stamp_ns == second.stamp_ns
    assert {p.suffix for p in tmp_path.iterdir()} == {".npy", ".npz"}
