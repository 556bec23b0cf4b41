"""The plain network that speed is compared with, and the comparison."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from streampetr_ros.backends.base import Backend
from streampetr_ros.core.timing import StageClock, stage_percentiles
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs


class PlainNetwork:
    """The published structure as plainly as PyTorch runs it.

    Eager float32 in the default memory layout; batch norms, biases and the steps of attention are
    operations of their own; position codes are computed in every frame and predictions for every
    decoder layer. Nothing is folded, fused, cached or skipped.

    Args:
        detector: copied.
        device: to run on.
    """

    def __init__(self, detector: Detector, device: torch.device) -> None:
        self._device = device
        self._detector = copy.deepcopy(detector).eval().to(device)
        # So the head predicts for all layers; what it is made of stays in evaluation mode.
        self._detector.head.training = True

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`."""
        clock = StageClock(self._device)
        return self.run_stages(inputs.to(self._device), memory, clock)

    def run_stages(
        self, inputs: ModelInputs, memory: MemoryState | None, clock: StageClock
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame that is on the device; see `run_stages`."""
        with sdpa_kernel(SDPBackend.MATH):
            return run_stages(self._detector, inputs, memory, clock)


@torch.inference_mode()
def run_stages(
    detector: Detector, inputs: ModelInputs, memory: MemoryState | None, clock: StageClock
) -> tuple[DetectorOutputs, MemoryState | None]:
    """Process one frame; its encoder, position and head are timed one after the other.

    Args:
        detector: on its device.
        inputs: there too.
        memory: after the previous frame; None starts afresh.
        clock: takes the times.
    """
    with clock.stage("encoder"):
        features = detector.encode_images(inputs.images)
    with clock.stage("position"):
        position = detector.token_position(inputs)
    with clock.stage("head"):
        outputs, memory = detector.predict(features, position, inputs, memory)
    return outputs[-1], memory


def compare_stages(
    plain: PlainNetwork,
    prepared: Detector,
    device: torch.device,
    drive: Sequence[ModelInputs],
    warm_up: int,
) -> dict[str, dict[str, float]]:
    """Time the stages of both networks in turns, positions in every frame.

    Args:
        plain: reference, on the device.
        prepared: what a backend runs, on the device.
        device: of both.
        drive: inputs of consecutive frames.
        warm_up: frames at the start that are not timed.

    Returns:
        By stage the medians of both, ``plain`` and ``ours``, milliseconds; slowest plain one first.
    """
    rows: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    memory: MemoryState | None = None
    for frame in drive:
        inputs = frame.to(device)
        clocks = StageClock(device), StageClock(device)
        _, next_memory = plain.run_stages(inputs, memory, clocks[0])
        run_stages(prepared, inputs, memory, clocks[1])
        memory = next_memory
        for taken, clock in zip(rows, clocks, strict=True):
            taken.append(clock.timings_ms)
    medians = [stage_percentiles(taken[warm_up:]) for taken in rows]
    stages = {
        name: {"plain": medians[0][name]["p50"], "ours": medians[1][name]["p50"]}
        for name in rows[0][0]
    }
    return dict(sorted(stages.items(), key=lambda stage: -stage[1]["plain"]))


def compare_networks(
    plain: PlainNetwork, backend: Backend, drive: Sequence[ModelInputs], warm_up: int
) -> dict[str, Any]:
    """Run both networks on the same frames in turns, every frame on the plain network's memory.

    On memories of their own, two equally good entries that change places would count as a
    difference of tens of metres.

    Args:
        plain: reference.
        backend: compared with it.
        drive: inputs of consecutive frames.
        warm_up: frames at the start that are not timed.

    Returns:
        Times of both, how many times faster the backend is, and the largest differences.
    """
    rows = list(_in_turns(plain, backend, drive))
    times = stage_percentiles(row for row, _ in rows[warm_up:])
    logits, centers = zip(*(difference for _, difference in rows), strict=True)
    return {
        "milliseconds": {name: times[name] for name in ("plain", "backend")},
        "times_faster": times["plain"]["p50"] / times["backend"]["p50"],
        "largest_difference": {"logits": max(logits), "centers_m": max(centers)},
    }


def _in_turns(
    plain: PlainNetwork, backend: Backend, drive: Sequence[ModelInputs]
) -> Iterator[tuple[dict[str, float], tuple[float, float]]]:
    memory: MemoryState | None = None
    for inputs in drive:
        clock = StageClock(backend.image_device)
        with clock.stage("plain"):
            expected, next_memory = plain.run(inputs, memory)
        with clock.stage("backend"):
            outputs, _ = backend.run(inputs, memory)
        memory = next_memory
        yield clock.timings_ms, _difference(outputs, expected)


def _difference(outputs: DetectorOutputs, expected: DetectorOutputs) -> tuple[float, float]:
    """Compare logits and centres."""
    logits = (outputs.logits.cpu() - expected.logits.cpu()).abs().max()
    centers = (outputs.codes.cpu() - expected.codes.cpu())[..., :3].abs().max()
    return float(logits), float(centers)
