"""Pictures on a stream of their own: order, lifetime, and the same bits as without."""

from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from late_stream import LateStream
from rigs import frame_set

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.device_path import CudaPictureStream, DevicePath
from streampetr_ros.preprocess.inputs import CameraMask, InputConfig, prepare_inputs
from streampetr_ros.preprocess.pixel_path import NOTHING_AHEAD, HostPath, PicturesAhead

CPU = torch.device("cpu")
BONNET = ((0.0, 0.85), (0.5, 0.7), (1.0, 0.85), (1.0, 1.0), (0.0, 1.0))
CONFIG = InputConfig(
    image=ImageConfig(height=64, width=160), masks=(CameraMask(camera="CAM_BACK", polygon=BONNET),)
)


def bent(index: int) -> FrameSet:
    """A set with pictures of its own, one camera behind a lens."""
    rng = np.random.default_rng(index)
    cameras = []
    for frame in frame_set(index, size=(240, 135)).cameras:
        calibration = frame.calibration
        if calibration.name == "CAM_FRONT":
            bend = np.array([-0.32, 0.11, 0.001, -0.002, -0.02])
            calibration = replace(calibration, distortion_model="plumb_bob", distortion=bend)
        pixels = rng.integers(0, 256, frame.pixels.shape, dtype=np.uint8)
        cameras.append(replace(frame, calibration=calibration, pixels=pixels))
    return replace(frame_set(index, size=(240, 135)), cameras=tuple(cameras))


def begun(path: DevicePath, one: FrameSet, count: int = 6) -> dict[str, Future]:
    """Prepare the first pictures of a set ahead."""
    ahead = {}
    for frame in one.cameras[:count]:
        future: Future = Future()
        masks = CONFIG.masks_of(frame.calibration.name)
        future.set_result(path.prepare_ahead(frame, CONFIG.image, masks))
        ahead[frame.calibration.name] = future
    return ahead


def images(one: FrameSet, path, ahead: PicturesAhead = NOTHING_AHEAD) -> torch.Tensor:
    return prepare_inputs(one, None, CONFIG, pixel_path=path, ahead=ahead).images


@pytest.fixture
def stream():
    return LateStream()


@pytest.fixture
def path(stream):
    return DevicePath(CPU, stream=stream)


@pytest.fixture(scope="module")
def sets():
    return [bent(index) for index in range(3)]


@pytest.fixture(scope="module")
def wanted(sets):
    return [images(one, HostPath()) for one in sets]


def test_sets_come_out_complete(path, sets, wanted, stream):
    for one, expected in zip(sets, wanted, strict=True):
        assert torch.equal(images(one, path), expected)
    assert stream.handed_over == len(sets)


@pytest.mark.parametrize("count", [4, 6])
def test_the_next_set_is_prepared_while_the_present_one_is_used(path, sets, wanted, count):
    """Two sets are on the way at any time, and the images of a set outlive the next one's."""
    found, ahead = [], begun(path, sets[0], count)
    for index, one in enumerate(sets):
        following = begun(path, sets[index + 1], count) if index + 1 < len(sets) else {}
        found.append(images(one, path, ahead))
        ahead = following
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


def test_a_picture_ahead_is_not_there_before_the_set_is_handed_over(path, sets, wanted):
    """So that the tests above see what they claim to."""
    ahead = begun(path, sets[0])
    picture = ahead["CAM_BACK"].result().image
    assert picture.isnan().all()
    images(sets[0], path, ahead)
    names = [frame.calibration.name for frame in sets[0].cameras]
    assert torch.equal(picture, wanted[0][0, names.index("CAM_BACK")])


def test_images_that_are_not_handed_over_are_wrong(path, stream, sets, monkeypatch):
    monkeypatch.setattr(stream, "hand_over", lambda images: None)
    assert images(sets[0], path).isnan().any()


def test_threads_that_are_busy_with_the_next_set_are_not_waited_for(stream, sets, wanted):
    def busy(function, indices):
        pytest.fail("asked for threads")

    path = DevicePath(CPU, busy, stream)
    assert torch.equal(images(sets[0], path, begun(path, sets[0])), wanted[0])


def test_a_picture_of_another_size_never_reaches_the_device(path):
    frame = bent(0).cameras[0]
    smaller = replace(frame, pixels=frame.pixels[:, :-8])
    for each in (path, HostPath()):
        with pytest.raises(UserError, match="is calibrated for"):
            each.prepare_ahead(smaller, CONFIG.image, ())


def test_a_gpu_hands_over_by_an_event_and_keeps_the_memory(monkeypatch):
    notes = []

    class Stream:
        def __init__(self, name):
            self.name = name

        def record_event(self):
            notes.append(f"event on {self.name}")
            return "event"

        def wait_event(self, event):
            notes.append(f"{self.name} waits for {event}")

    class Images:
        def record_stream(self, stream):
            notes.append(f"memory kept for {stream.name}")

    @contextmanager
    def entered(what):
        notes.append(f"enter {getattr(what, 'name', what)}")
        yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("pictures"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("caller"))
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "device", entered)
    stream = CudaPictureStream(torch.device("cuda", 1))
    with stream.working():
        notes.append("work")
    stream.hand_over(Images())
    assert notes == [
        "enter cuda:1",
        "enter pictures",
        "work",
        "event on pictures",
        "caller waits for event",
        "memory kept for caller",
    ]
