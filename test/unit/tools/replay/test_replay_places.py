"""What a replay removes and what it never touches: results of other runs, folders of the user."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from recordings import write_recording
from rigs import frame_set, without
from rosbags.rosbag2 import StoragePlugin, Writer
from test_cli import run

from streampetr_ros.messages.cdr import typestore
from streampetr_ros.sources.bag.file import BagFile
from streampetr_ros.sources.bag.writer import write_bag
from streampetr_ros.tools.replay import job as replay_job
from streampetr_ros.tools.replay import video as replay_video
from streampetr_ros.tools.replay.bag import is_result_bag
from streampetr_ros.viz.overlay import fitted

SMALL = (176, 99)
TINY = ("--model", "tiny")
PLAIN = (*TINY, "--no-pictures")
A, B = ("--weights", "random:0"), ("--weights", "random:1")


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    """A recording of three sets without tokens."""
    folder = tmp_path_factory.mktemp("recordings") / "drive"
    for index in range(3):
        write_recording(folder / str(index), frame_set(index, size=SMALL))
    return folder


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "drive"
    sets = (replace(frame_set(i, size=SMALL), token=f"token{i}") for i in range(3))
    write_bag(sets, path, encoding="png")
    return path


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def end_after(monkeypatch, count: int, *, saved: bool = True) -> None:
    """End the next run after so many sets; without `saved` before the last is noted."""
    save, seen = replay_job.save_state, []

    def ending(folder, state):
        seen.append(state)
        if saved or len(seen) < count:
            save(folder, state)
        if len(seen) == count:
            monkeypatch.setattr(replay_job, "save_state", save)
            raise KeyboardInterrupt

    monkeypatch.setattr(replay_job, "save_state", ending)


def test_boxes_of_an_ended_run_do_not_pass_for_those_of_an_earlier_one(
    drive, tmp_path, monkeypatch
):
    run("replay", drive, *PLAIN, *A, "--out", tmp_path)
    wanted = [line["detections"] for line in lines(tmp_path)]
    end_after(monkeypatch, 1)
    run("replay", drive, *PLAIN, *B, "--out", tmp_path)
    assert len(lines(tmp_path)) == 1
    code, text = run("replay", drive, *PLAIN, *A, "--out", tmp_path)
    assert code == 0
    assert "already" not in text
    assert [line["detections"] for line in lines(tmp_path)] == wanted


def test_a_run_does_not_go_on_with_a_line_of_another(drive, tmp_path, monkeypatch):
    end_after(monkeypatch, 1)
    run("replay", drive, *PLAIN, *A, "--out", tmp_path)
    end_after(monkeypatch, 1, saved=False)
    run("replay", drive, *PLAIN, *B, "--out", tmp_path)
    assert "going on" not in run("replay", drive, *PLAIN, *A, "--out", tmp_path)[1]


def test_files_of_an_earlier_run_do_not_stay_beside_those_of_a_shorter(
    drive, with_tokens, tmp_path
):
    run("replay", with_tokens, *TINY, *A, "--video", "--mcap", "--out", tmp_path)
    mine = tmp_path / "cameras" / "mine.jpg"
    mine.write_bytes(b"of the user")
    run("replay", drive, *TINY, *A, "--limit", 1, "--out", tmp_path)
    assert names(tmp_path) == ["cameras", "detections.jsonl", "summary.json", "top_view"]
    assert names(tmp_path / "cameras") == ["000000.jpg", "mine.jpg"]
    assert names(tmp_path / "top_view") == ["000000.png"]
    run("replay", drive, *PLAIN, *A, "--out", tmp_path)
    assert names(tmp_path) == ["cameras", "detections.jsonl", "summary.json"]
    assert names(tmp_path / "cameras") == ["mine.jpg"]


def test_nothing_goes_when_weights_or_source_cannot_be_opened(drive, tmp_path):
    run("replay", drive, *TINY, *A, "--mcap", "--out", tmp_path)
    before = names(tmp_path)
    missing = tmp_path.parent / "missing"
    commands = (
        (drive, *TINY, "--weights", missing / "w.safetensors"),
        (missing, *TINY, *A),
    )
    for command in commands:
        assert run("replay", *command, "--video", "--out", tmp_path)[0] == 1
        assert names(tmp_path) == before
        assert len(names(tmp_path / "cameras")) == len(lines(tmp_path)) == 3


def test_a_folder_of_the_user_stays(drive, tmp_path):
    data = tmp_path / "results" / "data.txt"
    data.parent.mkdir()
    data.write_text("mine")
    assert run("replay", drive, *PLAIN, *A, "--limit", 1, "--out", tmp_path)[0] == 0
    assert data.read_text() == "mine"
    shutil.move(tmp_path / "detections.jsonl", tmp_path / "before.jsonl")
    code, text = run("replay", drive, *PLAIN, *B, "--mcap", "--out", tmp_path)
    assert code == 1
    assert "results' is not a bag that a replay wrote, so --mcap does not replace it" in text
    assert data.read_text() == "mine"
    assert not (tmp_path / "detections.jsonl").exists()


def test_the_bag_of_an_earlier_run_is_replaced(drive, tmp_path):
    for weights, limit in ((A, 2), (B, 1)):
        options = (*PLAIN, *weights, "--limit", limit, "--mcap", "--out", tmp_path)
        assert run("replay", drive, *options)[0] == 0
        counts = {each.name: each.count for each in BagFile(tmp_path / "results").topics}
        assert counts["/streampetr/markers"] == limit


def test_a_bag_of_a_replay_is_known_by_its_content(drive, with_tokens, tmp_path):
    run("replay", drive, *PLAIN, *A, "--limit", 1, "--mcap", "--out", tmp_path)
    bag = tmp_path / "results"
    assert is_result_bag(bag)
    link = tmp_path / "link"
    link.symlink_to(bag)
    recorded = tmp_path / "recorded" / "results"
    write_bag([frame_set(0, size=SMALL)], recorded)
    # The node's own topics, recorded by ROS.
    live = tmp_path / "live" / "results"
    live.parent.mkdir()
    with Writer(live, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic in ("/streampetr/markers", "/streampetr/track_markers"):
            writer.add_connection(topic, "std_msgs/msg/String", typestore=typestore())
    (live / "results.mcap").rename(live / "results_0.mcap")
    metadata = live / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("ros_distro: rosbags", "ros_distro: jazzy"))
    assert not any(map(is_result_bag, (link, recorded, live, with_tokens, tmp_path / "none")))
    metadata.write_text(metadata.read_text().replace("ros_distro: jazzy", "ros_distro: rosbags"))
    assert is_result_bag(live)
    for broken in ("", "{", "rosbag2_bagfile_information: 1", "rosbag2_bagfile_information: {}"):
        metadata.write_text(broken)
        assert not is_result_bag(live)
    (bag / "notes.txt").write_text("mine")
    assert not is_result_bag(bag)


def test_a_source_where_the_bag_lies_is_refused(with_tokens, tmp_path, monkeypatch):
    run("replay", with_tokens, *PLAIN, *A, "--mcap", "--out", tmp_path)
    before = names(tmp_path)
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / "results", "results", "results/results_0.mcap"):
        code, text = run("replay", source, *PLAIN, *B, "--out", tmp_path)
        assert code == 1
        assert "keeps its own bag; choose another folder with --out" in text
    assert names(tmp_path) == before
    assert is_result_bag(tmp_path / "results")


def test_pictures_of_a_recording_are_not_drawn_over(drive, tmp_path):
    recording = shutil.copytree(drive, tmp_path / "recording")
    picture = recording / "cameras" / "000000.jpg"
    picture.parent.mkdir()
    Image.new("RGB", SMALL).save(picture)
    before = picture.read_bytes()
    # Results without pictures do no harm, and make none of the pictures ours.
    assert run("replay", recording, *PLAIN, *A, "--out", recording)[0] == 0
    code, text = run("replay", recording, *PLAIN, *A, "--video", "--out", recording)
    assert code == 1
    assert "000000.jpg' is not a picture that this version of replay drew" in text
    assert run("replay", recording, *PLAIN, *B, "--out", recording)[0] == 0
    assert picture.read_bytes() == before


def test_other_files_stay_when_only_the_video_is_wanted(drive, tmp_path):
    mine = [tmp_path / "cameras" / "front" / "1.jpg", tmp_path / "top_view" / "map.png"]
    for each in mine:
        each.parent.mkdir(parents=True)
        each.write_bytes(b"mine")
    (tmp_path / "video.mp4").write_bytes(b"an earlier one")
    code, text = run("replay", drive, *PLAIN, *A, "--video", "--out", tmp_path)
    assert code == 0, text
    assert all(each.read_bytes() == b"mine" for each in mine)
    assert names(tmp_path / "cameras") == ["front"]
    assert names(tmp_path / "top_view") == ["map.png"]
    assert frames_of(tmp_path / "video.mp4") == 3


def frames_of(video: Path) -> int:
    stream, count = cv2.VideoCapture(str(video)), 0
    while stream.read()[0]:
        count += 1
    return count


@pytest.mark.parametrize("first_is_whole", [True, False])
def test_a_video_holds_sets_that_lack_cameras(tmp_path, first_is_whole):
    behind = ("CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
    for index in range(4):
        whole = (index % 2 == 0) == first_is_whole
        one = frame_set(index, size=SMALL)
        write_recording(tmp_path / "drive" / str(index), one if whole else without(one, *behind))
    out = tmp_path / "out"
    code, text = run("replay", tmp_path / "drive", *TINY, *A, "--video", "--out", out)
    assert code == 0, text
    sizes = {Image.open(file).size for file in (out / "cameras").iterdir()}
    assert len(sizes) == 2
    assert frames_of(out / "video.mp4") == 4


def test_pictures_keep_their_shape_on_the_canvas():
    white = np.full((40, 100, 3), 255, dtype=np.uint8)
    canvas, _ = fitted(white, (200, 120))
    rows, columns = np.nonzero(canvas[..., 0] > 100)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 99, 0, 199)
    assert (fitted(white, (100, 40))[0] == white).all()


def test_an_error_leaves_no_part_of_a_video(drive, tmp_path, monkeypatch):
    run("replay", drive, *TINY, *A, "--out", tmp_path)
    before = names(tmp_path)

    def fail(*_):
        raise OSError("disk")

    monkeypatch.setattr(replay_video, "fitted", fail)
    with pytest.raises(OSError, match="disk"):
        replay_video.write_video(tmp_path, [line["stamp_ns"] for line in lines(tmp_path)])
    assert names(tmp_path) == before


def test_the_bag_holds_mountings_of_cameras_that_come_later(tmp_path):
    sets = [without(frame_set(0, size=SMALL), "CAM_BACK"), frame_set(1, size=SMALL)]
    for index, one in enumerate(sets):
        write_recording(tmp_path / "drive" / str(index), one)
    options = (*PLAIN, *A, "--mcap", "--out", tmp_path)
    code, text = run("replay", tmp_path / "drive", *options)
    assert code == 0, text
    static = BagFile(tmp_path / "results").messages(["/tf_static"])
    children = {edge.child_frame_id for each in static for edge in each.content.transforms}
    assert "CAM_BACK_optical_frame" in children


def test_drives_of_two_vehicles_do_not_fit_in_one_bag(tmp_path):
    first, second = frame_set(0, size=SMALL), frame_set(1, size=SMALL)
    moved = second.cameras[0].calibration.base_from_camera.copy()
    moved[2, 3] += 0.5
    calibration = replace(second.cameras[0].calibration, base_from_camera=moved)
    camera = replace(second.cameras[0], calibration=calibration)
    second = replace(second, cameras=(camera, *second.cameras[1:]))
    for index, one in enumerate((first, second)):
        write_recording(tmp_path / "drive" / str(index), one)
    options = (*PLAIN, *A, "--mcap", "--out", tmp_path)
    code, text = run("replay", tmp_path / "drive", *options)
    assert code == 1
    assert "CAM_FRONT_optical_frame" in text
    assert "each drive by itself" in text
    assert len(lines(tmp_path)) == 2
    assert not (tmp_path / "results").exists()


def test_a_limit_below_zero_is_refused(drive, tmp_path):
    code, text = run("replay", drive, *PLAIN, *A, "--limit", -1, "--out", tmp_path)
    assert code == 2
    assert "--limit" in text
    run("replay", drive, *PLAIN, *A, "--limit", 0, "--out", tmp_path)
    assert len(lines(tmp_path)) == 3
