"""Baseline, simulated detector, tables and the official metrics around the tracker."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from moving_boxes import SECOND, SIZES, START_NS, Thing, planar_pose
from typer.testing import CliRunner

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import Boxes, FrameSet, Truth
from streampetr_ros.evaluation.result_file import read_drives
from streampetr_ros.evaluation.tracking import (
    evaluate_tracks,
    own_tracker,
    track_scenes,
)
from streampetr_ros.nuscenes.export import ExportOptions, export_nuscenes
from streampetr_ros.nuscenes.results import detection_records, truth_records, write_results
from streampetr_ros.nuscenes.tables import read_poses
from streampetr_ros.tools.cli import build_app
from studies.drives import densified, synthetic_drive
from studies.greedy_baseline import GreedyTracker, greedy_tracker
from studies.noisy_detector import NoiseConfig, NoisyDetector

THINGS = [
    Thing("car", (8.0, 4.0), (5.0, 0.5)),
    Thing("car", (30.0, -4.0), (-4.0, 0.0)),
    Thing("pedestrian", (12.0, -6.0), (0.5, 1.2)),
]

OFFSET = np.array([100.0, 50.0, 0.0])


def drive(name="drive", count=8, things=THINGS):
    frame_sets = []
    for index in range(count):
        time = 0.5 * index
        fixed_from_base = planar_pose(100.0 + 3.0 * time, 50.0, 0.2)
        boxes = Boxes(
            centers=np.array([thing.place(time) + OFFSET for thing in things]),
            sizes=np.array([SIZES[thing.name] for thing in things]),
            yaws=np.array([thing.yaw for thing in things]),
            velocities=np.array([thing.velocity for thing in things]),
        )
        truth = Truth(
            boxes=boxes.transformed(geometry.inverse(fixed_from_base)),
            class_names=tuple(thing.name for thing in things),
            instance_ids=np.arange(len(things)),
            visibilities=np.ones(len(things)),
        )
        frame_sets.append(
            FrameSet(
                stamp_ns=START_NS + round(time * SECOND),
                cameras=(),
                fixed_from_base=fixed_from_base,
                base_from_model=np.eye(4),
                sequence=name,
                token=f"{name}-{index}",
                truth=truth,
            )
        )
    return frame_sets


def perfect_records(frame_sets, score=0.8):
    found = {}
    for frame_set in frame_sets:
        found[frame_set.token] = truth_records(frame_set)
        for record in found[frame_set.token]:
            record["detection_score"] = score
    return found


def box(name, x, y, score, velocity=(0.0, 0.0)):
    return {
        "sample_token": "",
        "translation": [x, y, 0.0],
        "size": [1.0, 1.0, 1.0],
        "rotation": [1.0, 0.0, 0.0, 0.0],
        "velocity": list(velocity),
        "detection_name": name,
        "detection_score": score,
    }


def numbers(records):
    return [int(record["tracking_id"]) for record in records]


def test_greedy_moves_back_by_velocity_and_takes_the_nearest():
    tracker = GreedyTracker()
    assert numbers(tracker.step([box("car", 0, 0, 0.9), box("car", 6, 0, 0.8)], 0)) == [1, 2]
    moved = [box("car", 6, 0, 0.9, (12, 0)), box("car", 12, 0, 0.8, (12, 0))]
    assert numbers(tracker.step(moved, SECOND // 2)) == [1, 2]


def test_greedy_knows_gate_class_and_threshold():
    tracker = GreedyTracker()
    tracker.step([box("car", 0, 0, 0.9)], 0)
    later = [
        box("car", 2.6, 0, 0.9),
        box("truck", 0, 0, 0.8),
        box("car", 0, 0, 0.2),
        box("barrier", 0, 0, 0.9),
    ]
    assert numbers(tracker.step(later, SECOND // 2)) == [2, 3]


@pytest.mark.parametrize(("missing", "expected"), [(2, 1), (3, 2)])
def test_greedy_keeps_unseen_tracks_for_three_frames(missing, expected):
    tracker = GreedyTracker()
    tracker.step([box("car", 0, 0, 0.9)], 0)
    for index in range(missing):
        assert tracker.step([], (index + 1) * SECOND) == []
    assert numbers(tracker.step([box("car", 0, 0, 0.9)], 9 * SECOND)) == [expected]


def test_noisy_detector_follows_its_seed():
    frame_sets = drive()
    first, again = (list(NoisyDetector(3).run(frame_sets)) for _ in range(2))
    other = list(NoisyDetector(4).run(frame_sets))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.boxes.centers, b.boxes.centers)
        np.testing.assert_array_equal(a.scores, b.scores)
        assert (np.diff(a.scores) <= 0).all()
    assert any(len(a) != len(b) for a, b in zip(first, other, strict=True))


def test_noisy_detector_without_faults_tells_the_truth():
    config = NoiseConfig(
        depth_noise=(0, 0),
        lateral_noise=(0, 0),
        velocity_noise=(0, 0),
        velocity_gain_noise=0,
        detection_rate=(1, 0),
        hiding_rate=0,
        duplicate_share=0,
        confusion_share=0,
        scattered_alarms=0,
        cluster_rate=0,
    )
    frame_set = drive(count=1)[0]
    found = NoisyDetector(0, config).step(frame_set)
    expected = frame_set.truth.boxes.centers[:, :2]
    assert len(found) == len(expected)
    assert {tuple(c) for c in found.boxes.centers[:, :2]} == {tuple(c) for c in expected}


def test_densified_drive_lies_between_its_frames():
    frame_sets = drive(count=3)
    dense = densified(frame_sets, 4)
    assert len(dense) == 9
    assert dense[4] is frame_sets[1]
    middle = dense[2]
    assert middle.stamp_ns == (frame_sets[0].stamp_ns + frame_sets[1].stamp_ns) // 2
    centers = middle.truth.boxes.transformed(middle.fixed_from_base).centers
    np.testing.assert_allclose(centers[0], THINGS[0].place(0.25) + OFFSET)


def test_synthetic_drive_has_trajectories_without_rendering():
    frame_sets = synthetic_drive(3, duration=2.0)
    assert [frame_set.cameras for frame_set in frame_sets] == [()] * 4
    assert len(frame_sets[0].truth.class_names) > 5


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


def test_baseline_and_tracker_keep_identities_of_perfect_detections():
    frame_sets = drive()
    for new_tracker in (greedy_tracker, own_tracker):
        results = track_scenes(frame_sets, perfect_records(frame_sets), new_tracker)
        identities = {record["tracking_id"] for sample in results.values() for record in sample}
        assert len(identities) == len(THINGS)


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
    noisy = NoisyDetector(1)
    found = {f.token: detection_records(noisy.step(f), f) for f in frame_sets}
    write_results(found, tmp_path / "results_nusc.json", {"use_camera": True, "use_map": True})
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
