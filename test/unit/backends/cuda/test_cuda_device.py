"""How work is recorded on a GPU, with PyTorch's CUDA calls replaced by ones that take notes."""

from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda.device import CudaDevice


class Stream:
    cuda_stream = 5

    def __init__(self, notes):
        self._notes = notes

    def wait_stream(self, other):
        self._notes.append(f"wait for {other}")

    def synchronize(self):
        self._notes.append("finish")


@pytest.fixture
def notes(monkeypatch):
    taken = []

    @contextmanager
    def capture(graph, stream, capture_error_mode):
        taken.append(f"begin capture on {stream.cuda_stream} {capture_error_mode}")
        yield
        taken.append("end capture")

    class Graph:
        def replay(self):
            taken.append("replay")

    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 2)
    monkeypatch.setattr(cuda, "get_device_capability", lambda device: (8, 10 - device.index))
    monkeypatch.setattr(cuda, "get_device_name", lambda device: "GPU")
    monkeypatch.setattr(cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(cuda, "current_stream", lambda: "the caller")
    monkeypatch.setattr(cuda, "Stream", lambda device: Stream(taken))
    monkeypatch.setattr(cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(cuda, "graph", capture)
    return taken


def test_work_runs_once_before_it_is_captured_and_is_replayed_afterwards(notes):
    device = CudaDevice("cuda:1")
    assert (device.title, device.compute_capability, device.stream) == ("cuda:1 (GPU)", "8.9", 5)
    assert device.torch_device == torch.device("cuda", 1)
    repeat = device.record(lambda: notes.append("work"))
    assert notes == [
        "wait for the caller",
        "work",
        "finish",
        "begin capture on 5 thread_local",
        "work",
        "end capture",
    ]
    repeat()
    assert notes[-1] == "replay"


def uncapturable(notes):
    def work():
        notes.append("work")
        if any(note.startswith("begin capture") for note in notes):
            raise RuntimeError("operation not permitted when stream is capturing\nMore of this")

    return work


def test_work_that_cannot_be_captured_is_simply_repeated(notes, caplog):
    device = CudaDevice("cuda")
    assert device.is_recording
    work = uncapturable(notes)
    assert device.record(work) is work
    assert "without CUDA graphs, which costs some speed: operation not permitted" in caplog.text
    assert "More of this" not in caplog.text
    assert "replay" not in notes
    assert not device.is_recording


def test_capture_that_fails_tells_the_cause_and_what_to_do(notes, caplog, monkeypatch):
    """Ending a capture in which something failed fails too, with words that explain nothing."""

    @contextmanager
    def capture(graph, stream, capture_error_mode):
        notes.append("begin capture")
        try:
            yield
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(torch.cuda, "graph", capture)
    CudaDevice("cuda").record(uncapturable(notes))
    assert "some speed: operation not permitted when stream is capturing; mem" in caplog.text
    assert "previous error" not in caplog.text
    assert "memory may stay reserved, so choose cuda_graphs 'never'" in caplog.text


def test_failure_that_names_its_cause_itself_is_told_as_it_is(notes, caplog):
    def work():
        if any(note.startswith("begin capture") for note in notes):
            raise BackendError("the engine refuses") from ValueError("inner words")

    CudaDevice("cuda").record(work)
    assert "some speed: the engine refuses; mem" in caplog.text


def test_one_failed_capture_is_enough(notes, caplog):
    device = CudaDevice("cuda")
    device.record(uncapturable(notes))
    notes.clear()
    again = device.record(lambda: notes.append("work"))
    assert notes == ["wait for the caller", "work", "finish"]
    again()
    assert notes[-1] == "work"
    assert len(caplog.records) == 1


def test_work_that_has_to_be_captured(notes):
    device = CudaDevice("cuda", "always")
    with pytest.raises(
        BackendError, match=r"GPU.*graphs \(operation not permitted .*'auto'"
    ) as caught:
        device.record(uncapturable(notes))
    assert "\n" not in str(caught.value)


def test_work_that_is_never_captured(notes):
    device = CudaDevice("cuda", "never")
    work = partial(notes.append, "work")
    assert device.record(work) is work
    assert notes == ["wait for the caller", "work", "finish"]
    assert not device.is_recording


def test_first_run_that_fails_is_no_matter_of_capturing(notes):
    def work():
        raise BackendError("cannot run")

    with pytest.raises(BackendError, match="cannot run"):
        CudaDevice("cuda").record(work)


def test_gpu_that_is_not_there(notes):
    with pytest.raises(BackendError, match="'cuda:2' asked for, but there are 2 GPUs"):
        CudaDevice("cuda:2")


def test_gpu_that_cannot_be_used_is_one_line(notes, monkeypatch):
    def busy(device):
        raise RuntimeError("CUDA error: CUDA-capable device(s) is/are busy\nMore of this")

    monkeypatch.setattr(torch.cuda, "Stream", busy)
    with pytest.raises(
        BackendError, match=r"^cuda:1 cannot be used \(CUDA .* busy\); close"
    ) as said:
        CudaDevice("cuda:1")
    assert "\n" not in str(said.value)
