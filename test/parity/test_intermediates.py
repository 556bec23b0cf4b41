"""What happens inside the detector, layer by layer, against recordings of the published model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recording import FOLDER, recording_names
from subject import Subject, differences, outputs_of
from test_golden import LIMITS

from streampetr_ros.model.detector import Detector
from streampetr_ros.model.head import StreamHead
from streampetr_ros.model.state import DetectorOutputs

#: Largest allowed absolute differences.
LIMIT = 1e-3
TOKEN_LIMITS = {"pos_raw": 2e-3, "pos_embed": 2e-3}

if not recording_names():
    pytest.skip(f"no golden recordings in {FOLDER.name}", allow_module_level=True)


def recorded_frames(subject: Subject, key: str) -> list[int]:
    return [frame for frame in (0, 1) if subject.recording.has(frame, key)]


def test_images_are_the_recorded_ones(subject):
    for frame in recorded_frames(subject, "img_probe"):
        probe = subject.recording.images(frame)[0, :, :, ::37, ::41]
        np.testing.assert_allclose(probe, subject.recording.get(frame, "img_probe"), atol=1e-5)


def test_backbone_and_neck(subject):
    """Every stage to 1e-4 of its largest magnitude."""
    recording, compared = subject.recording, 0
    for frame in recorded_frames(subject, "backbone.layer1.slice") or recorded_frames(
        subject, "backbone.stem.slice"
    ):
        _, maps = subject.features(frame)
        for name, (seen,) in maps.items():
            limit = 1e-4 * float(seen.abs().max())
            parts = {
                f"{name}.slice": seen[0, ::16, :24, :60],
                f"{name}.slice_cam5": seen[5, :4],
            }
            if name.startswith("backbone"):
                parts = {
                    f"{name}.slice": seen[0, :8, :6, :8],
                    f"{name}.chmean": seen[:, :64].mean(dim=(0, 2, 3)),
                }
            for key, ours in parts.items():
                error = np.abs(ours.numpy() - recording.get(frame, key)).max()
                assert error <= limit, f"frame {frame}: {key} differs by {error:.2e}"
                compared += 1
    assert compared >= 14


def head_parts(detector: Detector) -> dict[str, torch.nn.Module]:
    head = detector.head
    layers = {f"layer{index}": layer for index, layer in enumerate(head.decoder.layers)}
    return {
        "position": detector.position,
        "gate": head.gate,
        "memory_embed": head.memory_embed,
        "spatial_alignment": head.spatial_alignment,
        "query_embedding": head.query_embedding,
        "post_norm": head.decoder.post_norm,
        **layers,
    }


def look_inside(subject: Subject, frame: int) -> dict[str, torch.Tensor]:
    """Run a frame and return its stages under their recorded names."""
    decoder_inputs = []
    head = subject.detector.head
    hook = head.decoder.register_forward_pre_hook(lambda module, args: decoder_inputs.append(args))
    with outputs_of(head_parts(subject.detector)) as seen:
        subject.run_stepwise(frame)
    hook.remove()
    ((content, context),) = decoder_inputs
    tokens, rows = subject.recording.arrays["token_index"], subject.recording.arrays["row_index"]
    (position,) = seen["position"]
    layers = [seen[f"layer{index}"][0] for index in range(len(head.decoder.layers))]
    return {
        "cone": position.cone[0, tokens],
        "pos_raw": position.code[0, tokens],
        "pos_embed": seen["gate"][0][0, tokens],
        "memory_embed": seen["memory_embed"][0][0, tokens],
        "spatial_alignment": seen["spatial_alignment"][0][0, tokens],
        "query_pos_initial": seen["query_embedding"][0][0, :16],
        "query_pos": context.query_position[0, rows],
        "tgt": content[0, rows],
        "temp_memory": context.memory[0, :16],
        "temp_pos": context.memory_position[0, :16],
        "dec_layer_out": torch.stack([layer[0, rows] for layer in layers]),
        "outs_dec": torch.stack([layer[0, rows] for layer in seen["post_norm"]]),
    }


def test_stages_of_the_head(subject):
    recording = subject.recording
    for frame in recorded_frames(subject, "dec_layer_out"):
        seen, errors = look_inside(subject, frame), {}
        for key, ours in seen.items():
            if recording.has(frame, key):
                errors[key] = float(np.abs(ours.numpy() - recording.get(frame, key)).max())
        subject.note("stages", frame, errors)
        assert len(errors) >= 8
        exceeded = {k: error for k, error in errors.items() if error > TOKEN_LIMITS.get(k, LIMIT)}
        assert not exceeded, f"frame {frame}: {exceeded}"


def test_cone_of_all_tokens(subject):
    for frame in recorded_frames(subject, "cone_stats"):
        inputs = subject.recording.inputs(frame, torch.zeros(0))
        with torch.inference_mode():
            cone = subject.detector.token_position(inputs).cone[0]
        seen = torch.stack([cone.mean(0), cone.std(0), cone.abs().amax(0)], dim=1)
        expected = subject.recording.get(frame, "cone_stats")
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-4)


def starting_references(head: StreamHead) -> torch.Tensor:
    """Return the (Q + P, 3) reference points of a frame without history."""
    if not head.config.temporal:
        return head.reference_points.detach()
    return torch.cat([head.reference_points.detach(), head.pseudo_points])


def test_predictions_of_every_layer(subject):
    """Recorded for the first frame only."""
    recording, head = subject.recording, subject.detector.head
    for frame in recorded_frames(subject, "cls_all")[:1]:
        with outputs_of({"decoder": head.decoder}) as seen:
            subject.run_stepwise(frame)
        references = starting_references(head)[None]
        if recording.has(frame, "reference_points"):
            recorded = recording.get(frame, "reference_points")
            np.testing.assert_allclose(references[0], recorded, atol=1e-6)
        for index, decoded in enumerate(seen["decoder"][0]):
            with torch.inference_mode():
                outputs: DetectorOutputs = head._predict(decoded, references)
            expected = (recording.get(frame, key)[index] for key in ("cls_all", "box_all"))
            errors = differences(outputs, *expected)
            exceeded = {key: errors[key] for key in LIMITS if errors[key] > LIMITS[key]}
            assert not exceeded, f"frame {frame}, layer {index}: {exceeded}"
