"""The table of precisions and backends: rows that are kept, differences that are seen."""

from dataclasses import replace

import micro_detector
import pytest
import torch

from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.core.errors import UserError
from streampetr_ros.export.parity import compare_backends, largest_differences, random_drive
from streampetr_ros.model.checkpoints.weights import save_weights
from studies import precision_table
from studies.precision_table import WAYS, PrecisionStudy, judge_way, markdown_line


@pytest.fixture
def study(tmp_path) -> PrecisionStudy:
    weights = tmp_path / "micro.safetensors"
    save_weights(weights, micro_detector.detector(), {})
    return PrecisionStudy(weights=weights, folder=tmp_path, seeds=(0, 0), frames=3, farthest=60.0)


def test_rows_are_kept_until_what_they_depend_on_changes(study, monkeypatch):
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    rows = {way: judge_way(study, way) for way in (WAYS[0], WAYS[3])}
    exact = rows[WAYS[0]]
    assert exact.frames == 1
    assert not any(exact.differences.values())
    assert 0.0 < rows[WAYS[3]].differences["logits"] < 1e-4
    lines = [markdown_line(way, row, exact) for way, row in rows.items()]
    assert {line.count("|") for line in lines} == {precision_table.HEADER.split("\n")[0].count("|")}

    monkeypatch.setattr(precision_table, "run_jobs", lambda *_: pytest.fail("ran again"))
    assert {way: judge_way(study, way) for way in rows} == rows
    with pytest.raises(pytest.fail.Exception, match="ran again"):
        judge_way(replace(study, farthest=50.0), WAYS[0])
    save_weights(study.weights, micro_detector.detector(seed=1), {})
    with pytest.raises(pytest.fail.Exception, match="ran again"):
        judge_way(study, WAYS[0])


def test_too_few_frames_are_refused(study):
    with pytest.raises(ValueError, match="frames must be above 2"):
        replace(study, frames=2)


def test_numbers_that_are_none_are_no_small_difference():
    detector = micro_detector.detector()
    broken = TorchBackend(micro_detector.detector())
    run = broken.run

    def spoiled(inputs, memory):
        outputs, state = run(inputs, memory)
        return outputs._replace(logits=torch.full_like(outputs.logits, float("nan"))), state

    broken.run = spoiled
    drive = random_drive(detector.config, 2)
    found = largest_differences(TorchBackend(detector), broken, drive)
    assert found["logits"] != found["logits"]
    with pytest.raises(UserError, match="differs from PyTorch"):
        compare_backends(TorchBackend(detector), broken, cameras=2)
