"""Images prepared on a device against those of the CPU path, bit by bit; the device is the CPU."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from rigs import frame_set, without

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess import device_path
from streampetr_ros.preprocess.device_path import DevicePath
from streampetr_ros.preprocess.inputs import CameraMask, InputConfig, prepare_inputs
from streampetr_ros.preprocess.pixel_path import HostPath
from streampetr_ros.preprocess.remapping import Remapper

CPU = torch.device("cpu")
CONFIG = InputConfig(image=ImageConfig(height=64, width=160))
LENSES = {
    "CAM_FRONT": ("plumb_bob", [-0.32, 0.11, 0.001, -0.002, -0.02]),
    "CAM_BACK": ("rational_polynomial", [0.4, -0.3, 0.001, 0.002, 0.05, 0.8, -0.2, 0.01]),
    "CAM_FRONT_LEFT": ("equidistant", [-0.02, 0.01, -0.004, 0.001]),
}
BONNET = ((0.0, 0.85), (0.5, 0.7), (1.0, 0.85), (1.0, 1.0), (0.0, 1.0))
MASKS = (
    CameraMask(camera="CAM_FRONT", polygon=BONNET),
    CameraMask(camera="CAM_FRONT", polygon=((0.1, 0.5), (0.3, 0.5), (0.2, 0.8))),
    CameraMask(camera="CAM_BACK_LEFT", polygon=BONNET),
)


def distorted(original: FrameSet) -> FrameSet:
    """The same set with three cameras behind lenses."""
    cameras = []
    for frame in original.cameras:
        model, coefficients = LENSES.get(frame.calibration.name, ("none", []))
        bent = replace(frame.calibration, distortion_model=model, distortion=np.array(coefficients))
        cameras.append(replace(frame, calibration=bent))
    return replace(original, cameras=tuple(cameras))


def mixed_sizes() -> FrameSet:
    """Cameras of four sizes: that of the network image, a tall one, one read-only among them."""
    sizes = [(400, 225), (160, 64), (333, 250), (400, 225), (160, 64), (180, 420)]
    frames = [frame_set(size=size).cameras[i] for i, size in enumerate(sizes)]
    frames[3].pixels.setflags(write=False)
    return replace(frame_set(), cameras=tuple(frames))


def assert_equal_inputs(one: FrameSet, config: InputConfig = CONFIG, cameras=()) -> None:
    with ThreadPoolExecutor(2) as pool:
        on_device = DevicePath(CPU, pool.map)
        found = prepare_inputs(one, None, config, rig=cameras, pixel_path=on_device)
    wanted = prepare_inputs(one, None, config, rig=cameras, pixel_path=HostPath())
    for field, ours, theirs in zip(found._fields, found, wanted, strict=True):
        assert ours is theirs or (ours.dtype == theirs.dtype and torch.equal(ours, theirs)), field


SETS = {
    "pinholes": frame_set,
    "lenses": lambda: distorted(frame_set()),
    "sizes": mixed_sizes,
    "sizes and lenses": lambda: distorted(mixed_sizes()),
}


@pytest.mark.parametrize("masks", [(), MASKS], ids=["", "masked"])
@pytest.mark.parametrize("missing", [(), ("CAM_BACK", "CAM_FRONT_RIGHT")], ids=["", "missing"])
@pytest.mark.parametrize("kind", SETS)
def test_every_rig_is_equal_bit_by_bit(kind, missing, masks):
    complete = SETS[kind]()
    cameras = tuple(frame.calibration for frame in complete.cameras)
    assert_equal_inputs(without(complete, *missing), replace(CONFIG, masks=masks), cameras)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_set_of_large_pictures_is_equal_bit_by_bit(order):
    image = ImageConfig(height=256, width=704, channel_order=order, std=(57.375, 57.12, 58.395))
    large = distorted(frame_set(size=(1600, 900)))
    kept = without(large, "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
    assert_equal_inputs(kept, InputConfig(image=image, masks=MASKS[:1]))


def test_only_what_the_crop_keeps_is_uploaded(monkeypatch):
    uploaded = []
    straight = DevicePath._straight
    monkeypatch.setattr(
        DevicePath,
        "_straight",
        lambda self, source: (uploaded.append(len(source.rows)), straight(self, source))[1],
    )
    path = DevicePath(CPU)
    prepare_inputs(frame_set(), None, CONFIG, pixel_path=path)
    # 64 of 90 resized rows, plus what the filter reaches beyond.
    assert uploaded == [pytest.approx(225 * 64 / 90, abs=6)] * 6


def test_another_lens_gets_other_tables():
    path = DevicePath(CPU)
    bent = distorted(frame_set())
    rebent = replace(
        bent,
        cameras=tuple(
            replace(
                f, calibration=replace(f.calibration, distortion=0.5 * f.calibration.distortion)
            )
            for f in bent.cameras
        ),
    )
    for one in (bent, bent, rebent, bent):
        found = prepare_inputs(one, None, CONFIG, pixel_path=path).images
        wanted = prepare_inputs(one, None, CONFIG, pixel_path=HostPath()).images
        assert torch.equal(found, wanted)


def test_pictures_that_are_none_are_refused():
    path = DevicePath(CPU)
    gray = replace(frame_set().cameras[0], pixels=np.zeros((225, 400), np.uint8))
    with pytest.raises(UserError, match="expected an image"):
        prepare_inputs(replace(frame_set(), cameras=(gray,)), None, CONFIG, pixel_path=path)


def test_lack_of_memory_is_said_in_one_sentence(monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(device_path, "_normalised", full)
    with pytest.raises(UserError, match="cpu has too little free memory to prepare images"):
        prepare_inputs(frame_set(), None, CONFIG, pixel_path=DevicePath(CPU))


@pytest.mark.parametrize("rows", [(0, 50), (17, 31)])
def test_look_up_equals_opencv_for_any_table(rows):
    rng = np.random.default_rng(rows[0])
    size = (50, 60)
    for pixels in (
        rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        rng.choice(np.array([0, 255], np.uint8), (*size, 3)),
    ):
        # Places inside, on every border, and far outside.
        places = rng.integers(-5, 66, (*size, 2)).astype(np.int16)
        distances = rng.integers(0, 1024, size).astype(np.uint16)
        remap = Remapper((places, distances), rows, CPU)
        first, end = remap.rows_read
        found = remap(torch.from_numpy(pixels[first:end]))
        wanted = cv2.remap(pixels, places, distances, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(found.numpy(), wanted[slice(*rows)])


def test_a_lens_that_sees_nothing_gives_black():
    nowhere = np.full((8, 8, 2), -9, np.int16), np.zeros((8, 8), np.uint16)
    remap = Remapper(nowhere, (0, 8), CPU)
    assert remap.rows_read == (0, 1)
    assert not remap(torch.full((1, 8, 3), 255, dtype=torch.uint8)).any()
