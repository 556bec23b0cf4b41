"""The exported data set, opened and judged by the official devkit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streampetr_ros.evaluation.nuscenes_format import truth_records, write_results
from streampetr_ros.sources.synthetic import SyntheticSource
from streampetr_ros.synth.nuscenes_export import ExportError, ExportOptions, export_nuscenes
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions
from streampetr_ros.types import FrameSet

OPTIONS = SceneOptions(duration=2.0, rate=4.0, rig=RigOptions(width=96, height=54))


@pytest.fixture(scope="module")
def frame_sets() -> list[FrameSet]:
    return list(SyntheticSource(2, OPTIONS, scenes=2))


@pytest.fixture(scope="module")
def root(frame_sets: list[FrameSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    assert export_nuscenes(frame_sets, folder, ExportOptions(key_every=2)) == 8
    return folder


@pytest.fixture(scope="module")
def tables(root: Path):
    nuscenes = pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    return nuscenes.NuScenes("v1.0-synthetic", str(root), verbose=False)


def test_boxes_survive_the_round_trip(tables, frame_sets: list[FrameSet]):
    for frame_set in frame_sets[::2]:
        boxes = frame_set.truth.boxes.transformed(frame_set.fixed_from_base)
        tokens = tables.get("sample", frame_set.token)["anns"]
        assert len(tokens) == len(boxes)
        for index, token in enumerate(tokens):
            box = tables.get_box(token)
            assert box.center == pytest.approx(boxes.centers[index], abs=1e-6)
            assert box.wlh[[1, 0, 2]] == pytest.approx(boxes.sizes[index], abs=1e-6)
            heading = box.orientation.rotation_matrix[:2, 0]
            expected = [np.cos(boxes.yaws[index]), np.sin(boxes.yaws[index])]
            assert heading == pytest.approx(expected, abs=1e-6)


def test_images_and_calibration_lead_back_to_the_cameras(tables, root: Path, frame_sets):
    sample = tables.get("sample", frame_sets[2].token)
    for camera in frame_sets[2].cameras:
        data = tables.get("sample_data", sample["data"][camera.calibration.name])
        assert (root / data["filename"]).is_file()
        assert data["timestamp"] * 1000 == camera.stamp_ns
        pose = tables.get("ego_pose", data["ego_pose_token"])
        assert pose["translation"] == pytest.approx(camera.fixed_from_base[:3, 3].tolist())
        path, _, intrinsic = tables.get_sample_data(data["token"])
        assert Path(path).is_file()
        assert intrinsic == pytest.approx(camera.calibration.intrinsic)


def test_sweeps_lie_between_key_frames(tables):
    data = tables.get("sample_data", tables.sample[0]["data"]["CAM_FRONT"])
    stamps, keys = [], []
    while data["next"]:
        stamps.append(data["timestamp"])
        keys.append(data["is_key_frame"])
        data = tables.get("sample_data", data["next"])
    assert np.diff(stamps).tolist() == [250_000] * (len(stamps) - 1)
    assert keys == [True, False] * 3 + [True]


def test_truth_as_detections_scores_perfectly(tables, root: Path, frame_sets):
    evaluate = pytest.importorskip("nuscenes.eval.detection.evaluate")
    config = pytest.importorskip("nuscenes.eval.common.config")
    results = {}
    for frame_set in frame_sets[::2]:
        records = truth_records(frame_set)
        results[frame_set.token] = [
            record | {"detection_score": 0.9} for record in records if record.pop("num_pts")
        ]
    write_results(results, root / "results.json")
    judge = evaluate.DetectionEval(
        tables,
        config.config_factory("detection_cvpr_2019"),
        str(root / "results.json"),
        "synthetic",
        str(root / "scores"),
        verbose=False,
    )
    metrics, _ = judge.evaluate()
    present = {record["detection_name"] for records in results.values() for record in records}
    for name, precision in metrics.mean_dist_aps.items():
        assert precision == pytest.approx(1.0 if name in present else 0.0)
    for error in ("trans_err", "scale_err", "orient_err"):
        values = [metrics.get_label_tp(name, error) for name in present]
        assert np.nanmax(values) < 1e-3


def test_faults_are_named(root: Path, frame_sets: list[FrameSet], tmp_path: Path):
    with pytest.raises(ExportError, match="exists already"):
        export_nuscenes([], root)
    with pytest.raises(ExportError, match="has no truth"):
        export_nuscenes([replace(frame_sets[0], truth=None)], tmp_path)
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ExportError, match="cannot write"):
        export_nuscenes(frame_sets[:1], blocked / "root")
    distorted = replace(OPTIONS, rig=replace(OPTIONS.rig, distorted=True))
    with pytest.raises(ExportError, match="distorted lens"):
        export_nuscenes(SyntheticSource(0, distorted), tmp_path / "other")
    assert not (tmp_path / "v1.0-synthetic").exists()


def test_splits_name_all_scenes(root: Path):
    splits = json.loads((root / "v1.0-synthetic" / "splits.json").read_text())
    assert splits == {"synthetic": ["synthetic-000002", "synthetic-000003"]}
