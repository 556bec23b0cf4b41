"""The detector against recordings of the published model, frame by frame.

Stepwise runs put the recorded memory before every frame, so errors do not pile up; the free run
uses its own memory throughout. Tolerances are those stated with the recordings.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recording import FOLDER, recording_names
from subject import Subject, differences

from streampetr_ros.model.memory import align, empty_memory
from streampetr_ros.model.state import DetectorOutputs, MemoryState
from streampetr_ros.pipeline.decode import decode

#: Largest allowed absolute differences.
LIMITS = {
    "logits": 2e-3,
    "logits_rms": 3e-4,
    "scores": 5e-4,
    "centers_m": 0.03,
    "log_sizes": 2e-3,
    "sin_cos": 2e-3,
    "velocities": 2e-3,
}
FREE_RUN_FACTOR = 3.0
MEMORY_LIMITS = {"center_m": 0.03, "age_s": 1e-6, "pose": 1e-3, "velocity": 2e-3}

if not recording_names():
    pytest.skip(f"no golden recordings in {FOLDER.name}", allow_module_level=True)


def best_rows(outputs: DetectorOutputs, count: int) -> np.ndarray:
    return outputs.logits[0].amax(dim=-1).topk(count).indices.numpy()


def test_stepwise_outputs_and_memory(subject):
    recording, config = subject.recording, subject.recording.config
    for frame in range(recording.frames):
        outputs, memory = subject.run_stepwise(frame)
        seen = differences(outputs, recording.get(frame, "cls"), recording.get(frame, "box"))
        subject.note("stepwise", frame, seen)
        exceeded = {key: seen[key] for key in LIMITS if seen[key] > LIMITS[key]}
        assert not exceeded, f"frame {frame}: {exceeded}"
        if config.temporal:
            check_memory(subject, frame, memory)


def check_memory(subject: Subject, frame: int, memory: MemoryState) -> None:
    """Compare what the step stored; neighbours in the ranking may have swapped places."""
    recording, count = subject.recording, subject.recording.config.num_proposals
    expected = recording.memory(frame)
    new = memory.center[0, :count].numpy()
    distance = np.linalg.norm(new[:, None] - expected.center[0, None, :count].numpy(), axis=-1)
    partner = distance.argmin(axis=1)
    assert len(set(partner.tolist())) == count, f"frame {frame}: other rows were selected"
    order = torch.from_numpy(np.concatenate([partner, np.arange(count, memory.center.shape[1])]))
    expected = MemoryState(*(value[:, order] for value in expected))
    seen = {
        "center_m": (memory.center - expected.center).abs().max(),
        "age_s": (memory.age - expected.age).abs().max(),
        "pose": (memory.last_from_own - expected.last_from_own).abs().max(),
        "velocity": (memory.velocity - expected.velocity).abs().max(),
    }
    seen = {key: float(value) for key, value in seen.items()}
    seen["embedding"] = float((memory.embedding - expected.embedding).abs().max())
    subject.note("memory", frame, seen)
    for key, limit in MEMORY_LIMITS.items():
        assert seen[key] <= limit, f"frame {frame}: memory {key} {seen[key]:.2e}"
    assert seen["embedding"] <= 1e-2


def test_alignment_of_the_memory(subject):
    recording, config = subject.recording, subject.recording.config
    if not config.temporal:
        pytest.skip("a single-frame model has no memory")
    for frame in range(recording.frames):
        inputs = recording.inputs(frame, torch.zeros(0))
        memory = recording.memory(frame - 1) if frame else empty_memory(config, 1, "cpu")
        aligned = align(memory, inputs, subject.detector.head._start_centers())
        pairs = (
            ("pre_reference_point", aligned.center, 1e-3),
            ("pre_timestamp", aligned.age, 1e-6),
            ("pre_egopose", aligned.last_from_own, 1e-3),
        )
        for key, ours, limit in pairs:
            error = np.abs(ours[0].numpy() - recording.get(frame, key)).max()
            assert error <= limit, f"frame {frame}: {key} differs by {error:.2e}"


def test_free_run(subject):
    recording, config = subject.recording, subject.recording.config
    memory, canonical, ours_best = None, np.arange(config.total_queries), None
    for frame in range(recording.frames):
        fresh = frame == 0 or float(recording.get(frame, "prev_exists")[0]) < 0.5
        if fresh or not config.temporal:
            canonical = np.arange(config.total_queries)
        else:
            canonical = follow(canonical, ours_best, recording.get(frame - 1, "topk_index"), config)
        outputs, memory = subject.run(frame, memory)
        logits, codes = recording.get(frame, "cls"), recording.get(frame, "box")
        seen = differences(outputs, logits[canonical], codes[canonical])
        subject.note("free run", frame, seen)
        exceeded = {k: seen[k] for k in LIMITS if seen[k] > FREE_RUN_FACTOR * LIMITS[k]}
        assert not exceeded, f"frame {frame}: {exceeded}"
        ours_best = best_rows(outputs, config.num_proposals)
        check_detections(subject, frame, outputs)


def follow(canonical, ours_best, recorded_best, config) -> np.ndarray:
    """Map our decoder rows to the recorded ones: equal scores may have swapped stored rows."""
    place = {int(row): index for index, row in enumerate(recorded_best)}
    mapped = np.arange(config.total_queries)
    for index, row in enumerate(ours_best[: config.num_propagated]):
        assert int(canonical[row]) in place, "another row entered the memory"
        mapped[config.num_queries + index] = config.num_queries + place[int(canonical[row])]
    return mapped


def check_detections(subject: Subject, frame: int, outputs: DetectorOutputs) -> None:
    """Compare decoded boxes as sets; the recording gives bottom centers."""
    recording, config = subject.recording, subject.recording.config
    detections = decode(outputs, config, stamp_ns=0)
    expected_boxes = recording.get(frame, "det_boxes").astype(np.float64)
    expected_scores = recording.get(frame, "det_scores")
    expected_labels = recording.get(frame, "det_labels")
    assert len(detections) == len(expected_scores)
    bottom = detections.boxes.centers.copy()
    bottom[:, 2] -= detections.boxes.sizes[:, 2] / 2
    matched = 0
    for center, score, label in zip(bottom, detections.scores, detections.labels, strict=True):
        near = np.abs(expected_boxes[:, :3] - center).max(axis=1) < 0.1
        same = near & (expected_labels == label) & (np.abs(expected_scores - score) < 1.5e-3)
        matched += bool(same.any())
    # Only pairs at the very end of the list may have changed places with ones just outside.
    assert matched >= len(detections) - 2, f"frame {frame}: {matched} of {len(detections)}"


def test_a_reset_is_bit_equal_to_a_fresh_start(subject):
    if not subject.recording.config.temporal:
        pytest.skip("a single-frame model has no memory")
    fresh, fresh_memory = subject.run(0, None)
    reset, reset_memory = subject.run(0, fresh_memory)
    for one, other in zip((*fresh, *fresh_memory), (*reset, *reset_memory), strict=True):
        assert torch.equal(one, other)
