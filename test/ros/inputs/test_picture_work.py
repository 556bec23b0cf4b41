"""Images decoded and prepared as they arrive: once, within bounds, failures kept for their set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from rigs import calibration
from sensor_msgs.msg import CompressedImage

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import CameraFrame
from streampetr_ros.ingest.messages import decode_message
from streampetr_ros.ingest.pictures.pixels import ImageError, Pixels
from streampetr_ros.ros.inputs import picture_work
from streampetr_ros.ros.inputs.camera_input import ReceivedImage
from streampetr_ros.ros.inputs.picture_work import PictureWork

SIZE = (40, 24)
THREADS = 2


class Cameras:
    """Knows one camera's calibration, once it is told; keeps what is to be prepared."""

    def __init__(self) -> None:
        self.known = None
        self.frames: list[CameraFrame] = []
        self.made = object()
        self.gate = Event()
        self.gate.set()

    def decode(self, camera: str, image: ReceivedImage) -> Pixels:
        assert camera == "CAM_FRONT"
        self.gate.wait(20.0)
        return decode_message(image.message)

    def last_built(self, camera: str) -> object:
        assert camera == "CAM_FRONT"
        return self.known

    def prepare(self, frame: CameraFrame) -> object:
        self.frames.append(frame)
        if self.made is None:
            raise UserError("cannot be used")
        return self.made


@pytest.fixture
def cameras() -> Cameras:
    return Cameras()


@pytest.fixture
def work(cameras: Cameras) -> Iterator[PictureWork]:
    made = PictureWork(cameras, THREADS, cameras.prepare)
    yield made
    made.close()


def received(data: bytes | None = None) -> ReceivedImage:
    picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    content = cv2.imencode(".png", picture)[1].tobytes() if data is None else data
    return ReceivedImage(CompressedImage(format="png", data=content), "/front", 0.0)


def test_an_image_is_decoded_once(work: PictureWork) -> None:
    image = received()
    work.begin_early("CAM_FRONT", image)
    begun = image.decoded
    assert begun is not None
    assert work.begun("CAM_FRONT", image) is begun
    assert begun.result().shape == (SIZE[1], SIZE[0], 3)


def test_an_image_that_was_not_begun_is_decoded_for_its_set(work: PictureWork) -> None:
    assert (work.begun("CAM_FRONT", received()).result() == 90).all()


def test_pictures_of_known_cameras_are_prepared(cameras: Cameras, work: PictureWork) -> None:
    image = received()
    work.begun("CAM_FRONT", image).result()
    assert image.prepared is None
    assert not cameras.frames
    cameras.known = calibration("CAM_FRONT", 0.0, SIZE)
    image = received()
    pixels = work.begun("CAM_FRONT", image).result()
    assert image.prepared.result() is cameras.made
    (frame,) = cameras.frames
    assert frame.pixels is pixels
    # A pose that nobody knows yet can never be taken for one.
    assert np.isnan(frame.fixed_from_base).all()


def test_a_set_need_not_wait_for_what_is_still_prepared(cameras: Cameras) -> None:
    cameras.known = calibration("CAM_FRONT", 0.0, SIZE)
    gate = Event()
    work = PictureWork(cameras, THREADS, lambda _: gate.wait(20.0))
    image = received()
    try:
        assert work.begun("CAM_FRONT", image).result().any()
        assert not image.prepared.done()
    finally:
        gate.set()
        work.close()
    assert image.prepared.result() is True


def test_a_picture_that_cannot_be_prepared_is_left_to_the_set(
    cameras: Cameras, work: PictureWork
) -> None:
    cameras.known, cameras.made = calibration("CAM_FRONT", 0.0, SIZE), None
    image = received()
    assert work.begun("CAM_FRONT", image).result().any()
    assert isinstance(image.prepared.exception(), UserError)
    assert work.begun("CAM_FRONT", received()).result().any()


def test_pictures_of_another_size_are_left_to_the_set(cameras: Cameras, work: PictureWork) -> None:
    cameras.known = calibration("CAM_FRONT", 0.0, (SIZE[0] * 2, SIZE[1] * 2))
    image = received()
    work.begun("CAM_FRONT", image).result()
    assert not cameras.frames
    assert image.prepared is None


def test_damage_is_raised_to_the_set_and_the_next_image_is_fine(work: PictureWork) -> None:
    damaged = received(b"\xff\xd8 no picture")
    work.begin_early("CAM_FRONT", damaged)
    with pytest.raises(ImageError):
        work.begun("CAM_FRONT", damaged).result()
    assert work.begun("CAM_FRONT", received()).result().any()


def test_a_flood_of_images_does_not_pile_up(cameras: Cameras, work: PictureWork) -> None:
    cameras.gate.clear()
    flood = [received() for _ in range(100)]
    for image in flood:
        work.begin_early("CAM_FRONT", image)
    begun = [image for image in flood if image.decoded is not None]
    # A set that is whole is decoded nevertheless.
    needed = work.begun("CAM_FRONT", flood[-1])
    cameras.gate.set()
    assert len(begun) == picture_work._WAITING_PER_THREAD * THREADS
    needed.result()
    again = received()
    for image in begun:
        image.decoded.result()
    work.begin_early("CAM_FRONT", again)
    assert again.decoded is not None


def test_decoding_steps_back_for_what_is_short(cameras: Cameras) -> None:
    """A set that is complete must not wait until the pictures of the next are decoded."""
    seen: list[int] = []
    cameras.known = calibration("CAM_FRONT", 0.0, SIZE)

    def prepare(_: CameraFrame) -> object:
        seen.append(os.sched_getparam(0).sched_priority)
        return object()

    def decode() -> None:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
        work = PictureWork(cameras, THREADS, prepare)
        image = received()
        work.begun("CAM_FRONT", image).result()
        work.close()

    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(decode).result()
        except PermissionError:
            pytest.skip("needs the right to use real-time priorities")
    assert seen == [4]
