"""Messages go in, the frame set they were made from comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

import rclpy
from folder import DATA, DDAD, NUSCENES, needs_data
from graph import Graph
from rigs import frame_set

from streampetr_ros.core import geometry
from streampetr_ros.core.timing import StageClock
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.assembly import VehicleFrames
from streampetr_ros.ingest.sync.types import StampedImage, SyncedSet
from streampetr_ros.messages.vehicle import CameraMessages, FrameNames, set_messages
from streampetr_ros.parameters.inputs import CameraParameters, PoseParameters
from streampetr_ros.preprocess.inputs import model_from_camera
from streampetr_ros.ros.inputs.assembly import FrameSetAssembler
from streampetr_ros.ros.inputs.calibration import CalibrationStore
from streampetr_ros.ros.inputs.camera_input import ReceivedImage
from streampetr_ros.ros.inputs.transforms import TransformInput
from streampetr_ros.ros.messages import make
from streampetr_ros.ros.problems import Problem, ProblemLog, SkippedSetError
from streampetr_ros.sources import open_source

Assemble = Callable[..., FrameSet]
Tamper = Callable[[dict[str, CameraMessages]], None]


def _as_is(messages: dict[str, CameraMessages]) -> None:
    assert messages


@pytest.fixture
def assemble(graph: Graph) -> Iterator[Assemble]:
    """Take a frame set apart into messages, let the node's own parts put it together again."""
    assert graph
    node = rclpy.create_node("assembly_under_test")
    transforms = TransformInput(node, PoseParameters(), ProblemLog(print))
    assemblers: list[FrameSetAssembler] = []

    def run(
        original: FrameSet,
        *,
        frames: VehicleFrames,
        without_info: str = "",
        tamper: Tamper = _as_is,
    ) -> FrameSet:
        messages = set_messages(make, original, "png", FrameNames())
        tamper({camera.camera: camera for camera in messages.cameras})
        transforms._on_transforms(messages.mountings, static=True)
        transforms._on_transforms(messages.poses, static=False)
        names = tuple(camera.camera for camera in messages.cameras)
        settings = {each.name: each for each in CameraParameters(names=names).settings()}
        infos = {
            camera.camera: SimpleNamespace(
                settings=settings[camera.camera],
                info=None if camera.camera == without_info else camera.info,
            )
            for camera in messages.cameras
        }
        assemblers.append(
            FrameSetAssembler(settings, frames, CalibrationStore(infos), transforms, 2)
        )
        images = tuple(
            StampedImage(
                camera.camera,
                camera.stamp_ns,
                ReceivedImage(camera.image, f"{camera.camera}/image", time.perf_counter()),
            )
            for camera in messages.cameras
        )
        found = SyncedSet(stamp_ns=original.stamp_ns, images=images)
        assembled = assemblers[-1].assemble(found, StageClock())
        assert_same_geometry(assembled.outline, original, 1e-8)
        assert not any(camera.pixels.size for camera in assembled.outline.cameras)
        return assembled.complete().frame_set

    yield run
    for assembler in assemblers:
        assembler.close()
    transforms.close()
    node.destroy_node()


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


@pytest.mark.parametrize("frames", [VehicleFrames(), VehicleFrames(model="lidar_top")])
def test_frame_set_survives_the_messages(assemble: Assemble, frames: VehicleFrames) -> None:
    original = frame_set(3)
    found = assemble(original, frames=frames)
    assert_same_geometry(found, original, 1e-9)
    pixels = {camera.calibration.name: camera.pixels for camera in original.cameras}
    for camera in found.cameras:
        np.testing.assert_array_equal(camera.pixels, pixels[camera.calibration.name])


def test_camera_without_calibration(assemble: Assemble) -> None:
    with pytest.raises(SkippedSetError, match=r"CAM_BACK.*no CameraInfo yet") as caught:
        assemble(frame_set(), frames=VehicleFrames(), without_info="CAM_BACK")
    assert caught.value.problem is Problem.NO_CAMERA_INFO


def swap_calibrations(messages: dict[str, CameraMessages]) -> None:
    front, back = (messages[name].info.header for name in ("CAM_FRONT", "CAM_BACK"))
    front.frame_id, back.frame_id = back.frame_id, front.frame_id


def send_one_camera_twice(messages: dict[str, CameraMessages]) -> None:
    for message in (messages["CAM_BACK"].image, messages["CAM_BACK"].info):
        message.header.frame_id = messages["CAM_FRONT"].image.header.frame_id


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (swap_calibrations, r"'CAM_FRONT/image' .*CameraInfo is for frame 'CAM_BACK_.*swapped"),
        (send_one_camera_twice, r"'CAM_BACK/image' .*'CAM_FRONT_optical_frame' like .*two topics"),
    ],
)
def test_swapped_cameras_are_named(assemble: Assemble, tamper: Tamper, says: str) -> None:
    with pytest.raises(SkippedSetError, match=says):
        assemble(frame_set(), frames=VehicleFrames(), tamper=tamper)


@pytest.mark.parametrize("wrong", [{"fixed": "map"}, {"base": "chassis"}, {"model": "roof"}])
def test_transform_that_is_not_there(assemble: Assemble, wrong: dict[str, str]) -> None:
    with pytest.raises(SkippedSetError, match=next(iter(wrong.values()))) as caught:
        assemble(frame_set(), frames=VehicleFrames(**wrong))
    assert caught.value.problem is Problem.NO_TRANSFORM


@needs_data
@pytest.mark.parametrize("name", [*NUSCENES, os.path.join(DDAD, "001")])
def test_real_rig_within_a_hundredth_of_a_pixel(assemble: Assemble, name: str) -> None:
    (original,) = open_source(DATA / name)
    found = assemble(original, frames=VehicleFrames(model="lidar_top"))
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
