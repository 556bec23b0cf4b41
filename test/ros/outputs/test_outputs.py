"""Diagnostics, throttled problems and the worker, without a running node."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo

from streampetr_ros.core.problems import Problem, ProblemLog
from streampetr_ros.ingest.sync.types import CameraStatistics, DropReason, SyncStatistics
from streampetr_ros.parameters.node import DiagnosticsParameters
from streampetr_ros.ros import worker as worker_module
from streampetr_ros.ros.inputs.inputs import DropReport
from streampetr_ros.ros.node import diagnostics, health
from streampetr_ros.ros.node.processing import ProcessingStatistics
from streampetr_ros.ros.worker import NewestWorker


def camera(**values: object) -> CameraStatistics:
    defaults: dict = {
        "name": "front",
        "received": 10,
        "used": 9,
        "dropped": {},
        "reordered": 0,
        "pending": 0,
        "last_stamp_ns": 10_000_000_000,
        "silent_ns": 0,
        "offset_ns": 0,
        "lag_ns": 5_000_000,
        "rate_hz": 12.0,
        "problems": (),
    }
    return CameraStatistics(**{**defaults, **values})


@pytest.mark.parametrize(
    ("statistics", "has_info", "mismatch", "now_s", "level", "says"),
    [
        ({}, True, "", 10.1, DiagnosticStatus.OK, "active"),
        ({}, True, "", 9.98, DiagnosticStatus.OK, "active"),
        ({}, True, "", 9.0, DiagnosticStatus.WARN, "1.00 s ahead of the node's clock; synch"),
        ({}, True, "", 0.0, DiagnosticStatus.OK, "active"),
        ({}, True, "", 1e9, DiagnosticStatus.ERROR, "set use_sim_time"),
        ({}, False, "", 10.1, DiagnosticStatus.WARN, "waiting for CameraInfo"),
        ({}, True, "", 11.0, DiagnosticStatus.ERROR, "stale: newest image is 1.00 s old"),
        ({"problems": ("frozen",)}, True, "", 10.1, DiagnosticStatus.WARN, "frozen"),
        ({"last_stamp_ns": None}, True, "", 1.0, DiagnosticStatus.WARN, "first image"),
        ({"received": 0}, True, "RELIABILITY", 1.0, DiagnosticStatus.ERROR, "QoS (RELIABILITY)"),
    ],
)
def test_camera_states(
    statistics: dict, has_info: bool, mismatch: str, now_s: float, level: bytes, says: str
) -> None:
    topics = SimpleNamespace(
        image_topics="/front/image_raw",
        info=CameraInfo(width=1600, height=900) if has_info else None,
        mismatch=mismatch,
    )
    found = diagnostics.camera_status(
        camera(**statistics), topics, round(now_s * 1e9), DiagnosticsParameters()
    )
    values = {pair.key: pair.value for pair in found.values}
    assert values["resolution"] == ("1600 x 900" if has_info else "")
    assert found.level == level
    assert says in found.message


@pytest.mark.parametrize(
    ("age_s", "level", "says", "age_ms"),
    [
        (0.2, DiagnosticStatus.OK, "in time", "200.000"),
        (-0.02, DiagnosticStatus.OK, "in time", "-20.000"),
        (None, DiagnosticStatus.OK, "no result whose age is known", "unknown"),
        (1.5, DiagnosticStatus.WARN, "results are 1.50 s old when published", "1500.000"),
        (-3.0, DiagnosticStatus.WARN, "3.00 s ahead of the node's clock; synch", "-3000.000"),
        (1e8, DiagnosticStatus.WARN, "/clock and set use_sim_time", "100000000000.000"),
    ],
)
def test_age_of_results(age_s: float | None, level: bytes, says: str, age_ms: str) -> None:
    done = ProcessingStatistics(processed=1, age_s=age_s, latencies_ms={})
    found = diagnostics.latency_status(done, DiagnosticsParameters(), {}, 0.0)
    assert found.level == level
    assert says in found.message
    assert {pair.key: pair.value for pair in found.values}["age at publication ms"] == age_ms


def test_memory_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(answer: object):
        return lambda device: asked.append(str(device)) or answer

    monkeypatch.setattr(torch.cuda, "mem_get_info", measured((2_000_000_000, 8_000_000_000)))
    monkeypatch.setattr(torch.cuda, "memory_allocated", measured(1_500_000_000))
    memory = health.gpu_memory(torch.device("cuda:1"))
    assert asked == ["cuda:1", "cuda:1"]
    assert memory == {"held": 1500.0, "used": 6000.0, "total": 8000.0}
    unknown = health.gpu_memory(torch.device("cpu"))
    assert unknown == dict.fromkeys(memory)

    def broken(device: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert health.gpu_memory(torch.device("cuda:1")) == unknown
    done = ProcessingStatistics(processed=1, age_s=0.1, latencies_ms={})
    for given, shown in ((memory, "1500.000"), (unknown, "unknown")):
        found = diagnostics.latency_status(done, DiagnosticsParameters(), given, 0.0)
        assert {pair.key: pair.value for pair in found.values}["GPU memory held MB"] == shown


def test_problems_are_counted_and_logged_now_and_then() -> None:
    said: list[str] = []
    now = [0.0]
    log = ProblemLog(said.append, period_s=5.0, clock=lambda: now[0])
    for _ in range(3):
        log.report(Problem.BAD_IMAGE, "/front", "broken")
    log.report(Problem.BAD_IMAGE, "/rear", "also broken")
    log.report(Problem.NOT_DUE, "", "")
    assert said == ["broken", "also broken"]
    now[0] = 6.0
    log.report(Problem.BAD_IMAGE, "/front", "broken")
    assert said[-1] == "broken (2 more since the last report)"
    assert log.counts() == {Problem.BAD_IMAGE: 5, Problem.NOT_DUE: 1}


def test_drops_are_reported_once() -> None:
    said: list[str] = []
    report = DropReport(ProblemLog(said.append, period_s=0.0))

    def statistics(count: int) -> SyncStatistics:
        return SyncStatistics(
            cameras=(camera(dropped={DropReason.LATE: count}),),
            complete=0,
        )

    report.update(statistics(2), {"front": "/front/image_raw"})
    report.update(statistics(2), {"front": "/front/image_raw"})
    report.update(statistics(3), {"front": "/front/image_raw"})
    assert [line.split(" ")[0] for line in said] == ["2", "1"]
    assert "'/front/image_raw' dropped: late, newest stamp 10.000000000; " in said[0]


def test_worker_takes_the_newest() -> None:
    taken: list[int] = []
    busy, go_on, finished = threading.Event(), threading.Event(), threading.Event()

    def process(item: int) -> None:
        taken.append(item)
        busy.set()
        go_on.wait(10.0)
        if item == 4:
            finished.set()

    worker = NewestWorker(process)
    worker.start()
    worker.offer(1)
    assert busy.wait(10.0)
    for item in (2, 3, 4):
        worker.offer(item)
    go_on.set()
    assert finished.wait(10.0)
    worker.stop()
    assert taken == [1, 4]
    assert worker.overtaken == 2


def test_an_idle_worker_has_begun_when_an_item_was_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "_HANDOVER_S", 60.0)
    worker: NewestWorker[int] = NewestWorker(lambda _: None)
    worker.start()
    while not worker._is_idle:
        time.sleep(0.001)
    worker.offer(1)
    assert not worker.is_behind
    worker.stop()


def test_worker_drops_what_waits_when_stopped() -> None:
    taken: list[int] = []
    busy, go_on = threading.Event(), threading.Event()

    def process(item: int) -> None:
        taken.append(item)
        busy.set()
        go_on.wait(10.0)

    worker = NewestWorker(process)
    worker.start()
    worker.offer(1)
    assert busy.wait(10.0)
    worker.offer(2)
    worker.discard()
    go_on.set()
    worker.stop()
    assert taken == [1]
