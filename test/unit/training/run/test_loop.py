"""The loop: resume, window mode, processes, failures."""

import csv
import os
import signal
import socket
from dataclasses import replace
from itertools import islice

import pytest
import torch
import torch.multiprocessing
from micro import MICRO, make_trainer, steps_for, train, train_config

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.detector import build_detector
from streampetr_ros.training.config import OptimiserConfig
from streampetr_ros.training.data.augment import Augmentation
from streampetr_ros.training.data.sampler import WindowConfig
from streampetr_ros.training.data.samples import collate
from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.run.loop import run
from streampetr_ros.training.run.processes import denormals_flushed, joined_run


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights_of(trainer):
    return {name: value.clone() for name, value in trainer.objective.state_dict().items()}


def test_resumed_run_equals_uninterrupted(tmp_path):
    whole = make_trainer(tmp_path)
    reports = train(whole, 6)
    first = make_trainer(tmp_path)
    train(first, 3)
    first.save()
    second = make_trainer(tmp_path)
    second.restore()
    assert second.step == 3
    resumed = train(second, 3)
    assert [r.losses for r in resumed] == [r.losses for r in reports[3:]]
    expected = weights_of(whole)
    for name, value in weights_of(second).items():
        assert torch.equal(value, expected[name]), name
    for name, value in second.average.values.items():
        assert torch.equal(value, whole.average.values[name]), name


def test_streams_that_share_a_place_keep_memories_of_their_own(tmp_path):
    still = OptimiserConfig(learning_rate=0.0, weight_decay=0.0, steps=8)
    plain = Augmentation()
    config = train_config(batch_norm="eval", dropout=0.0, optimiser=still, augmentation=plain)
    config = replace(config, image_head=False, streams_per_place=2)
    trainer = make_trainer(tmp_path, config)
    trainer.objective.detector = build_detector(replace(MICRO, dropout=0.0))
    played = {}
    for clips in islice(steps_for(trainer), 6):
        trainer.train_step(clips)
        for (frame,) in clips:
            played.setdefault(frame.stream, []).append(frame)
    assert sorted(played) == [0, 1, 2, 3]
    detector = trainer.objective.detector.eval()
    for stream, frames in played.items():
        memory, moments = None, [None]
        for frame in frames:
            batch = collate([frame.sample], moments if frame.continues else [None], MICRO)
            moments = batch.moments
            with torch.no_grad():
                _, memory = detector(batch.inputs, memory)
        kept = trainer.streams.memory_of([stream])
        for ours, alone in zip(kept, memory, strict=True):
            torch.testing.assert_close(ours, alone, rtol=1e-4, atol=1e-4)
    assert not torch.equal(trainer.streams.memory.center[0], trainer.streams.memory.center[1])


def test_streams_that_share_a_place_resume(tmp_path):
    config = train_config(streams_per_place=2)
    whole = make_trainer(tmp_path, config)
    reports = train(whole, 6)
    first = make_trainer(tmp_path, config)
    train(first, 3)
    first.save()
    second = make_trainer(tmp_path, config)
    second.restore()
    assert [r.losses for r in train(second, 3)] == [r.losses for r in reports[3:]]


def test_loss_falls_on_one_frame(tmp_path):
    config = train_config(optimiser=OptimiserConfig(learning_rate=2e-3, steps=60, warmup_steps=2))
    trainer = make_trainer(tmp_path, config)
    clips = next(steps_for(trainer))
    reports = [trainer.train_step(clips) for _ in range(25)]
    assert reports[-1].losses["total"] < 0.8 * reports[0].losses["total"]


def test_window_mode(tmp_path):
    window = WindowConfig(frames=4, dropped=1, gradient_frames=2)
    trainer = make_trainer(tmp_path, train_config(mode="window", window=window))
    (report,) = train(trainer, 1)
    assert {"frame_0_loss_cls", "frame_1_loss_cls", "frame_1_dn_loss_bbox"} <= set(report.losses)


def test_images_mode_trains_what_sees_and_nothing_else(tmp_path):
    config = train_config(mode="images", image_head=False, token_head=True)
    trainer = make_trainer(tmp_path, config)
    before = weights_of(trainer)
    (report,) = train(trainer, 1)
    assert {name for name in report.losses if name != "total"} == {
        "token_cls",
        "token_depth",
        "token_place",
        "token_heading",
        "scene_center",
        "scene_size",
        "scene_yaw",
    }
    for name, value in weights_of(trainer).items():
        sees = name.startswith(
            (
                "detector.backbone",
                "detector.neck",
                "detector.head.memory_embed",
                "detector.head.spatial_alignment",
                "token_head",
                "scene_head",
            )
        )
        if value.dtype.is_floating_point and "running" not in name:
            assert torch.equal(value, before[name]) != sees, name


