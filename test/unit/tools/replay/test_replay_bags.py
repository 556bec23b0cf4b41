"""Bags through the command line: same boxes as the pipeline, results that survive a kill."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rigs import frame_set
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from test_cli import run

from streampetr_ros.backends.opening import open_backend
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.sources import open_bag
from streampetr_ros.sources.bag.file import BagFile
from streampetr_ros.sources.bag.writer import write_bag
from streampetr_ros.tools.replay import job as replay_job
from streampetr_ros.track import TrackingConfig

COUNT = 5


def drive(count: int = COUNT):
    small = (frame_set(i, size=(176, 99)) for i in range(count))
    return [replace(each, token=f"token{i}") for i, each in enumerate(small)]


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "drive"
    write_bag(drive(), path, encoding="png")
    return path


def records(folder: Path) -> list[dict]:
    lines = (folder / "detections.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    for record in found:
        del record["timings_ms"]
    return found


def test_a_bag_gives_the_boxes_of_its_frame_sets(bag, tmp_path):
    code, text = run("replay", bag, "--model", "tiny", "--weights", "random:0", "--out", tmp_path)
    assert code == 0, text
    assert "camera CAM_BACK: /CAM_BACK/image_raw/compressed, /CAM_BACK/camera_info" in text
    config = PipelineConfig(tracking=TrackingConfig())
    pipeline = StreamingPipeline(open_backend("random:0", "tiny"), config)
    for record, each in zip(records(tmp_path), drive(), strict=True):
        wanted = pipeline.step(each).detections
        centers = [box["center"] for box in record["detections"]]
        np.testing.assert_allclose(centers, wanted.boxes.centers, atol=1e-4)
        scores = [box["score"] for box in record["detections"]]
        np.testing.assert_allclose(scores, wanted.scores, atol=1e-4)
    results = json.loads((tmp_path / "results_nusc.json").read_text())["results"]
    assert list(results) == [f"token{i}" for i in range(COUNT)]


def test_a_run_that_is_ended_goes_on(bag, tmp_path, monkeypatch):
    options = ("--model", "tiny", "--weights", "random:0", "--no-pictures")
    run("replay", bag, *options, "--out", tmp_path / "whole")
    save, saved = replay_job.save_state, []

    def end_after_two(folder, state):
        save(folder, state)
        saved.append(state)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(replay_job, "save_state", end_after_two)
    cut = tmp_path / "cut"
    assert run("replay", bag, *options, "--out", cut)[0] != 0
    assert len(records(cut)) == 2
    # A line that was begun when the power failed.
    with (cut / "detections.jsonl").open("a") as file:
        file.write('{"index": 2, "st')
    monkeypatch.setattr(replay_job, "save_state", save)
    code, text = run("replay", bag, *options, "--out", cut)
    assert code == 0
    assert "going on after 2 frame sets" in text
    assert records(cut) == records(tmp_path / "whole")
    assert json.loads((cut / "summary.json").read_text())["sets"] == COUNT
    assert "holds the results of this run already" in run("replay", bag, *options, "--out", cut)[1]
    other = run("replay", bag, *options, "--out", cut, "--limit", 1)[1]
    assert "already" not in other
    assert len(records(cut)) == 1


def test_videos_and_bags_for_viewers(bag, tmp_path):
    options = ("--model", "tiny", "--weights", "random:0", "--no-pictures", "--draw-above", 0)
    code, text = run("replay", bag, *options, "--video", "--mcap", "--out", tmp_path)
    assert code == 0, text
    video = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT
    assert not (tmp_path / "cameras").exists()
    file = BagFile(tmp_path / "results")
    counts = {topic.name: topic.count for topic in file.topics}
    # The topics that the layout of Foxglove shows.
    assert counts["/streampetr/markers"] == counts["/streampetr/track_markers"] == COUNT
    assert counts["/CAM_BACK/image_raw/compressed"] == COUNT
    first = next(file.messages(["/streampetr/markers"])).content
    assert first.markers[0].action == first.markers[0].DELETEALL
    assert first.markers[1].header.frame_id == "base_link"
    assert len(first.markers[1].points) == len(first.markers[1].colors) >= 24
    # As the node shows them: by class, and gone if no further result comes.
    kinds = {marker.ns.partition("/")[2] for marker in first.markers[1:]}
    assert {"boxes", "heading", "label"} <= kinds <= {"boxes", "heading", "label", "velocity"}
    assert all(marker.lifetime.sec == 5 for marker in first.markers[1:])
    assert counts["/streampetr/overlays/CAM_BACK/compressed"] == COUNT
    assert counts["/streampetr/top_view/compressed"] == COUNT
    # What was recorded is copied as it was, so the results can be replayed themselves; what was
    # drawn on pictures is no camera.
    assert [each.stamp_ns for each in open_bag(tmp_path / "results")] == [
        each.stamp_ns for each in drive()
    ]


@pytest.mark.parametrize("tracked", [True, False])
def test_boxes_are_drawn_on_the_pictures_of_the_bag(bag, tmp_path, tracked):
    options = ("--model", "tiny", "--weights", "random:0", "--no-pictures", "--draw-above", 0)
    options = (*options, "--mcap", *(() if tracked else ("--no-tracking",)))
    run("replay", bag, *options, "--out", tmp_path)
    file = BagFile(tmp_path / "results")
    topics = ["/streampetr/overlays/CAM_BACK/compressed", "/streampetr/top_view/compressed"]
    drawn = [message.content for message in file.messages(topics)]
    behind = drawn[0 if "optical" in drawn[0].header.frame_id else 1]
    original = next(file.messages(["/CAM_BACK/image_raw/compressed"])).content
    assert behind.header == original.header
    assert {each.header.frame_id for each in drawn} == {original.header.frame_id, "base_link"}
    pictures = [cv2.imdecode(each.data, cv2.IMREAD_COLOR) for each in (original, behind)]
    plain = cv2.resize(pictures[0], pictures[1].shape[1::-1])
    changed = np.abs(plain.astype(int) - pictures[1]).max(axis=2) > 60
    # Lines of boxes, besides the name of the camera in its corner.
    assert changed[60:].any()


def definitions(file: Path) -> dict[str, Typestore]:
    """The types of each topic by what the file itself says of them, and by nothing else."""
    found = {}
    with Reader(file) as reader:
        for connection in reader.connections:
            assert connection.msgdef.format == MessageDefinitionFormat.MSG
            own = get_typestore(Stores.EMPTY)
            own.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
            found[connection.topic] = own
    return found


def test_viewers_can_read_the_bag_by_itself(bag, tmp_path):
    options = ("--model", "tiny", "--weights", "random:0", "--no-pictures", "--draw-above", 0)
    run("replay", bag, *options, "--mcap", "--out", tmp_path)
    (file,) = (tmp_path / "results").glob("*.mcap")
    types = definitions(file)
    assert {"/tf", "/tf_static", "/streampetr/markers", "/CAM_BACK/camera_info"} <= set(types)
    with Reader(file) as reader:
        for connection, _, data in reader.messages():
            types[connection.topic].deserialize_cdr(data, connection.msgtype)


def test_a_source_without_a_video_encoder_is_told(bag, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda _self: False)
    options = ("--model", "tiny", "--weights", "random:0", "--video", "--limit", 1)
    code, text = run("replay", bag, *options, "--out", tmp_path)
    assert code == 1
    assert "has no encoder for" in text
    assert len(records(tmp_path)) == 1
    assert not (tmp_path / "video.mp4").exists()


def test_several_bags_each_get_a_folder_and_one_may_fail(bag, tmp_path):
    noise = tmp_path / "noise.mcap"
    noise.write_bytes(b"noise")
    options = ("--model", "tiny", "--weights", "random:0", "--no-pictures", "--limit", 2)
    code, text = run("replay", bag, noise, *options, "--jobs", 2, "--out", tmp_path / "out")
    assert code == 1
    assert "noise.mcap: bag" in text
    assert len(records(tmp_path / "out" / "drive")) == 2
    assert "two sources are called" in run("replay", bag, bag, *options, "--out", tmp_path)[1]


def test_a_cluster_gives_the_same(bag, tmp_path):
    options = ("--model", "tiny", "--weights", "random:0", "--no-pictures", "--limit", 2)
    noise = tmp_path / "noise.mcap"
    noise.write_bytes(b"noise")
    second = shutil.copytree(bag, tmp_path / "second")
    out = tmp_path / "out"
    sources = (bag, second, noise)
    command = ("replay", *sources, *options, "--ray-address", "local", "--out", out)
    if importlib.util.find_spec("ray") is None:
        assert "pip install ray" in run(*command)[1]
        pytest.skip("no ray")
    code, text = run(*command)
    assert code == 1
    assert "noise.mcap: bag" in text
    for name in ("drive", "second"):
        assert len(records(out / name)) == 2
