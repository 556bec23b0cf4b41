"""The plain network that speed is compared with, and the comparison."""

from __future__ import annotations

import copy
from collections.abc import Sequence
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
        self._detector = copy.deepcopy(detector).eval().to(device)
        # So the head predicts for all layers; what it is made of stays in evaluation mode.
        self._detector.head.training = True

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


def compare_networks(
    plain: PlainNetwork,
    backend: Backend,
    prepared: Detector,
    drive: Sequence[ModelInputs],
    warm_up: int,
) -> dict[str, Any]:
    """Run both networks on the same frames in turns, every frame on the plain network's memory.

    On memories of their own, two equally good entries that change places would count as a
    difference of tens of metres.

    Args:
        plain: reference.
        backend: compared with it as a whole.
        prepared: compared with it stage by stage: what the backend runs, positions in every frame.
        drive: inputs of consecutive frames.
        warm_up: frames at the start that are not timed.

    Returns:
        Times of both, how many times faster the backend is, the largest differences, and by stage
        the medians of both, milliseconds, slowest plain one first.
    """
    device = backend.image_device
    rows: dict[str, list[dict[str, float]]] = {"whole": [], "plain": [], "ours": []}
    differences = []
    memory: MemoryState | None = None
    for frame in drive:
        clocks = {name: StageClock(device) for name in rows}
        with clocks["whole"].stage("plain"):
            inputs = frame.to(device)
            expected, next_memory = plain.run_stages(inputs, memory, clocks["plain"])
        with clocks["whole"].stage("backend"):
            outputs, _ = backend.run(frame, memory)
        run_stages(prepared, inputs, memory, clocks["ours"])
        memory = next_memory
        differences.append(_difference(outputs, expected))
        for name, clock in clocks.items():
            rows[name].append(clock.timings_ms)
    whole, plain_stages, our_stages = (stage_percentiles(row[warm_up:]) for row in rows.values())
    stages = {
        name: {"plain": plain_stages[name]["p50"], "ours": our_stages[name]["p50"]}
        for name in rows["plain"][0]
    }
    logits, centers = zip(*differences, strict=True)
    return {
        "milliseconds": {name: whole[name] for name in ("plain", "backend")},
        "times_faster": whole["plain"]["p50"] / whole["backend"]["p50"],
        "largest_difference": {"logits": max(logits), "centers_m": max(centers)},
        "stages": dict(sorted(stages.items(), key=lambda stage: -stage[1]["plain"])),
    }


def _difference(outputs: DetectorOutputs, expected: DetectorOutputs) -> tuple[float, float]:
    """Compare logits and centers."""
    logits = (outputs.logits.cpu() - expected.logits.cpu()).abs().max()
    centers = (outputs.codes.cpu() - expected.codes.cpu())[..., :3].abs().max()
    return float(logits), float(centers)