def test_token_head_joins_the_whole_objective(tmp_path):
    trainer = make_trainer(tmp_path, train_config(image_head=False, token_head=True))
    (report,) = train(trainer, 1)
    assert {"loss_cls", "token_depth"} <= set(report.losses)
    with pytest.raises(ValueError, match="needs token_head: true"):
        train_config(mode="images")


def test_run_writes_results_and_can_be_cut_in_slices(tmp_path):
    trainer = make_trainer(tmp_path)
    assert not run(trainer, steps_for(trainer), max_minutes=1e-9)
    assert trainer.step == 1
    again = make_trainer(tmp_path)
    again.restore()
    assert run(again, steps_for(again))
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert (tmp_path / "config.yaml").exists()


def test_non_finite_loss_stops(tmp_path):
    trainer = make_trainer(tmp_path)
    with torch.no_grad():
        for parameter in trainer.objective.image_head.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(UserError, match=r"step 0: .*enc_loss.* not finite; .*learning_rate"):
        train(trainer, 1)


def test_other_architecture_is_refused(tmp_path):
    make_trainer(tmp_path).save()
    other = make_trainer(tmp_path, train_config(model="stream_petr_r50_428q"))
    with pytest.raises(UserError, match="holds model 'tiny'"):
        other.restore()


def test_full_disk_at_a_checkpoint_keeps_the_run(tmp_path, monkeypatch, caplog):
    trainer = make_trainer(tmp_path, train_config(checkpoint_minutes=0.0))
    saved = torch.save
    calls = []

    def full_once(*args):
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        saved(*args)

    monkeypatch.setattr(torch, "save", full_once)
    assert run(trainer, steps_for(trainer))
    assert "No space left" in caplog.text
    assert (tmp_path / "last.pt").exists()


def _be_rank(rank, port):
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}


def _train_as_rank(rank, port, folder):
    _be_rank(rank, port)
    with joined_run("cpu") as process:
        config = train_config(batch_size=1)
        trainer = make_trainer(folder, config, process.rank, process.world_size)
        train(trainer, 2)
        trainer.save()
        torch.save(weights_of(trainer), folder / f"weights{rank}.pt")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_agree(tmp_path):
    torch.multiprocessing.spawn(_train_as_rank, (free_port(), tmp_path), nprocs=2)
    first, second = (torch.load(tmp_path / f"weights{rank}.pt") for rank in range(2))
    for name, value in first.items():
        if "running" not in name:
            torch.testing.assert_close(value, second[name], msg=name)
    assert {"last.pt", "streams_0.pt", "streams_1.pt"} <= {p.name for p in tmp_path.iterdir()}


def _train_one_rank_without_objects(rank, port, folder):
    _be_rank(rank, port)
    with joined_run("cpu") as process:
        trainer = make_trainer(folder, train_config(batch_size=1), process.rank, 2)
        batches = trainer._batches

        def without_objects(*arguments):
            made, moments = batches(*arguments)
            return [_emptied(batch) for batch in made], moments

        if rank == 1:
            trainer._batches = without_objects
        train(trainer, 2)
        torch.save(weights_of(trainer), folder / f"weights{rank}.pt")


def _emptied(batch):
    return batch._replace(targets=[Targets(t.codes[:0], t.labels[:0]) for t in batch.targets])


def test_process_without_objects_keeps_step(tmp_path):
    arguments = (free_port(), tmp_path)
    torch.multiprocessing.spawn(_train_one_rank_without_objects, arguments, nprocs=2)
    first, second = (torch.load(tmp_path / f"weights{rank}.pt") for rank in range(2))
    for name, value in first.items():
        if "running" not in name:
            torch.testing.assert_close(value, second[name], msg=name)


def _lose_the_other(rank, port, folder):
    _be_rank(rank, port)
    with joined_run("cpu") as process:
        trainer = make_trainer(folder, train_config(batch_size=1), process.rank, 2)
        steps = steps_for(trainer)
        if rank == 1:
            train(trainer, 1)
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            run(trainer, steps)
        except UserError as error:
            (folder / "message.txt").write_text(str(error))


def test_lost_process_is_named(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    port = free_port()
    ranks = [context.Process(target=_lose_the_other, args=(r, port, tmp_path)) for r in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120.0)
    assert "another process of this run ended" in (tmp_path / "message.txt").read_text()
    assert "--resume" in (tmp_path / "message.txt").read_text()


def test_tiny_numbers_are_zero_while_training_alone():
    tiny = torch.tensor(1e-40)
    with denormals_flushed():
        assert float(tiny * 1.0) == 0.0
    assert float(tiny * 1.0) > 0.0
