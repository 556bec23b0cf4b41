"""Messages go in, the frame set they were made from comes out, or a sentence says what is wrong."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from folder import DATA, DDAD, NUSCENES, needs_data
from rigs import frame_set

from streampetr_ros.core import geometry
from streampetr_ros.core.problems import Problem, SkippedSet
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.assembly import Assembler, CameraSettings, ImageMessage, VehicleFrames
from streampetr_ros.ingest.messages import transform_from
from streampetr_ros.ingest.sync.types import StampedImage, SyncedSet
from streampetr_ros.ingest.transforms.tree import TransformTree
from streampetr_ros.messages import cdr
from streampetr_ros.messages.standard import Types
from streampetr_ros.messages.vehicle import CameraMessages, FrameNames, SetMessages, set_messages
from streampetr_ros.preprocess.inputs import model_from_camera
from streampetr_ros.sources import open_source

Tamper = Callable[[dict[str, CameraMessages]], None]


def message_makers() -> list[Types]:
    """What bags give, and what rclpy gives where it is installed."""
    makers = [cdr.types]
    if importlib.util.find_spec("rclpy") is not None:
        makers.append(importlib.import_module("streampetr_ros.ros.messages").types)
    return makers


def vehicle(model: str = "", fixed: str = "odom", base: str = "base_link") -> VehicleFrames:
    return VehicleFrames(fixed=fixed, base=base, model=model)


class Bench:
    """Takes frame sets apart into messages and has them put together again."""

    def __init__(self, frames: VehicleFrames, **wiring: object) -> None:
        self.tree = TransformTree()
        self.infos: dict[str, Any] = {}
        self._frames, self._wiring = frames, wiring

    def messages(self, original: FrameSet, types: Types) -> SetMessages:
        messages = set_messages(types, original, "png", FrameNames())
        for static, content in ((True, messages.mountings), (False, messages.poses)):
            for each in content.transforms:
                self.tree.insert(*transform_from(each, static=static))
        self.infos.update({camera.camera: camera.info for camera in messages.cameras})
        return messages

    def assembler(self, messages: SetMessages) -> Assembler:
        cameras = {
            each.camera: CameraSettings(
                name=each.camera,
                image_topic=f"/{each.camera}/image",
                info_topic=f"/{each.camera}/info",
                **self._wiring,
            )
            for each in messages.cameras
        }
        return Assembler(self._frames, cameras, self.infos.get, self.tree.lookup, "publish it")

    def assemble(self, original: FrameSet, messages: SetMessages) -> FrameSet:
        assembler = self.assembler(messages)
        images = tuple(
            StampedImage(
                each.camera, each.stamp_ns, ImageMessage(each.image, f"/{each.camera}/image")
            )
            for each in messages.cameras
        )
        found = SyncedSet(stamp_ns=original.stamp_ns, images=images)
        outline = assembler.outline(found)
        assert_same_geometry(outline, original, 1e-8)
        assert not any(camera.pixels.size for camera in outline.cameras)
        pictures = [assembler.decode(image.camera, image.payload) for image in images]
        return assembler.whole(found, outline, pictures)


def assemble(
    original: FrameSet, frames: VehicleFrames, tamper: Tamper | None = None, **wiring: object
) -> FrameSet:
    """Send a frame set through messages, which may be changed on the way."""
    bench = Bench(frames, **wiring)
    messages = bench.messages(original, cdr.types)
    if tamper is not None:
        tamper({camera.camera: camera for camera in messages.cameras})
    return bench.assemble(original, messages)


def refused(tamper: Tamper, **wiring: object) -> SkippedSet:
    with pytest.raises(SkippedSet) as caught:
        assemble(frame_set(), vehicle(), tamper, **wiring)
    return caught.value


def assert_same_geometry(found: FrameSet, original: FrameSet, tolerance: float) -> None:
    assert found.stamp_ns == original.stamp_ns
    np.testing.assert_allclose(found.fixed_from_base, original.fixed_from_base, atol=tolerance)
    np.testing.assert_allclose(found.base_from_model, original.base_from_model, atol=tolerance)
    by_name = {camera.calibration.name: camera for camera in original.cameras}
    for camera in found.cameras:
        expected = by_name[camera.calibration.name]
        assert camera.stamp_ns == expected.stamp_ns
        np.testing.assert_array_equal(camera.calibration.intrinsic, expected.calibration.intrinsic)
        np.testing.assert_allclose(
            model_from_camera(camera, found),
            model_from_camera(expected, original),
            atol=tolerance,
        )


@pytest.mark.parametrize("model", ["", "lidar_top"])
@pytest.mark.parametrize("types", message_makers())
def test_frame_set_survives_the_messages(types: Types, model: str) -> None:
    original = frame_set(3)
    bench = Bench(vehicle(model))
    found = bench.assemble(original, bench.messages(original, types))
    assert_same_geometry(found, original, 1e-9)
    pixels = {camera.calibration.name: camera.pixels for camera in original.cameras}
    for camera in found.cameras:
        np.testing.assert_array_equal(camera.pixels, pixels[camera.calibration.name])


def test_camera_without_calibration() -> None:
    bench = Bench(vehicle())
    original = frame_set()
    messages = bench.messages(original, cdr.types)
    del bench.infos["CAM_BACK"]
    with pytest.raises(SkippedSet, match=r"CAM_BACK.*no CameraInfo yet; publish it on") as caught:
        bench.assemble(original, messages)
    assert caught.value.problem is Problem.NO_CAMERA_INFO
    assert caught.value.topic == "/CAM_BACK/info"
    assert caught.value.may_come


def swap_calibrations(messages: dict[str, CameraMessages]) -> None:
    front, back = (messages[name].info.header for name in ("CAM_FRONT", "CAM_BACK"))
    front.frame_id, back.frame_id = back.frame_id, front.frame_id


def send_one_camera_twice(messages: dict[str, CameraMessages]) -> None:
    for message in (messages["CAM_BACK"].image, messages["CAM_BACK"].info):
        message.header.frame_id = messages["CAM_FRONT"].image.header.frame_id


def name_no_frame(messages: dict[str, CameraMessages]) -> None:
    messages["CAM_FRONT"].image.header.frame_id = ""


@pytest.mark.parametrize(
    ("tamper", "topic", "says"),
    [
        (swap_calibrations, "/CAM_FRONT/image", "CameraInfo is for frame 'CAM_BACK_.*swapped"),
        (send_one_camera_twice, "/CAM_BACK/image", "frame 'CAM_FRONT_.*like camera .*two topics"),
        (name_no_frame, "/CAM_FRONT/image", "has no frame_id; set it in the driver or give it"),
    ],
)
def test_frames_that_do_not_tell_where_a_camera_is(tamper: Tamper, topic: str, says: str) -> None:
    error = refused(tamper)
    assert re.search(f"image on '{topic}' at .*{says}", str(error))
    assert error.kind == f"unusable frame_id on '{topic}'"
    assert not error.may_come


def test_a_frame_by_parameter_counts_more_than_those_of_messages() -> None:
    error = refused(swap_calibrations, frame_id="roof")
    assert "frame 'roof' like camera" in str(error)


def test_damaged_image() -> None:
    def cut(messages: dict[str, CameraMessages]) -> None:
        image = messages["CAM_BACK"].image
        image.data = image.data[:100]

    error = refused(cut)
    assert error.kind == "unusable image on '/CAM_BACK/image'"
    assert str(error).startswith("compressed image on '/CAM_BACK/image' at ")


def test_image_of_another_size_than_its_calibration() -> None:
    def shrink(messages: dict[str, CameraMessages]) -> None:
        messages["CAM_BACK"].info.height += 2

    error = refused(shrink)
    assert error.kind == "unusable image on '/CAM_BACK/image'"
    assert str(error).endswith("images' resolution on '/CAM_BACK/info'")


def test_calibration_that_cannot_be_used() -> None:
    def spoil(messages: dict[str, CameraMessages]) -> None:
        messages["CAM_BACK"].info.width = 0

    error = refused(spoil)
    assert error.kind == "unusable CameraInfo on '/CAM_BACK/info'"
    assert "cannot be used for the image at" in str(error)


def test_calibrations_are_built_again_only_when_something_changed() -> None:
    bench = Bench(vehicle())
    original = frame_set()
    messages = bench.messages(original, cdr.types)
    assembler = bench.assembler(messages)
    name = messages.cameras[0].camera
    image = StampedImage(name, 1, ImageMessage(messages.cameras[0].image, "/image"))
    assert assembler.last_built(name) is None
    first = assembler.calibration(image, bench.infos[name], np.eye(4))
    assert assembler.calibration(image, bench.infos[name], np.eye(4)) is first
    moved = geometry.transform_from_parts([1.0, 0.0, 0.0], np.eye(3))
    second = assembler.calibration(image, bench.infos[name], moved)
    assert second is not first
    assert assembler.last_built(name) is second
    bench.infos[name].k[0] *= 2.0
    assert assembler.calibration(image, bench.infos[name], moved) is not second


@pytest.mark.parametrize("wrong", [{"fixed": "map"}, {"base": "chassis"}, {"model": "roof"}])
def test_transform_that_is_not_there(wrong: dict[str, str]) -> None:
    with pytest.raises(SkippedSet, match=next(iter(wrong.values()))) as caught:
        assemble(frame_set(), vehicle(**wrong))
    assert caught.value.kind == "missing transform (unknown_frame)"
    assert caught.value.may_come
    assert re.fullmatch(
        "frame set at .* skipped after waiting 0 s: .*; publish it", str(caught.value)
    )


def test_what_will_not_come_is_not_said_to_be_waited_for() -> None:
    bench, early = Bench(vehicle()), Bench(vehicle())
    bench.messages(frame_set(9), cdr.types)
    messages = early.messages(frame_set(0), cdr.types)
    with pytest.raises(SkippedSet, match="skipped: no transform") as caught:
        bench.assemble(frame_set(0), messages)
    assert caught.value.kind == "missing transform (too_early)"
    assert not caught.value.may_come


@needs_data
@pytest.mark.parametrize("name", [*NUSCENES, os.path.join(DDAD, "001")])
def test_real_rig_within_a_hundredth_of_a_pixel(name: str) -> None:
    (original,) = open_source(DATA / name)
    found = assemble(original, vehicle("lidar_top"))
    assert_same_geometry(found, original, 1e-8)
    assert original.truth is not None
    points = original.truth.boxes.transformed(geometry.inverse(original.base_from_model)).centers
    by_name = {camera.calibration.name: camera for camera in original.cameras}
    for camera in found.cameras:
        image_from_camera = geometry.homogeneous_intrinsic(camera.calibration.intrinsic)
        expected = by_name[camera.calibration.name]
        ours, theirs = (
            geometry.project(
                image_from_camera @ geometry.inverse(model_from_camera(frame, each)), points
            )[0]
            for frame, each in ((camera, found), (expected, original))
        )
        # Points just beside the image plane have pixels that mean nothing.
        near = np.abs(np.nan_to_num(theirs, nan=np.inf)).max(axis=1) < 1e4
        np.testing.assert_allclose(ours[near], theirs[near], atol=0.01)
