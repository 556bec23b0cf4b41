"""Pictures prepared before their set is complete: the same network images, or made afresh."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import frame_set

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.inputs import CameraMask, InputConfig, prepare_inputs
from streampetr_ros.preprocess.pixel_path import (
    NOTHING_AHEAD,
    HostPath,
    PictureAhead,
    PicturesAhead,
)

BONNET = ((0.0, 0.85), (0.5, 0.7), (1.0, 0.85), (1.0, 1.0), (0.0, 1.0))
CONFIG = InputConfig(
    image=ImageConfig(height=64, width=160), masks=(CameraMask(camera="CAM_BACK", polygon=BONNET),)
)
NOWHERE = np.full((4, 4), np.nan)


def bent_front() -> FrameSet:
    """A set whose first camera distorts."""
    original = frame_set()
    front = original.cameras[0]
    bent = replace(
        front.calibration,
        distortion_model="plumb_bob",
        distortion=np.array([-0.32, 0.11, 0.001, -0.002, -0.02]),
    )
    return replace(original, cameras=(replace(front, calibration=bent), *original.cameras[1:]))


def prepared(path: HostPath, frame: CameraFrame, mark: int | None = None) -> Future[PictureAhead]:
    """Prepare a picture ahead; a mark, one number all over, tells later whether it was taken."""
    future: Future[PictureAhead] = Future()
    masks = CONFIG.masks_of(frame.calibration.name)
    made = path.prepare_ahead(replace(frame, fixed_from_base=NOWHERE), CONFIG.image, masks)
    if mark is not None:
        made.image.batch.images[made.image.camera] = mark
    future.set_result(made)
    return future


def images(
    one: FrameSet,
    path: HostPath,
    ahead: PicturesAhead = NOTHING_AHEAD,
    config: InputConfig = CONFIG,
) -> torch.Tensor:
    return prepare_inputs(one, None, config, pixel_path=path, ahead=ahead).images[0]


def test_inputs_are_the_same_bits() -> None:
    one, path = bent_front(), HostPath()
    ahead = {frame.calibration.name: prepared(path, frame) for frame in one.cameras[::2]}
    wanted = prepare_inputs(one, None, CONFIG, pixel_path=path)
    found = prepare_inputs(one, None, CONFIG, pixel_path=path, ahead=ahead)
    for value, expected in zip(found, wanted, strict=True):
        assert value is expected or torch.equal(value, expected)


def test_a_picture_is_not_prepared_twice() -> None:
    one, path = bent_front(), HostPath()
    for _ in range(3):
        ahead = {
            frame.calibration.name: prepared(path, frame, mark)
            for mark, frame in enumerate(one.cameras)
        }
        found = images(one, path, ahead)
        for mark, picture in enumerate(found):
            assert (picture == mark).all()


def test_pictures_are_written_where_their_set_wants_them() -> None:
    """From the second set on, when the order of the cameras is known."""
    one, path = frame_set(), HostPath()
    wanted = images(one, path)
    for count in range(4):
        ahead = {frame.calibration.name: prepared(path, frame) for frame in reversed(one.cameras)}
        found = images(one, path, ahead)
        assert torch.equal(found, wanted)
        for index, frame in enumerate(one.cameras):
            place = ahead[frame.calibration.name].result().image
            image = place.batch.images[place.camera]
            assert np.shares_memory(image, found[index].numpy()) == (count > 0)


def test_a_camera_without_a_picture_is_blank() -> None:
    one, path = frame_set(), HostPath()
    rig = tuple(frame.calibration for frame in one.cameras)
    for absent in (2, 2, 0, 5):
        shown = tuple(frame for index, frame in enumerate(one.cameras) if index != absent)
        ahead = {frame.calibration.name: prepared(path, frame, 7) for frame in shown}
        found = prepare_inputs(
            replace(one, cameras=shown), None, CONFIG, rig=rig, pixel_path=path, ahead=ahead
        ).images[0]
        for index, picture in enumerate(found):
            assert (picture == (0 if index == absent else 7)).all()


def test_what_is_still_in_work_is_waited_for() -> None:
    one, path = bent_front(), HostPath()
    first = prepared(path, one.cameras[0]).result()
    late: Future[PictureAhead] = Future()
    ahead = {one.cameras[0].calibration.name: late}
    ahead |= {frame.calibration.name: prepared(path, frame) for frame in one.cameras[1:]}
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(images, one, path, ahead)
        assert not wait([found], timeout=0.2).done
        late.set_result(first)
        assert torch.equal(found.result(timeout=60), images(one, path))


def test_the_mounting_is_that_of_the_set() -> None:
    one, path = bent_front(), HostPath()
    ahead = {frame.calibration.name: prepared(path, frame) for frame in one.cameras}
    raised = tuple(
        replace(
            frame,
            calibration=replace(
                frame.calibration,
                base_from_camera=frame.calibration.base_from_camera
                + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.1], [0, 0, 0, 0]]),
            ),
        )
        for frame in one.cameras
    )
    later = replace(one, cameras=raised)
    wanted = prepare_inputs(later, None, CONFIG, pixel_path=path)
    found = prepare_inputs(later, None, CONFIG, pixel_path=path, ahead=ahead)
    assert torch.equal(found.model_from_image, wanted.model_from_image)


def other_picture(frame: CameraFrame) -> CameraFrame:
    return replace(frame, pixels=frame.pixels.copy())


def other_lens(frame: CameraFrame) -> CameraFrame:
    longer = replace(frame.calibration, intrinsic=frame.calibration.intrinsic * [[1.1], [1.1], [1]])
    return replace(frame, calibration=longer)


@pytest.mark.parametrize("change", [other_picture, other_lens])
def test_what_no_longer_fits_is_prepared_afresh(change) -> None:
    one, path = frame_set(), HostPath()
    front = one.cameras[0]
    ahead = {front.calibration.name: prepared(path, front, 7)}
    changed = replace(one, cameras=(change(front), *one.cameras[1:]))
    assert torch.equal(images(changed, path, ahead), images(changed, path))


def test_other_masks_are_applied() -> None:
    one, path = frame_set(), HostPath()
    ahead = {frame.calibration.name: prepared(path, frame) for frame in one.cameras}
    config = replace(CONFIG, masks=(CameraMask(camera="CAM_FRONT", polygon=BONNET),))
    assert torch.equal(images(one, path, ahead, config), images(one, path, config=config))


def test_a_failure_is_reported_by_the_set() -> None:
    one, path = frame_set(), HostPath()
    small = replace(one.cameras[0], pixels=one.cameras[0].pixels[:, :-8])
    one = replace(one, cameras=(small, *one.cameras[1:]))
    future: Future[PictureAhead] = Future()
    future.set_exception(UserError("too early"))
    with pytest.raises(UserError, match="'CAM_FRONT' delivered"):
        images(one, path, {"CAM_FRONT": future})
