"""Properties of the detector that hold for any weights."""

import micro_detector as micro
import pytest
import torch

from streampetr_ros.model.attention import MultiHeadAttention
from streampetr_ros.model.config import MODEL_NAMES, detector_config
from streampetr_ros.model.detector import build_detector
from streampetr_ros.model.state import MemoryState, ModelInputs


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def drive(detector, frames):
    memory, results = None, []
    for frame in frames:
        outputs, memory = detector(frame, memory)
        results.append(outputs)
    return results, memory


def assert_same(one, other, **tolerance):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def test_memory_changes_the_answer():
    detector, frames = micro.detector(), [micro.inputs(seed) for seed in range(3)]
    with_memory, _ = drive(detector, frames)
    alone, _ = detector(frames[-1], None)
    assert (with_memory[-1].logits - alone.logits).abs().max() > 1e-3


def test_reset_is_bit_equal_to_a_fresh_start():
    detector, frames = micro.detector(), [micro.inputs(seed) for seed in range(4)]
    _, used = drive(detector, frames)
    start = micro.inputs(9)._replace(continues=torch.zeros(1))
    fresh, fresh_memory = detector(start, None)
    reset, reset_memory = detector(start, used)
    for one, other in zip((*fresh, *fresh_memory), (*reset, *reset_memory), strict=True):
        assert torch.equal(one, other)


def test_reset_ignores_a_poisoned_memory():
    detector = micro.detector()
    start = micro.inputs(9)._replace(continues=torch.zeros(1))
    fresh, memory = detector(start, None)
    poisoned = MemoryState(*(torch.full_like(value, float("nan")) for value in memory))
    reset, _ = detector(start, poisoned)
    assert torch.equal(fresh.logits, reset.logits)


def test_streams_in_a_batch_do_not_see_each_other():
    detector = micro.detector()
    first, second = ([micro.inputs(10 * k + i) for i in range(3)] for k in (1, 2))
    second[1] = second[1]._replace(continues=torch.zeros(1))
    merged = [
        ModelInputs(*(torch.cat(pair) for pair in zip(a[:-1], b[:-1], strict=True)))
        for a, b in zip(first, second, strict=True)
    ]
    together, memory = drive(detector, merged)
    for index, frames in enumerate((first, second)):
        alone, alone_memory = drive(detector, frames)
        picked = [value[index : index + 1] for value in together[-1]]
        assert_same(picked, alone[-1], atol=1e-4, rtol=1e-4)
        assert_same(
            [value[index : index + 1] for value in memory], alone_memory, atol=1e-4, rtol=1e-4
        )


def test_cameras_may_come_in_any_order():
    detector, frame = micro.detector(), micro.inputs(3)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    shuffled = frame._replace(
        images=frame.images[:, order],
        model_from_image=frame.model_from_image[:, order],
        focal_lengths=frame.focal_lengths[:, order],
    )
    assert_same(detector(frame)[0], detector(shuffled)[0], atol=1e-4, rtol=1e-4)


def test_published_focal_pairing_depends_on_the_order():
    detector, frame = micro.detector(tiled_focal_lengths=True), micro.inputs(3)
    order = torch.arange(5, -1, -1)
    shuffled = frame._replace(
        images=frame.images[:, order],
        model_from_image=frame.model_from_image[:, order],
        focal_lengths=frame.focal_lengths[:, order],
    )
    difference = detector(frame)[0].logits - detector(shuffled)[0].logits
    assert difference.abs().max() > 1e-4


def test_an_absent_camera_counts_as_if_it_were_not_there():
    detector, frame = micro.detector(), micro.inputs(4)
    present = torch.tensor([[True, True, False, True, True, True]])
    kept = [0, 1, 3, 4, 5]
    fewer = frame._replace(
        images=frame.images[:, kept],
        model_from_image=frame.model_from_image[:, kept],
        focal_lengths=frame.focal_lengths[:, kept],
    )
    masked = frame._replace(camera_present=present)
    assert_same(detector(masked)[0], detector(fewer)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cameras", [1, 2, 8])
def test_rigs_of_other_sizes(cameras):
    outputs, memory = micro.detector()(micro.inputs(1, cameras=cameras))
    assert outputs.logits.shape == (1, 16, 10)
    assert memory.embedding.shape == (1, 16, 32)


def test_memory_points_stay_fixed_in_a_static_world():
    detector = micro.detector()
    frame = micro.inputs(5)
    _, memory = detector(frame, None)
    point_before = memory.center[:, :4].clone()
    motion = torch.eye(4)[None].clone()
    motion[0, :3, 3] = torch.tensor([-2.0, 1.0, 0.0])
    _, memory = detector(frame._replace(now_from_previous=motion), memory)
    expected = point_before + motion[:, None, :3, 3]
    torch.testing.assert_close(memory.center[:, 4:8], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(memory.age[:, 4:8], torch.full((1, 4, 1), 0.5))
    torch.testing.assert_close(memory.last_from_own[:, 4:8], motion[:, None].expand(1, 4, 4, 4))


def test_memory_keeps_the_best_queries_newest_first():
    detector = micro.detector()
    outputs, memory = detector(micro.inputs(6), None)
    best = outputs.logits.amax(-1).topk(4).indices[0]
    torch.testing.assert_close(memory.center[0, :4], outputs.codes[0, best, :3])
    torch.testing.assert_close(memory.velocity[0, :4], outputs.codes[0, best, 8:10])


def test_single_frame_relative_has_no_memory():
    detector = micro.detector(temporal=False)
    outputs, memory = detector(micro.inputs(1))
    assert memory is None
    assert outputs.logits.shape == (1, 12, 10)


def test_training_returns_every_layer_and_a_detached_memory():
    detector = micro.detector().train()
    frame = micro.inputs(2)
    with torch.enable_grad():
        features = detector.encode_images(frame.images)
        position = detector.token_position(frame)
        outputs, memory = detector.predict(features, position, frame, None)
    assert len(outputs) == 2
    assert outputs[0].logits.requires_grad
    assert not any(value.requires_grad for value in memory)


def test_attention_agrees_with_pytorch():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(32, 4), torch.nn.MultiheadAttention(32, 4, batch_first=True)
    ours.in_proj.weight.copy_(theirs.in_proj_weight)
    ours.in_proj.bias.normal_()
    theirs.in_proj_bias.copy_(ours.in_proj.bias)
    ours.out_proj.load_state_dict(theirs.out_proj.state_dict())
    query, key, value = torch.randn(2, 5, 32), torch.randn(2, 7, 32), torch.randn(2, 7, 32)
    blocked = torch.rand(5, 7) > 0.7
    blocked[:, 0] = False
    expected, _ = theirs(query, key, value, attn_mask=blocked, need_weights=False)
    torch.testing.assert_close(ours(query, key, value, ~blocked), expected, atol=1e-6, rtol=1e-5)


def test_named_models():
    assert {"stream_petr_r50_428q", "stream_petr_v2_99_900q", "tiny"} <= set(MODEL_NAMES)
    with pytest.raises(ValueError, match="stream_petr_r50_428q"):
        detector_config("stream_petr_r18")
    parameters = sum(p.numel() for p in build_detector(detector_config("tiny")).parameters())
    assert 2e6 < parameters < 4e6
