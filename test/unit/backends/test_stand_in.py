"""The stand-in takes its time and gives what decoding expects."""

from __future__ import annotations

import time

import pytest

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.opening import open_backend
from streampetr_ros.core.errors import UserError
from streampetr_ros.pipeline.decode import decode


def test_takes_its_time_and_finds_the_same_boxes() -> None:
    backend = open_backend("stand_in:20", "tiny")
    start = time.perf_counter()
    outputs, memory = backend.run(None, None)
    assert time.perf_counter() - start >= 0.02
    assert memory is None
    found = decode(outputs, backend.config, 5)
    assert len(found) > 0
    again = decode(backend.run(None, None)[0], backend.config, 5)
    assert (found.scores == again.scores).all()


@pytest.mark.parametrize(
    "weights", ["stand_in:", "stand_in:-1", "stand_in:1e3", "stand_in:99999999"]
)
def test_durations_that_are_none(weights: str) -> None:
    with pytest.raises(BackendError, match="write stand_in:5"):
        open_backend(weights, "tiny")


def test_needs_a_model_to_stand_for() -> None:
    with pytest.raises(UserError, match="model name"):
        open_backend("stand_in:5")
