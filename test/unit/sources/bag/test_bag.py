"""Bags give the frame sets that were recorded; what is wrong with one is said in a sentence."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rigs import frame_set, without

from streampetr_ros.core.config import ConfigError
from streampetr_ros.ingest.assembly import CameraSettings
from streampetr_ros.ingest.pictures.pixels import shrink
from streampetr_ros.messages import cdr, standard
from streampetr_ros.messages.vehicle import FrameNames, pose_edges
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR
from streampetr_ros.parameters.bag import BagOptions, bag_options
from streampetr_ros.sources import SourceError, is_bag, open_source
from streampetr_ros.sources.bag.file import BagFile
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.sources.bag.topics import camera_name
from streampetr_ros.sources.bag.writer import BagWriter, write_bag, write_frame_set

SIZE = (176, 99)
COUNT = 4


def drive(count: int = COUNT):
    return [replace(frame_set(i, size=SIZE), token=f"token{i}") for i in range(count)]


def bag_of(path: Path, frame_sets, **options) -> Path:
    write_bag(frame_sets, path, **{"encoding": "png", **options})
    return path


class Tampering(BagWriter):
    """Leaves out or changes messages on the way into the bag."""

    def __init__(self, path: Path, change) -> None:
        super().__init__(path)
        self._change = change

    def write(self, topic, message, recorded_ns):
        changed = self._change(topic, message)
        if changed is not None:
            super().write(topic, changed, recorded_ns)


def tampered(path: Path, change, frame_sets=None) -> Path:
    with Tampering(path, change) as bag:
        for index, each in enumerate(frame_sets or drive()):
            write_frame_set(bag, each, "png", first=index == 0)
    return path


def assert_same(got, wanted):
    assert (got.stamp_ns, got.token) == (wanted.stamp_ns, wanted.token)
    np.testing.assert_allclose(got.fixed_from_base, wanted.fixed_from_base, atol=1e-9)
    np.testing.assert_allclose(got.base_from_model, wanted.base_from_model, atol=1e-9)
    for mine, theirs in zip(got.cameras, wanted.cameras, strict=True):
        assert mine.calibration.name == theirs.calibration.name
        assert mine.stamp_ns == theirs.stamp_ns
        np.testing.assert_array_equal(mine.pixels, theirs.pixels)
        np.testing.assert_allclose(mine.calibration.intrinsic, theirs.calibration.intrinsic)
        np.testing.assert_allclose(
            mine.calibration.base_from_camera, theirs.calibration.base_from_camera, atol=1e-9
        )
        np.testing.assert_allclose(mine.fixed_from_base, theirs.fixed_from_base, atol=1e-9)


@pytest.mark.parametrize(("storage", "encoding"), [("mcap", "png"), ("sqlite3", "raw")])
def test_what_is_recorded_comes_back(tmp_path, storage, encoding):
    path = bag_of(tmp_path / "bag", drive(), storage=storage, encoding=encoding)
    source = open_source(path)
    assert isinstance(source, BagSource)
    assert len(source) == COUNT
    for got, wanted in zip(source, drive(), strict=True):
        assert_same(got, wanted)
    assert not source.problems
    assert source.topics.lines()[0].startswith("camera CAM_FRONT: /CAM_FRONT/image_raw")
    # A second pass starts afresh, and one may start in the middle.
    assert len(list(source)) == COUNT
    [last] = source.frame_sets(COUNT - 1)
    assert_same(last, drive()[-1])


def test_single_files_and_folders_without_metadata_are_read(tmp_path):
    path = bag_of(tmp_path / "bag", drive())
    [part] = path.glob("*.mcap")
    assert is_bag(part)
    assert len(list(open_source(part))) == COUNT
    (path / "metadata.yaml").unlink()
    assert is_bag(path)
    assert len(list(open_source(path))) == COUNT


def test_odometry_in_place_of_moving_transforms(tmp_path):
    def as_odometry(topic, message):
        return None if topic == "/tf" else message

    with Tampering(tmp_path / "bag", as_odometry) as bag:
        for index, each in enumerate(drive()):
            write_frame_set(bag, each, "png", first=index == 0)
            for edge in pose_edges(each, FrameNames()):
                bag.write("/odometry", odometry(edge), edge[2])
    with pytest.raises(SourceError, match="no moving transforms on '/tf'; give --odometry /odom"):
        BagSource(tmp_path / "bag")
    source = BagSource(tmp_path / "bag", bag_options(given={"pose.odometry_topic": "odometry"}))
    for got, wanted in zip(source, drive(), strict=True):
        np.testing.assert_allclose(got.fixed_from_base, wanted.fixed_from_base, atol=1e-9)


def odometry(edge):
    parent, child, stamp_ns, pose = edge
    types = cdr.types
    return types("nav_msgs/msg/Odometry")(
        header=standard.header(types, stamp_ns, parent),
        child_frame_id=child,
        pose=types("geometry_msgs/msg/PoseWithCovariance")(
            pose=types("geometry_msgs/msg/Pose")(
                position=standard.points(types, pose[None, :3, 3])[0],
                orientation=standard.quaternion_message(types, pose[:3, :3]),
            ),
        ),
    )


def test_the_parameter_file_of_the_node_says_what_to_read(tmp_path):
    path = bag_of(tmp_path / "bag", drive())
    names = ["CAM_BACK", "CAM_FRONT"]
    content = {
        "cameras": {"names": names},
        "frames": {"model": "lidar_top"},
        "sync": {"period_s": 0.5, "min_cameras": 2},
    }
    file = tmp_path / "rig.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": content}}))
    options = bag_options(file)
    sync = options.parameters.sync_config()
    assert (sync.period_ns, sync.min_cameras) == (500_000_000, 2)
    for got in BagSource(path, options):
        assert [frame.calibration.name for frame in got.cameras] == names
        np.testing.assert_allclose(got.base_from_model, drive()[0].base_from_model, atol=1e-9)
    file.write_text("nothing: 1")
    with pytest.raises(ConfigError, match="no 'ros__parameters'"):
        bag_options(file)


def test_the_transport_of_the_parameter_file_is_taken_as_by_the_node(tmp_path):
    path = tmp_path / "bag"
    with BagWriter(path) as bag:
        for number, each in enumerate(drive()):
            write_frame_set(bag, each, "raw", first=number == 0)
            write_frame_set(bag, each, "png", first=False)
    for transport, suffix in (("auto", ""), ("raw", ""), ("compressed", "/compressed")):
        camera = CameraSettings(
            name="CAM_BACK", image_topic="CAM_BACK/image_raw", transport=transport
        )
        (found,) = BagSource(path, BagOptions(cameras=(camera,))).topics.cameras
        assert found.image_topic == f"/CAM_BACK/image_raw{suffix}"


def test_settings_that_do_not_fit_the_cameras_are_named(tmp_path):
    file = tmp_path / "rig.yaml"
    for group, content, says in (
        ("cameras", {"transports": ["raw"] * 3}, "holds 3 values but must hold one, or one for"),
        ("cameras", {"image_topics": ["{lens}/image"]}, "may contain {camera} but no other"),
        ("sync", {"offsets_s": [0.1]}, "one time of at least 0 for each of the 2 cameras"),
    ):
        rig = {"cameras": {"names": ["a", "b"]}}
        rig.setdefault(group, {}).update(content)
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": rig}}))
        with pytest.raises(ConfigError, match=re.escape(says)):
            bag_options(file)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_reduced_cameras_are_decoded_smaller(tmp_path, encoding):
    sets = [frame_set(i, size=(176, 96)) for i in range(2)]
    path = bag_of(tmp_path / "bag", sets, encoding=encoding)
    content = {"cameras": {"names": ["CAM_FRONT", "CAM_BACK"], "reductions": [1, 2]}}
    file = tmp_path / "rig.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": content}}))
    for got, wanted in zip(BagSource(path, bag_options(file)), sets, strict=True):
        whole, half = got.cameras
        given = next(each for each in wanted.cameras if each.calibration.name == "CAM_BACK")
        assert whole.pixels.shape == (96, 176, 3)
        np.testing.assert_array_equal(half.pixels, shrink(given.pixels, 2))
        np.testing.assert_allclose(
            half.calibration.intrinsic[:2] * 2, given.calibration.intrinsic[:2]
        )


def test_the_shipped_parameter_file_means_the_defaults():
    root = Path(__file__).resolve().parents[4]
    options, plain = bag_options(root / "config" / "streampetr.yaml"), BagOptions()
    assert options.parameters == plain.parameters
    np.testing.assert_allclose(
        options.parameters.frames.base_from_model, BASE_FROM_NUSCENES_LIDAR, atol=1e-12
    )
    assert options.cameras[1].image_topic == "CAM_FRONT_RIGHT/image_raw"


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("/CAM_FRONT/image_raw/compressed", "CAM_FRONT"),
        ("/sensing/camera/left/image_rect_color", "left"),
        ("/front", "front"),
        ("/rear/compressed", "rear"),
        ("/image_raw", "image_raw"),
    ],
)
def test_cameras_are_named_by_their_topics(topic, name):
    assert camera_name(topic) == name


def without_topic(wanted):
    return lambda topic, message: None if topic == wanted else message


@pytest.mark.parametrize(
    ("topic", "sentence"),
    [
        ("/CAM_BACK/camera_info", "images on '/CAM_BACK/image_raw/compressed' have no CameraInfo"),
        ("/tf", "no moving transforms on '/tf'; record /tf"),
    ],
)
def test_missing_topics_are_named(tmp_path, topic, sentence):
    path = tampered(tmp_path / "bag", without_topic(topic))
    with pytest.raises(SourceError, match=sentence):
        BagSource(path)


def test_missing_mountings_are_named(tmp_path):
    path = tampered(tmp_path / "bag", without_topic("/tf_static"))
    with pytest.raises(SourceError, match="frame 'CAM_FRONT_optical_frame' is unknown"):
        list(BagSource(path))


def test_bags_without_cameras_are_refused(tmp_path):
    def only_transforms(topic, message):
        return message if topic.startswith("/tf") else None

    path = tampered(tmp_path / "bag", only_transforms)
    with pytest.raises(SourceError, match=r"no topic of type sensor_msgs/msg/Image .*TFMessage"):
        BagSource(path)
    camera = CameraSettings(name="top", image_topic="top/image_raw")
    with pytest.raises(SourceError, match="no images on '/top/image_raw' or '/top/image_raw/comp"):
        BagSource(path, BagOptions(cameras=(camera,)))


def test_missing_files_and_empty_bags_are_refused(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        BagSource(tmp_path / "nowhere.mcap")
    with BagWriter(tmp_path / "empty"):
        pass
    with pytest.raises(SourceError, match="is empty; record it again"):
        BagSource(tmp_path / "empty")
    (tmp_path / "noise.mcap").write_bytes(b"noise")
    with pytest.raises(SourceError, match="damaged or was not closed"):
        BagSource(tmp_path / "noise.mcap")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_truncated_bags_are_refused_with_a_remedy(tmp_path, storage):
    path = bag_of(tmp_path / "bag", drive(), storage=storage)
    [part] = [each for each in path.iterdir() if each.suffix in (".mcap", ".db3")]
    content = part.read_bytes()
    for share in (0.0, 0.3, 0.9):
        part.write_bytes(content[: int(share * len(content))])
        with pytest.raises(SourceError, match=r"damaged.*ros2 bag reindex|is empty"):
            list(BagSource(path))


def test_messages_of_another_definition_are_named(tmp_path):
    class Other(BagWriter):
        def write(self, topic, message, recorded_ns):
            super().write(topic, message, recorded_ns)
            if topic == "/CAM_BACK/camera_info":
                connection = self._connections[topic]
                self._writer.write(connection, recorded_ns, b"\x00\x01\x00\x00\x07")

    with Other(tmp_path / "bag") as bag:
        write_frame_set(bag, drive()[0], "png", first=True)
    with pytest.raises(SourceError, match="a message on '/CAM_BACK/camera_info' is no sensor_msgs"):
        list(BagSource(tmp_path / "bag"))


def test_broken_images_cost_their_frame_set_only(tmp_path):
    seen = []

    def break_third(topic, message):
        if topic == "/CAM_BACK/image_raw/compressed":
            seen.append(topic)
            if len(seen) == 3:
                message.data = message.data[:50]
        return message

    told = []
    source = BagSource(tampered(tmp_path / "bag", break_third), warn=told.append)
    stamps = [each.stamp_ns for each in source]
    assert stamps == [each.stamp_ns for i, each in enumerate(drive()) if i != 2]
    assert dict(source.problems) == {"unusable image on '/CAM_BACK/image_raw/compressed'": 1}
    assert "PNG of 50 bytes is truncated" in told[0]


def test_mixed_clocks_are_named(tmp_path):
    def other_clock(topic, message):
        if topic == "/CAM_BACK/image_raw/compressed":
            message.header.stamp.sec += 1_000_000
        return message

    path = tampered(tmp_path / "bag", other_clock, drive(12))
    with pytest.raises(SourceError, match=r"CAM_BACK: .*clock"):
        list(BagSource(path))


def test_incomplete_cycles_are_used_if_that_is_wanted(tmp_path):
    sets = [without(each, "CAM_BACK") if i == 5 else each for i, each in enumerate(drive(8))]
    path = bag_of(tmp_path / "bag", sets)
    assert len(list(BagSource(path))) == 7
    source = BagSource(path, bag_options(given={"sync.min_cameras": 5}))
    assert sorted(len(each.cameras) for each in source) == [5, *[6] * 7]


def test_failed_and_killed_writers_leave_no_bag(tmp_path):
    def failing():
        yield drive()[0]
        raise SourceError("the source broke")

    with pytest.raises(SourceError, match="the source broke"):
        write_bag(failing(), tmp_path / "bag")
    assert not list(tmp_path.iterdir())
    (tmp_path / ".bag.partial").mkdir()
    bag_of(tmp_path / "bag", drive(1))
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
    with pytest.raises(SourceError, match="exists already"):
        BagWriter(tmp_path / "bag")


def test_qos_is_recorded(tmp_path):
    path = bag_of(tmp_path / "bag", drive(1))
    facts = {topic.name: topic for topic in BagFile(path).topics}
    assert facts["/tf_static"].qos[0].durability.name == "TRANSIENT_LOCAL"
    assert facts["/CAM_FRONT/camera_info"].qos[0].durability.name == "VOLATILE"
