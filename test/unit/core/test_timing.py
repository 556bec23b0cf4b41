"""What a stage waits for before its time is taken, with PyTorch's CUDA calls taking notes."""

from types import SimpleNamespace

import pytest
import torch

from streampetr_ros.core.timing import StageClock


@pytest.fixture
def waited(monkeypatch):
    notes = []

    def stream(device):
        return SimpleNamespace(synchronize=lambda: notes.append(f"stream of {device}"))

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: notes.append("everything"))
    monkeypatch.setattr(torch.cuda, "current_stream", stream)
    return notes


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (None, ["everything"]),
        (torch.device("cuda:1"), ["stream of cuda:1"]),
        (torch.device("cpu"), []),
    ],
)
def test_a_stage_waits_for_the_stream_of_its_device(waited, device, expected):
    clock = StageClock(device)
    with clock.stage("network"):
        assert not waited
    assert waited == expected
    assert clock.timings_ms["network"] >= 0.0


@pytest.mark.parametrize("device", [None, torch.device("cuda:1")])
def test_waiting_opens_no_gpu(waited, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    with StageClock(device).stage("network"):
        pass
    assert not waited
