"""How work is recorded on a GPU, with PyTorch's CUDA calls replaced by ones that take notes."""

from contextlib import contextmanager, nullcontext

import pytest
import torch

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda_device import CudaDevice


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


def test_work_that_cannot_be_captured_is_simply_repeated(notes, caplog):
    def work():
        notes.append("work")
        if any(note.startswith("begin capture") for note in notes):
            raise RuntimeError("operation not permitted when stream is capturing")

    device = CudaDevice("cuda")
    assert device.record(work) is work
    assert "without CUDA graphs" in caplog.text
    assert "replay" not in notes


def test_first_run_that_fails_is_no_matter_of_capturing(notes):
    def work():
        raise BackendError("cannot run")

    with pytest.raises(BackendError, match="cannot run"):
        CudaDevice("cuda").record(work)


def test_gpu_that_is_not_there(notes):
    with pytest.raises(BackendError, match="'cuda:2' asked for, but there are 2 GPUs"):
        CudaDevice("cuda:2")
