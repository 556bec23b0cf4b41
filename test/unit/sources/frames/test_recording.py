"""Recordings come back as they were written; what is broken is named."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from recordings import write_recording
from rigs import driving_pose, frame_set

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR
from streampetr_ros.sources import SourceError, open_source

SMALL = (64, 40)
LIDAR_POSE = driving_pose(0.001)
BOX = {
    "center": [3.0, 20.0, -1.0],
    "size_lwh": [4.0, 2.0, 1.5],
    "yaw": 1.5,
    "velocity": [0.5, 9.0],
    "cls": "car",
}


def drive(index: int = 0):
    return frame_set(index, size=SMALL)


def one_frame(folder, boxes=(BOX,)):
    return write_recording(folder / "frame", drive(), LIDAR_POSE, boxes)


def test_a_frame_comes_back_as_it_was(tmp_path):
    one_frame(tmp_path)
    source = open_source(tmp_path / "frame")
    (actual,) = source
    expected = drive()
    assert (len(source), source.name) == (1, "frame")
    assert (actual.stamp_ns, actual.sequence) == (expected.stamp_ns, "drive")
    np.testing.assert_allclose(actual.fixed_from_base, expected.fixed_from_base, atol=1e-12)
    np.testing.assert_allclose(actual.base_from_model, expected.base_from_model, atol=1e-12)
    for one, wanted in zip(actual.cameras, expected.cameras, strict=True):
        np.testing.assert_array_equal(one.pixels, wanted.pixels)
        np.testing.assert_allclose(one.fixed_from_base, wanted.fixed_from_base, atol=1e-12)
        assert (one.calibration.name, one.stamp_ns) == (wanted.calibration.name, wanted.stamp_ns)


def test_a_folder_of_frames_is_a_sequence_that_can_be_read_twice(tmp_path):
    for index in (2, 0, 1):
        write_recording(tmp_path / f"{index:03d}", drive(index), driving_pose(0.5 * index + 0.001))
    source = open_source(tmp_path)
    stamps = [one.stamp_ns for one in source]
    assert len(source) == 3
    assert stamps == sorted(stamps) == [one.stamp_ns for one in source]


def test_truth_is_moved_to_the_reference_time(tmp_path):
    """Truth is given in the LiDAR frame 1 ms later; the object moves and so does the vehicle."""
    one_frame(tmp_path)
    (actual,) = open_source(tmp_path)
    lidar_from_base = geometry.inverse(actual.base_from_model)
    later_from_now = geometry.inverse(LIDAR_POSE) @ driving_pose(0.0)
    now = actual.truth.boxes
    center_later = geometry.transform_points(lidar_from_base @ later_from_now, now.centers[0])
    np.testing.assert_allclose(center_later, [3.0 - 0.0005, 20.0 - 0.009, -1.0], atol=1e-9)
    velocity = geometry.rotate_planar(lidar_from_base @ later_from_now, now.velocities)
    np.testing.assert_allclose(velocity[0], [0.5, 9.0], atol=1e-9)
    np.testing.assert_allclose(now.yaws[0], 1.5 - np.pi / 2 + 0.15e-3, atol=1e-9)
    assert actual.truth.class_names == ("car",)


def test_ignored_and_invalid_boxes_are_left_out(tmp_path):
    unknown = {**BOX, "velocity": None, "track": 7}
    boxes = [{**BOX, "cls": "ignore"}, {**BOX, "valid": False}, unknown]
    one_frame(tmp_path, boxes)
    (actual,) = open_source(tmp_path)
    assert len(actual.truth.boxes) == 1
    assert actual.truth.instance_ids.tolist() == [7]
    assert np.isnan(actual.truth.boxes.velocities).all()


def test_poses_of_one_stamp_are_averaged(tmp_path):
    together = drive()
    shaken = []
    for index, frame in enumerate(together.cameras):
        pose = geometry.transform_from_parts(
            [0.01 * index, 0, 0], geometry.rotation_about_z(0.001 * index)
        )
        shaken.append(replace(frame, stamp_ns=together.stamp_ns, fixed_from_base=pose))
    write_recording(tmp_path / "frame", replace(together, cameras=tuple(shaken)), LIDAR_POSE)
    (actual,) = open_source(tmp_path)
    expected = geometry.transform_from_parts([0.025, 0, 0], geometry.rotation_about_z(0.0025))
    for frame in actual.cameras:
        np.testing.assert_allclose(frame.fixed_from_base, expected, atol=1e-8)
    np.testing.assert_allclose(actual.fixed_from_base, expected, atol=1e-8)


def test_a_lidar_frame_with_other_axes_is_not_the_model_frame(tmp_path):
    write_recording(tmp_path / "frame", replace(drive(), base_from_model=np.eye(4)), LIDAR_POSE)
    (actual,) = open_source(tmp_path)
    np.testing.assert_array_equal(actual.base_from_model, BASE_FROM_NUSCENES_LIDAR)


def edited(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def drop_intrinsic(content):
    del content["cameras"]["CAM_BACK"]["intrinsic"]


def spoil_intrinsic(content):
    content["cameras"]["CAM_BACK"]["intrinsic"] = [[1, 2], [3]]


def spoil_quaternion(content):
    content["lidar"]["ego2global"]["rotation_wxyz"] = [0, 0, 0, 0]


def empty_cameras(content):
    content["cameras"] = {}


def spoil_stamp(content):
    content["cameras"]["CAM_BACK"]["timestamp_us"] = "noon"


def spoil_boxes(content):
    content["boxes"] = {"center": 1}


def other_schema(content):
    content["schema"] = "multicam_frame/9"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_intrinsic, "frame.json: cameras: CAM_BACK has no 'intrinsic'"),
        (spoil_intrinsic, "'intrinsic' must hold 3x3 numbers"),
        (spoil_quaternion, "lidar: ego2global: quaternion"),
        (empty_cameras, "'cameras' is empty"),
        (spoil_stamp, "'timestamp_us' must be an integer, got 'noon'"),
        (spoil_boxes, "'boxes' must be a list"),
        (other_schema, "has schema 'multicam_frame/9' but 'multicam_frame/1'"),
    ],
)
def test_broken_content_is_named(tmp_path, change, message):
    edited(one_frame(tmp_path), change)
    with pytest.raises(SourceError, match=message):
        list(open_source(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", "\x00\x01"])
def test_files_that_are_no_json_object(tmp_path, text):
    one_frame(tmp_path).write_text(text)
    with pytest.raises(UserError, match=r"frame\.json"):
        list(open_source(tmp_path))


def test_missing_image_is_named(tmp_path):
    one_frame(tmp_path).with_name("CAM_BACK.png").unlink()
    with pytest.raises(UserError, match=r"cannot read image '.*CAM_BACK\.png': No such file"):
        list(open_source(tmp_path))


@pytest.mark.parametrize("name", ["/dev/zero", "../other/CAM_BACK.png", "a/../../b.png"])
def test_images_lie_in_the_folder(tmp_path, name):
    def change(frame):
        frame["cameras"]["CAM_BACK"]["file"] = name

    edited(one_frame(tmp_path), change)
    with pytest.raises(SourceError, match=r"names the image .* outside of its folder; put"):
        list(open_source(tmp_path))


def test_an_image_that_is_a_pipe(tmp_path):
    image = one_frame(tmp_path).with_name("CAM_BACK.png")
    image.unlink()
    os.mkfifo(image)
    with pytest.raises(UserError, match=r"CAM_BACK\.png' is a pipe; give a file"):
        list(open_source(tmp_path))


def test_truncated_jpeg_is_named(tmp_path):
    file = one_frame(tmp_path)
    edited(file, lambda content: content["cameras"]["CAM_BACK"].update(file="back.jpg"))
    picture = file.with_name("back.jpg")
    Image.fromarray(drive().cameras[3].pixels).save(picture)
    picture.write_bytes(picture.read_bytes()[:900])
    with pytest.raises(SourceError, match=r"back\.jpg' is broken"):
        list(open_source(tmp_path))


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(SourceError, match="does not exist; give a folder"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"no frame\.json was found"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="no number behind the colon"):
        open_source("synthetic:blue")


def test_a_bag_of_ros_1_is_named_as_such(tmp_path):
    file = tmp_path / "x.bag"
    file.write_bytes(b"#ROSBAG V2.0\n")
    says = "is a bag of ROS 1 and no rosbag2 recording; convert it with 'rosbags-convert --src"
    for need_pixels in (True, False):
        with pytest.raises(SourceError, match=says):
            open_source(file, need_pixels=need_pixels)


def sequence_file(tmp_path):
    content = json.loads(one_frame(tmp_path / "old").read_text())
    file = tmp_path / "drive.json"
    file.write_text(
        json.dumps({"schema": "multicam_sequence/1", "scene": "s1", "frames": [content, content]})
    )
    return file


def test_a_sequence_without_images_says_so(tmp_path):
    with pytest.raises(SourceError, match="poses and boxes but no images"):
        open_source(sequence_file(tmp_path))


def test_a_sequence_without_images_serves_where_no_pixels_are_needed(tmp_path):
    source = open_source(sequence_file(tmp_path), need_pixels=False)
    frames = list(source)
    assert len(source) == len(frames) == 2
    assert frames[0].sequence == "drive"
    assert frames[0].cameras[0].pixels.shape == (SMALL[1], SMALL[0], 3)
    assert len(frames[0].truth.boxes) == 1
