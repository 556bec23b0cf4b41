"""Network inputs: relative, exact at map scale, right against analytic motion."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import BASE_FROM_MODEL, driving_pose, frame_set, moved, rig, without
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.inputs import (
    CameraMask,
    InputConfig,
    PreviousFrame,
    prepare_inputs,
)
from streampetr_ros.preprocess.pixel_path import HostPath
from streampetr_ros.preprocess.undistort import Rectifier

CONFIG = InputConfig(image=ImageConfig(height=64, width=160))

FAR_AWAY = geometry.transform_from_parts([1.0e6, -0.7e6, 250.0], euler2mat(0.02, -0.03, 2.1))
EPOCH_NS = 1_700_000_000_123_456_789


def previous_of(earlier) -> PreviousFrame:
    return PreviousFrame(
        stamp_ns=earlier.stamp_ns,
        fixed_from_model=earlier.fixed_from_base @ earlier.base_from_model,
    )


def test_shapes_and_types():
    inputs = prepare_inputs(frame_set(), None, CONFIG)
    assert inputs.images.shape == (1, 6, 3, 64, 160)
    assert inputs.model_from_image.shape == (1, 6, 4, 4)
    assert inputs.focal_lengths.shape == (1, 6, 2)
    assert inputs.now_from_previous.shape == (1, 4, 4)
    assert inputs.elapsed.shape == inputs.continues.shape == (1,)
    assert inputs.continues.item() == 0.0
    assert inputs.camera_present is None
    assert {tensor.dtype for tensor in inputs[:6]} == {torch.float32}


def test_pixels_return_to_the_point_they_show():
    """A point of the world, seen at exposure time, comes back at the reference time."""
    current = frame_set(3)
    inputs = prepare_inputs(current, None, CONFIG)
    fixed_from_model = current.fixed_from_base @ current.base_from_model
    for index, frame in enumerate(current.cameras):
        point_camera = np.array([1.5, -0.4, 20.0])
        fixed_from_camera = frame.fixed_from_base @ frame.calibration.base_from_camera
        point_fixed = geometry.transform_points(fixed_from_camera, point_camera)
        scale = 160 / 400
        pixel = frame.calibration.intrinsic @ (point_camera / 20.0)
        u, v = scale * pixel[0], scale * pixel[1] - (90 - 64)
        scaled = np.array([u * 20.0, v * 20.0, 20.0, 1.0])
        back = inputs.model_from_image[0, index].double().numpy() @ scaled
        expected = geometry.transform_points(geometry.inverse(fixed_from_model), point_fixed)
        np.testing.assert_allclose(back[:3], expected, atol=1e-4)


def test_exposure_lag_moves_the_ray_by_the_distance_driven():
    straight = frame_set(pose=lambda t: geometry.transform_from_parts([10.0 * t, 0, 0], np.eye(3)))
    frozen = replace(
        straight,
        cameras=tuple(
            replace(frame, fixed_from_base=straight.fixed_from_base) for frame in straight.cameras
        ),
    )
    moving = prepare_inputs(straight, None, CONFIG).model_from_image[0, 0, :3, 3]
    standing = prepare_inputs(frozen, None, CONFIG).model_from_image[0, 0, :3, 3]
    # The front camera fired 35 ms earlier, 0.35 m further back; model y is forward.
    np.testing.assert_allclose((moving - standing).numpy(), [0.0, -0.35, 0.0], atol=1e-5)


def test_motion_between_sets_is_analytic():
    earlier, current = frame_set(2), frame_set(3)
    inputs = prepare_inputs(current, previous_of(earlier), CONFIG)
    base_now_from_previous = geometry.inverse(driving_pose(1.5)) @ driving_pose(1.0)
    expected = geometry.inverse(BASE_FROM_MODEL) @ base_now_from_previous @ BASE_FROM_MODEL
    np.testing.assert_allclose(inputs.now_from_previous[0].numpy(), expected, atol=1e-6)
    assert inputs.elapsed.item() == pytest.approx(0.5, abs=1e-7)
    assert inputs.continues.item() == 1.0


@pytest.mark.parametrize("later_ns", [0, EPOCH_NS])
def test_map_coordinates_and_epoch_stamps_change_nothing(later_ns):
    near, here = prepare_inputs(frame_set(1), previous_of(frame_set(0)), CONFIG), []
    for index in (0, 1):
        here.append(moved(frame_set(index), FAR_AWAY, later_ns))
    far = prepare_inputs(here[1], previous_of(here[0]), CONFIG)
    assert torch.equal(near.images, far.images)
    assert torch.equal(near.elapsed, far.elapsed)
    assert torch.equal(near.focal_lengths, far.focal_lengths)
    np.testing.assert_allclose(near.now_from_previous, far.now_from_previous, atol=1e-6)
    # Image columns act on u * depth, up to 1e4, so they need a tighter bound than metres.
    np.testing.assert_allclose(
        near.model_from_image[..., :3], far.model_from_image[..., :3], atol=1e-7, rtol=1e-6
    )
    np.testing.assert_allclose(
        near.model_from_image[..., 3], far.model_from_image[..., 3], atol=1e-6
    )


def test_missing_camera_keeps_its_place():
    complete = prepare_inputs(frame_set(), None, CONFIG, rig=rig())
    inputs = prepare_inputs(without(frame_set(), "CAM_BACK"), None, CONFIG, rig=rig())
    assert inputs.camera_present is not None
    assert inputs.camera_present[0].tolist() == [True, True, True, False, True, True]
    assert (inputs.images[0, 3] == 0).all()
    assert torch.equal(inputs.images[0, 4], complete.images[0, 4])
    assert torch.equal(inputs.focal_lengths, complete.focal_lengths)
    assert torch.isfinite(inputs.model_from_image).all()


def test_rig_order_decides_not_arrival():
    shuffled = replace(frame_set(), cameras=frame_set().cameras[::-1])
    expected = prepare_inputs(frame_set(), None, CONFIG)
    actual = prepare_inputs(shuffled, None, CONFIG, rig=rig())
    for one, wanted in zip(actual, expected, strict=True):
        assert one is wanted or torch.equal(one, wanted)


def test_threads_give_the_same_inputs():
    with ThreadPoolExecutor(2) as pool:
        threaded = prepare_inputs(
            frame_set(), None, CONFIG, pixel_path=HostPath(camera_map=pool.map)
        )
    assert torch.equal(threaded.images, prepare_inputs(frame_set(), None, CONFIG).images)


def test_mask_is_applied_to_its_camera_only():
    everything = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    masked = replace(CONFIG, masks=(CameraMask(camera="CAM_BACK", polygon=everything),))
    images = prepare_inputs(frame_set(), None, masked).images[0]
    assert [bool((image == 0).all()) for image in images] == [False] * 3 + [True] + [False] * 2


def replaced_front(**changes):
    current = frame_set()
    front = replace(current.cameras[0], **changes)
    return replace(current, cameras=(front, *current.cameras[1:]))


def test_distorted_cameras_are_pinhole_cameras_to_the_network():
    bent = replace(
        rig()[0], distortion_model="plumb_bob", distortion=np.array([-0.2, 0.05, 0, 0, 0.0])
    )
    distorted = replaced_front(calibration=bent)
    inputs = prepare_inputs(distorted, None, CONFIG)
    straight = Rectifier()(distorted.cameras[0])
    assert straight.calibration.distortion_model == "none"
    wanted = prepare_inputs(
        replaced_front(calibration=straight.calibration, pixels=straight.pixels), None, CONFIG
    )
    plain = prepare_inputs(frame_set(), None, CONFIG)
    assert torch.equal(inputs.model_from_image, plain.model_from_image)
    assert torch.equal(inputs.focal_lengths, plain.focal_lengths)
    assert torch.equal(inputs.images, wanted.images)
    assert not torch.equal(inputs.images, plain.images)


def reduced_too_far():
    small = replace(rig()[0], width=88, height=50, reduction=4)
    return {"calibration": small, "pixels": np.zeros((50, 88, 3), np.uint8)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": np.zeros((10, 20, 3), np.uint8)}, "delivered 20x10 pixels"),
        ({"fixed_from_base": np.full((4, 4), np.nan)}, "not finite"),
        ({"calibration": replace(rig()[0], intrinsic=np.zeros((3, 3)))}, "not calibrated"),
        ({"calibration": replace(rig()[0], name="CAM_BACK")}, "unique"),
        (reduced_too_far(), "reduced 4 times, have 88x50 pixels, fewer than .* cameras.reductions"),
    ],
)
def test_unusable_cameras_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        prepare_inputs(replaced_front(**changes), None, CONFIG)


def test_strangers_and_empty_sets_are_refused():
    with pytest.raises(UserError, match="belong to the rig"):
        prepare_inputs(frame_set(), None, CONFIG, rig=rig()[:5])
    with pytest.raises(UserError, match="holds no image"):
        prepare_inputs(replace(frame_set(), cameras=()), None, CONFIG)


def test_masks_need_an_area():
    with pytest.raises(ValueError, match="three corners"):
        CameraMask(camera="CAM_FRONT", polygon=((0.0, 0.0), (1.0, 1.0)))
