"""Tracks of detection files: the verb, the tables it reads, the official metrics."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from moving_boxes import drive, perfect_records
from typer.testing import CliRunner

from streampetr_ros.core.errors import UserError
from streampetr_ros.evaluation.result_file import read_drives
from streampetr_ros.evaluation.tracking import (
    evaluate_tracks,
    own_tracker,
    track_scenes,
)
from streampetr_ros.nuscenes.export import ExportOptions, export_nuscenes
from streampetr_ros.nuscenes.results import write_results
from streampetr_ros.nuscenes.tables import read_poses
from streampetr_ros.tools.cli import build_app


def test_poses_come_back_from_tables(tmp_path):
    frame_sets = drive()
    export_nuscenes(frame_sets, tmp_path)
    read = read_poses(tmp_path / ExportOptions().version)
    assert [f.token for f in read] == [f.token for f in frame_sets]
    assert [f.stamp_ns for f in read] == [f.stamp_ns for f in frame_sets]
    np.testing.assert_allclose(read[3].fixed_from_base, frame_sets[3].fixed_from_base, atol=1e-9)


def test_official_metrics_of_perfect_and_of_swapped_tracks():
    pytest.importorskip("nuscenes")
    pytest.importorskip("motmetrics")
    frame_sets = drive(count=4) + drive("second", count=3)
    results = track_scenes(frame_sets, perfect_records(frame_sets), own_tracker)
    scores = evaluate_tracks(frame_sets, results)
    assert scores.amota > 0.99
    assert scores.switches == 0
    assert set(scores.class_amota) == {"car", "pedestrian"}
    for token in ("drive-2", "drive-3"):
        cars = [r for r in results[token] if r["tracking_name"] == "car"]
        names = [car["tracking_id"] for car in cars]
        for car, name in zip(cars, reversed(names), strict=True):
            car["tracking_id"] = name
    assert evaluate_tracks(frame_sets, results).switches == 2


def test_missing_devkit_names_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nuscenes.eval.tracking.evaluate", None)
    with pytest.raises(UserError, match="pip install"):
        evaluate_tracks(drive(), {})


def test_truth_is_needed_for_tables(tmp_path):
    with pytest.raises(UserError, match="drive-0"):
        export_nuscenes([replace(drive()[0], truth=None)], tmp_path)


def run(*arguments):
    result = CliRunner().invoke(build_app({"track"}), ["track", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def files(tmp_path):
    """A detection file and the tables it was made on, which hold one scene more."""
    frame_sets = drive()
    export_nuscenes(frame_sets + drive("unused"), tmp_path)
    write_results(
        perfect_records(frame_sets),
        tmp_path / "results_nusc.json",
        {"use_camera": True, "use_map": True},
    )
    return tmp_path / "results_nusc.json", tmp_path / ExportOptions().version


def test_verb_writes_a_tracking_file(files):
    results, tables = files
    code, output = run(results, "--drives", tables)
    assert code == 0, output
    written = json.loads(results.with_name("tracking_result.json").read_text())
    assert written["meta"] == {"use_camera": True, "use_map": True}
    assert list(written["results"]) == [f"drive-{index}" for index in range(8)]
    record = written["results"]["drive-7"][0]
    assert {"tracking_id", "tracking_name", "tracking_score", "velocity"} <= set(record)
    assert "8 samples of 1 scenes" in output


def test_verb_takes_settings(files, tmp_path):
    results, tables = files
    settings = tmp_path / "tracking.yaml"
    settings.write_text("vehicle: {gate: 2.0}\nconfirm_probability: 0.9\n")
    code, output = run(results, "--drives", tables, "-o", tmp_path / "o.json", "--config", settings)
    assert code == 0, output
    settings.write_text("vehicle: {gates: 2.0}\n")
    code, output = run(results, "--drives", tables, "--config", settings)
    assert code == 1
    assert "did you mean 'gate'" in output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('{"meta": {}}', "no 'results'"),
        ('{"results": {"drive-0": [{"translation": [1, 2]}]}}', "'translation'"),
        ('{"results": {"elsewhere": []}}', "elsewhere"),
    ],
)
def test_verb_explains_bad_files(files, content, message):
    results, tables = files
    results.write_text(content)
    code, output = run(results, "--drives", tables)
    assert code == 1
    assert message in output
    assert not results.with_name("tracking_result.json").exists()


def test_verb_explains_missing_and_damaged_tables(files, tmp_path):
    results, tables = files
    assert "does not exist" in run(results, "--drives", tmp_path / "nowhere")[1]
    (tables / "ego_pose.json").write_text("[]")
    assert "unpack them again" in run(results, "--drives", tables)[1]


def test_recording_can_stand_in_for_tables(tmp_path):
    frame = {
        "sample_token": "drive-0",
        "lidar": {
            "timestamp_us": 1,
            "lidar2ego": {"translation": [0, 0, 0], "rotation_wxyz": [1, 0, 0, 0]},
            "ego2global": {"translation": [5, 0, 0], "rotation_wxyz": [1, 0, 0, 0]},
        },
        "cameras": {
            "front": {
                "timestamp_us": 1,
                "width": 8,
                "height": 4,
                "intrinsic": [[8, 0, 4], [0, 8, 2], [0, 0, 1]],
                "sensor2ego": {"translation": [0, 0, 0], "rotation_wxyz": [1, 0, 0, 0]},
                "ego2global": {"translation": [5, 0, 0], "rotation_wxyz": [1, 0, 0, 0]},
            }
        },
    }
    content = {"schema": "multicam_sequence/1", "scene": "drive", "frames": [frame]}
    (tmp_path / "drive.json").write_text(json.dumps(content))
    read = read_drives(tmp_path / "drive.json")
    assert [(f.sequence, f.token, len(f.cameras)) for f in read] == [("drive", "drive-0", 0)]


def test_tables_hold_what_recordings_have(tmp_path):
    frame_sets = [
        replace(
            frame_set,
            sequence="drives/monday",
            token=f"drives/monday/{index}",
            truth=replace(
                frame_set.truth,
                class_names=("car", "animal", "pedestrian"),
                visibilities=np.array([np.nan, 0.0, 0.1]),
            ),
        )
        for index, frame_set in enumerate(drive(count=2))
    ]
    export_nuscenes(frame_sets, tmp_path)
    tables = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*/*.json")}
    names = {row["token"]: row["name"] for row in tables["category"]}
    instances = {row["token"]: names[row["category_token"]] for row in tables["instance"]}
    assert sorted(instances.values()) == ["animal", "human.pedestrian.adult", "vehicle.car"]
    points = {
        instances[r["instance_token"]]: r["num_lidar_pts"] for r in tables["sample_annotation"]
    }
    assert points == {"animal": 0, "human.pedestrian.adult": 10, "vehicle.car": 100}
    assert not (tmp_path / "samples").exists()
