"""Functions and small layers of the detector against recorded numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_weights import golden_state
from recording import FOLDER

from streampetr_ros.model import encoding
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.encoding import ConditionalLayerNorm, FeatureGate
from streampetr_ros.model.position import RayPosition
from streampetr_ros.model.state import DetectorOutputs
from streampetr_ros.pipeline.decode import decode

PIECES = FOLDER / "train_pieces.npz"
KEYS = FOLDER / "stream_petr_r50_flash_704_bs2_seq_428q_nui_60e.keys.json"
HEAD = "pts_bbox_head."

if not PIECES.is_file() or not KEYS.is_file():
    pytest.skip(f"{PIECES.name} is not here", allow_module_level=True)


@pytest.fixture(scope="module")
def golden():
    with np.load(PIECES) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def close(ours: torch.Tensor, recorded: torch.Tensor, limit: float) -> None:
    torch.testing.assert_close(ours.to(recorded.dtype), recorded, atol=limit, rtol=0.0)


def test_codes(golden):
    close(encoding.position_code(golden["pe3d.in"], 128), golden["pe3d.out"], 2e-6)
    close(encoding.motion_code(golden["nerf.in"]), golden["nerf.out"], 2e-5)
    logits = encoding.inverse_sigmoid(golden["inverse_sigmoid.in"])
    close(logits, golden["inverse_sigmoid.out"], 1e-6)


def test_code_of_ages(golden):
    """The published model evaluates ages in float64; ours come in float32 and are small."""
    ages = golden["pe1d.in_f64"]
    exact = encoding.sine_code(ages, 256).flatten(1)
    close(exact, golden["pe1d.out_f64"], 1e-6)
    rounded = encoding.sine_code(ages.float(), 256).flatten(1)
    close(rounded, golden["pe1d.out_f64"], 5e-6)


@pytest.mark.parametrize(
    ("name", "code_size"),
    [("spatial_alignment", 8), ("ego_pose_pe", 180), ("ego_pose_memory", 180)],
)
def test_conditional_layer_norm(golden, name, code_size):
    layer = ConditionalLayerNorm(code_size, 256)
    state = golden_state(KEYS, f"{HEAD}{name}.")
    layer.load_state_dict({key.replace("reduce.0.", "reduce."): v for key, v in state.items()})
    with torch.no_grad():
        out = layer(golden[f"mln.{name}.x"], golden[f"mln.{name}.c"])
    close(out, golden[f"mln.{name}.out"], 1e-5)


def test_feature_gate(golden):
    gate = FeatureGate(256)
    state = golden_state(KEYS, f"{HEAD}featurized_pe.")
    gate.load_state_dict({key.removeprefix("conv_"): value for key, value in state.items()})
    with torch.no_grad():
        close(gate(golden["se.x"], golden["se.x_se"]), golden["se.out"], 1e-5)


def test_token_centers(golden):
    config = detector_config("stream_petr_r50_428q")
    rays = RayPosition(config).rays.reshape(16, 44, config.depth_bins, 3)
    size = torch.tensor([config.image.width, config.image.height])
    pixels = rays[:, :, 0, :2] / rays[:, :, 0, 2:]
    close(pixels / size, golden["locations_16x44"], 1e-6)


def test_decoding(golden):
    config = detector_config("stream_petr_r50_428q")
    raw = DetectorOutputs(golden["decode.cls"][None], golden["decode.box"][None])
    found = decode(raw, config, stamp_ns=0)
    expected = golden["decode.out_boxes_bottom"].numpy()
    centers = golden["decode.out_boxes_gravity_center"].numpy()
    np.testing.assert_array_equal(found.labels, golden["decode.out_labels"])
    np.testing.assert_allclose(found.scores, golden["decode.out_scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes.centers, centers, atol=1e-5)
    np.testing.assert_allclose(found.boxes.sizes, expected[:, 3:6], rtol=1e-5)
    np.testing.assert_allclose(found.boxes.yaws, expected[:, 6], atol=1e-5)
    np.testing.assert_allclose(found.boxes.velocities, expected[:, 7:9], atol=1e-6)
