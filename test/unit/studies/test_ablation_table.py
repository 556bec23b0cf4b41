"""Streams deprived of one thing: rows that are kept, scenes side by side, frames that are fed."""

import os
import signal
from dataclasses import replace
from functools import partial

import micro_detector
import pytest

from streampetr_ros.core.errors import UserError
from streampetr_ros.evaluation.scenes import Protocol, SceneJob, SceneRecords, run_jobs
from streampetr_ros.evaluation.streams import open_stream
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.nuscenes.results import truth_records
from studies import ablation_table

pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")


@pytest.fixture
def table(tmp_path, monkeypatch) -> ablation_table.Comparison:
    weights = tmp_path / "micro.safetensors"
    save_weights(weights, micro_detector.detector(), {})
    monkeypatch.setattr(ablation_table, "detector_config", lambda _: micro_detector.config())
    return ablation_table.Comparison(
        weights=weights, folder=tmp_path, seeds=(0, 1), seconds=1, farthest=60.0
    )


def jobs(table: ablation_table.Comparison, protocol: Protocol) -> list[SceneJob]:
    scenes, stream = table.scenes, partial(open_stream, str(table.weights))
    return [
        SceneJob(protocol=protocol, open_scene=partial(scenes, name), open_stream=stream)
        for name in scenes.names()
    ]


def boxes(records: SceneRecords) -> dict[str, list[dict]]:
    """Return what was found; names of queries count the frames that were fed."""
    return {
        token: [{key: value for key, value in box.items() if key != "query_id"} for box in found]
        for token, found in records.detections.items()
    }


def assert_same(first: SceneRecords, second: SceneRecords) -> None:
    assert boxes(first) == boxes(second)
    for one, other in zip(first.frame_sets.values(), second.frame_sets.values(), strict=True):
        assert truth_records(one) == truth_records(other)
        assert (one.fixed_from_base == other.fixed_from_base).all()


def test_rows_are_kept_until_what_they_depend_on_changes(table, monkeypatch):
    outcome = ablation_table.judge_row(table, "all")
    assert outcome.frames == 2
    assert ablation_table.markdown_line("x", outcome).count("|") == ablation_table.HEADER.count("|")

    def refuse(*_):
        raise AssertionError("runs again")

    monkeypatch.setattr(ablation_table, "run_jobs", refuse)
    assert ablation_table.judge_row(table, "all") == outcome
    with pytest.raises(AssertionError, match="runs again"):
        ablation_table.judge_row(replace(table, farthest=30.0), "all")
    save_weights(table.weights, micro_detector.detector(seed=1), {})
    with pytest.raises(AssertionError, match="runs again"):
        ablation_table.judge_row(table, "all")


def test_scenes_side_by_side_give_the_same_boxes(table):
    wanted = jobs(table, Protocol(every=5, judge_every=5))
    alone, together = run_jobs(wanted, 1), run_jobs(wanted, 2)
    assert len(alone.detections) == 6
    assert_same(alone, together)


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_worker_is_named(table):
    wanted = [replace(job, open_scene=killed) for job in jobs(table, Protocol())]
    with pytest.raises(UserError, match=r"worker process was killed.*fewer --workers"):
        run_jobs(wanted, 2)


def test_frames_without_judgement_do_not_matter_without_memory(table):
    every = jobs(table, Protocol(ablation="no-memory", judge_every=5))
    few = jobs(table, Protocol(ablation="no-memory", every=5, judge_every=5))
    assert_same(run_jobs(every, 1), run_jobs(few, 1))
