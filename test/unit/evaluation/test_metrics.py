"""Result format, ablations and the devkit's metrics on made-up scenes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from streampetr_ros.core import geometry
from streampetr_ros.core.types import (
    Boxes,
    CameraCalibration,
    CameraFrame,
    Detections,
    FrameSet,
    Truth,
)
from streampetr_ros.evaluation import ablation, metrics
from streampetr_ros.evaluation.scenes import Protocol, run_scene
from streampetr_ros.evaluation.tracking import detections_from_records
from streampetr_ros.nuscenes import results as nuscenes_format

NAMES = ("car", "pedestrian", "traffic_cone")


def make_frame_set(index=0):
    pose = geometry.transform_from_parts([100.0 + index, 50.0, 0.3], geometry.rotation_about_z(0.7))
    calibration = CameraCalibration(
        name="front", width=8, height=4, intrinsic=np.eye(3), base_from_camera=np.eye(4)
    )
    moved = geometry.transform_from_parts([0.5, 0, 0], np.eye(3))
    camera = CameraFrame(
        calibration=calibration,
        stamp_ns=index * 10**9,
        pixels=np.zeros((4, 8, 3), np.uint8),
        fixed_from_base=moved @ pose,
    )
    boxes = Boxes(
        centers=np.array([[10.0, 2, 1], [45, 0, 1], [8, -3, 0.5], [20, 5, 1]]),
        sizes=np.array([[4.5, 1.9, 1.6], [0.7, 0.7, 1.7], [0.4, 0.4, 0.8], [4.0, 2, 1.5]]),
        yaws=np.array([0.3, 0, 0, 2.0]),
        velocities=np.array([[3.0, 1], [0, 0], [0, 0], [0, 0.1]]),
    )
    truth = Truth(
        boxes=boxes,
        class_names=("car", "pedestrian", "traffic_cone", "car"),
        instance_ids=np.arange(4),
        visibilities=np.array([1.0, 1, 1, 0]),
    )
    return FrameSet(
        stamp_ns=index * 10**9,
        cameras=(camera, camera),
        fixed_from_base=pose,
        base_from_model=geometry.transform_from_parts(
            [0.9, 0, 1.8], geometry.rotation_about_z(-np.pi / 2)
        ),
        sequence="s",
        token=f"token{index}",
        truth=truth,
    )


def perfect(frame_set):
    truth = frame_set.truth
    labels = np.array([NAMES.index(name) for name in truth.class_names])
    found = Detections(
        stamp_ns=frame_set.stamp_ns,
        boxes=truth.boxes,
        scores=np.linspace(0.9, 0.6, len(labels)),
        labels=labels,
        class_names=NAMES,
        frame="base",
        query_ids=np.arange(len(labels)) + 7,
    )
    return found.transformed(geometry.inverse(frame_set.base_from_model), "model")


def test_records_and_attributes():
    frame_set = make_frame_set()
    records = nuscenes_format.detection_records(perfect(frame_set), frame_set)
    assert [r["detection_name"] for r in records] == ["car", "traffic_cone", "car"]
    assert [r["attribute_name"] for r in records] == ["vehicle.moving", "", "vehicle.parked"]
    assert records[0]["size"] == [1.9, 4.5, 1.6]
    assert [r["query_id"] for r in records] == [7, 9, 10]
    assert detections_from_records(records, 5).query_ids.tolist() == [7, 9, 10]
    unnamed = replace(perfect(frame_set), query_ids=None)
    assert "query_id" not in nuscenes_format.detection_records(unnamed, frame_set)[0]
    truth = nuscenes_format.truth_records(frame_set)
    np.testing.assert_allclose(records[0]["translation"], truth[0]["translation"], atol=1e-9)
    np.testing.assert_allclose(records[0]["velocity"], truth[0]["velocity"], atol=1e-9)
    np.testing.assert_allclose(records[0]["rotation"], truth[0]["rotation"], atol=1e-9)
    assert [r["num_pts"] for r in truth] == [1, 1, 1, 0]


def test_result_file(tmp_path):
    frame_set = make_frame_set()
    records = nuscenes_format.detection_records(perfect(frame_set), frame_set)
    nuscenes_format.write_results({"token0": records}, tmp_path / "results_nusc.json")
    content = json.loads((tmp_path / "results_nusc.json").read_text())
    assert content["meta"]["use_camera"]
    assert len(content["results"]["token0"]) == 3


def test_ablations_change_only_what_they_name():
    frame_set = make_frame_set()
    still = ablation.without_ego_motion(frame_set)
    before = geometry.inverse(frame_set.fixed_from_base) @ frame_set.cameras[0].fixed_from_base
    np.testing.assert_allclose(still.cameras[0].fixed_from_base, before, atol=1e-12)
    np.testing.assert_allclose(still.fixed_from_base, np.eye(4))
    flat = ablation.without_camera_motion(frame_set)
    np.testing.assert_allclose(flat.cameras[0].fixed_from_base, frame_set.fixed_from_base)
    assert ablation.without_memory(frame_set).sequence != frame_set.sequence
    assert len(ablation.without_camera(0)(frame_set).cameras) == 1


def test_only_what_is_judged_is_recorded():
    fed = []

    def step(frame_set):
        fed.append(frame_set.token)
        return perfect(frame_set)

    drive = [make_frame_set(index) for index in range(0, 12, 2)]
    records = run_scene(drive, step, Protocol(every=2, judge_every=4, judge_from=4))
    assert fed == [frame_set.token for frame_set in drive]
    assert list(records.frame_sets) == list(records.detections) == ["token4", "token8"]


def test_perfect_detections_score_one(tmp_path):
    pytest.importorskip("nuscenes")
    frame_sets = [make_frame_set(index) for index in range(3)]
    found = {f.token: nuscenes_format.detection_records(perfect(f), f) for f in frame_sets}
    result = metrics.summarise(metrics.run_devkit(frame_sets, found, metrics.Scope()))
    assert set(result.class_ap) == {"car", "traffic_cone"}
    assert result.errors["mATE"] < 1e-6
    assert result.errors["mAVE"] < 1e-6
    table = metrics.distance_table(frame_sets, found)
    assert list(table) == ["0-10 m", "10-20 m"]
    assert table["10-20 m"].mean_ap > 0.99
    metrics.save_distance_plot(table, tmp_path / "plots" / "distance.pdf")
    assert (tmp_path / "plots" / "distance.pdf").read_bytes().startswith(b"%PDF")
