"""The exported data set, opened and judged by the official devkit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import FrameSet, Truth
from streampetr_ros.evaluation.metrics import evaluate_split
from streampetr_ros.evaluation.result_file import read_drives, track_file
from streampetr_ros.evaluation.tracking import own_tracker
from streampetr_ros.nuscenes.dataset import NuscenesSource
from streampetr_ros.nuscenes.export import ExportOptions, export_nuscenes
from streampetr_ros.nuscenes.results import Record, truth_records, write_results
from streampetr_ros.sources.synthetic import SyntheticSource
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions

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


def perfect_results(frame_sets: list[FrameSet]) -> dict[str, list[Record]]:
    """Give what is visible as detections, by sample token."""
    return {
        frame_set.token: [
            record | {"detection_score": 0.9}
            for record in truth_records(frame_set)
            if record.pop("num_pts")
        ]
        for frame_set in frame_sets
    }


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
    results = perfect_results(frame_sets[::2])
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


def test_official_numbers_know_annotated_attributes(tables, frame_sets, monkeypatch):
    results = perfect_results(frame_sets[::2])
    perfect = evaluate_split(tables, "synthetic", results)
    present = {record["detection_name"] for records in results.values() for record in records}
    assert len(perfect.class_ap) == 10
    assert perfect.mean_ap == pytest.approx(len(present) / 10)
    # Classes that are absent count as errors of 1.
    assert perfect.errors["mATE"] == pytest.approx(1 - len(present) / 10, abs=1e-3)
    stopped = next(a["token"] for a in tables.attribute if a["name"] == "vehicle.stopped")
    for row in tables.sample_annotation:
        monkeypatch.setitem(row, "attribute_tokens", [stopped])
    assert evaluate_split(tables, "synthetic", results).errors["mAAE"] > 0.6
    assert perfect.errors["mAAE"] < 0.4


def test_training_reads_the_same_frames_back(tables, root: Path, frame_sets):
    source = NuscenesSource(str(root), "v1.0-synthetic", "synthetic")
    assert source.lengths() == [4, 4]
    for number, original in enumerate(frame_sets[::2]):
        read = source.frame_set(*divmod(number, 4))
        assert (read.token, read.sequence) == (original.token, original.sequence)
        assert read.stamp_ns == original.stamp_ns
        assert read.fixed_from_base == pytest.approx(original.fixed_from_base, abs=1e-6)
        assert read.base_from_model == pytest.approx(original.base_from_model, abs=1e-6)
        assert_same_cameras(read, original)
        assert_same_truth(read.truth, original.truth)


def test_half_downloaded_data_is_named(root: Path, tmp_path: Path, frame_sets):
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    source = NuscenesSource(str(copy), "v1.0-synthetic", "synthetic")
    image = next((copy / "samples" / "CAM_BACK").glob(f"{frame_sets[0].token}*"))
    image.write_bytes(image.read_bytes()[:400])
    with pytest.raises(SourceError, match=rf"cannot read image '.*{image.name}' .*again"):
        source.frame_set(0, 0)
    image.unlink()
    with pytest.raises(SourceError, match=rf"cannot read image '.*{image.name}' .*again"):
        source.frame_set(0, 0)
    with pytest.raises(SourceError, match="has no split 'nowhere'"):
        NuscenesSource(str(copy), "v1.0-synthetic", "nowhere")
    table = copy / "v1.0-synthetic" / "sample_data.json"
    table.write_text(table.read_text()[:1000])
    with pytest.raises(SourceError, match=r"sample_data.json' is damaged .*unpack"):
        NuscenesSource(str(copy), "v1.0-synthetic", "synthetic")
    table.unlink()
    with pytest.raises(SourceError, match=r"sample_data.json' is missing; unpack"):
        NuscenesSource(str(copy), "v1.0-synthetic", "synthetic")


def assert_same_cameras(read: FrameSet, original: FrameSet) -> None:
    for camera, expected in zip(read.cameras, original.cameras, strict=True):
        assert camera.stamp_ns == expected.stamp_ns
        assert camera.fixed_from_base == pytest.approx(expected.fixed_from_base, abs=1e-6)
        calibration = camera.calibration
        assert calibration.name == expected.calibration.name
        assert calibration.intrinsic == pytest.approx(expected.calibration.intrinsic)
        mounting = expected.calibration.base_from_camera
        assert calibration.base_from_camera == pytest.approx(mounting, abs=1e-9)
        error = camera.pixels.astype(float) - expected.pixels
        assert abs(error).mean() < 6, "JPEG loses a little"


def assert_same_truth(read: Truth, original: Truth) -> None:
    assert read.class_names == original.class_names
    assert read.boxes.centers == pytest.approx(original.boxes.centers, abs=1e-6)
    assert read.boxes.sizes == pytest.approx(original.boxes.sizes, abs=1e-6)
    turned = np.angle(np.exp(1j * (read.boxes.yaws - original.boxes.yaws)))
    assert np.abs(turned).max() < 1e-6
    assert ((read.visibilities == 0) == (original.visibilities == 0)).all()
    # The devkit derives velocities from positions half a second apart.
    straight = np.abs(read.boxes.velocities - original.boxes.velocities).max(1) < 0.3
    assert straight.mean() > 0.8


def test_tracked_truth_scores_perfectly(tables, root: Path, tmp_path: Path, frame_sets):
    tracking = pytest.importorskip("nuscenes.eval.tracking.evaluate")
    results = perfect_results(frame_sets[::2])
    write_results(results, tmp_path / "results.json")
    drives = read_drives(root / "v1.0-synthetic")
    track_file(tmp_path / "results.json", tmp_path / "tracks.json", drives, own_tracker)
    judge = tracking.TrackingEval(
        config=tracking.config_factory("tracking_nips_2019"),
        result_path=str(tmp_path / "tracks.json"),
        eval_set="synthetic",
        output_dir=str(tmp_path / "scores"),
        nusc_version="v1.0-synthetic",
        nusc_dataroot=str(root),
        verbose=False,
    )
    metrics = judge.evaluate()[0].serialize()
    assert metrics["amota"] > 0.6
    assert metrics["ids"] == 0


def test_faults_are_named(root: Path, frame_sets: list[FrameSet], tmp_path: Path):
    with pytest.raises(UserError, match="exists already"):
        export_nuscenes([], root)
    with pytest.raises(UserError, match="has no truth"):
        export_nuscenes([replace(frame_sets[0], truth=None)], tmp_path)
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UserError, match="cannot write"):
        export_nuscenes(frame_sets[:1], blocked / "root")
    assert not (tmp_path / "v1.0-synthetic").exists()


def test_splits_name_all_scenes(root: Path):
    splits = json.loads((root / "v1.0-synthetic" / "splits.json").read_text())
    assert splits == {"synthetic": ["synthetic-000002", "synthetic-000003"]}
