"""Training pieces against recorded numbers; skipped without the golden folder."""

import numpy as np
import pytest
import torch
from recording import FOLDER as GOLDEN

from streampetr_ros.core.types import Boxes
from streampetr_ros.model.config import detector_config
from streampetr_ros.training.data import augment
from streampetr_ros.training.data.targets import ImageTargets, Targets, encode_boxes
from streampetr_ros.training.losses import denoise, image_head, loss, matcher

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "train_pieces.npz").exists(), reason="no train_pieces.npz"
)


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "train_pieces.npz")


def boxes_from_rows(rows, bottom=False):
    """Rows of center, length, width, height, yaw, velocity."""
    rows = np.asarray(rows, dtype=np.float64)
    centers = rows[:, :3].copy()
    if bottom:
        centers[:, 2] += rows[:, 5] / 2
    return Boxes(centers=centers, sizes=rows[:, 3:6], yaws=rows[:, 6], velocities=rows[:, 7:9])


def targets_from(rows, labels):
    codes = torch.from_numpy(encode_boxes(boxes_from_rows(rows, bottom=True)))
    return Targets(codes, torch.from_numpy(labels))


def test_box_code(golden):
    codes = encode_boxes(boxes_from_rows(golden["box.raw"]))
    np.testing.assert_allclose(codes, golden["box.normalized"], atol=1e-5)


def test_matching(golden):
    logits = torch.from_numpy(golden["match.cls"])
    codes = torch.from_numpy(golden["match.box"])
    target = targets_from(golden["match.gt_bottom"], golden["match.gt_labels"])
    weights = torch.tensor(loss.LossConfig().code_weights)
    np.testing.assert_allclose(
        matcher.focal_cost(logits, target.labels), golden["match.cls_cost"], atol=1e-5
    )
    cost = matcher.box_cost(codes, target.codes, weights)
    np.testing.assert_allclose(cost, golden["match.reg_cost"], rtol=1e-5, atol=1e-4)
    match = matcher.match_boxes(logits, codes, target, weights)
    assigned = np.zeros(len(logits), np.int64)
    assigned[match.queries] = match.objects.numpy() + 1
    np.testing.assert_array_equal(assigned, golden["match.gt_inds.velo0"])


@pytest.mark.parametrize("case", ["", "nanvelo.", "empty."])
def test_losses(golden, case):
    rows = golden["loss.gt_bottom_nan" if case == "nanvelo." else "loss.gt_bottom"]
    labels = golden["loss.gt_labels"]
    if case == "empty.":
        rows, labels = rows[:0], labels[:0]
    got = loss.detection_losses(
        torch.from_numpy(golden["loss.cls"]),
        torch.from_numpy(golden["loss.box"]),
        [targets_from(rows, labels)],
        loss.LossConfig(),
    )
    checked = 0
    for name, value in got.items():
        key = f"loss.{case}{name}"
        if key in golden:
            np.testing.assert_allclose(float(value), golden[key][0], rtol=2e-6, atol=1e-7)
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("frame", ["f0", "f1"])
def test_denoising_queries(golden, frame):
    prefix = f"train.{frame}."
    target = targets_from(golden[prefix + "gt_bottom"], golden[prefix + "gt_labels"])
    noise = torch.from_numpy(golden[prefix + "noise01"])
    config = detector_config("stream_petr_r50_428q")
    got = denoise.make_denoising([target], noise, denoise.DenoisingConfig(), config)
    np.testing.assert_allclose(got.reference_points[0], golden[prefix + "dn_reference"], atol=1e-6)
    np.testing.assert_array_equal(got.labels, golden[prefix + "dn_labels"])
    shape = golden[prefix + "attn_mask_shape"]
    bits = np.unpackbits(golden[prefix + "attn_mask_bits"], axis=-1)[:, : shape[1]].astype(bool)
    np.testing.assert_array_equal(got.blocked, bits)


@pytest.mark.parametrize("seed", range(4))
def test_grid_mask(golden, seed):
    random = np.random.RandomState(seed)
    expected = np.unpackbits(golden[f"gridmask.seed{seed}.bits"], axis=-1).astype(bool)
    if random.rand() > 0.7:
        assert expected.all()
        return
    period = random.randint(2, 256)
    offsets = (random.randint(period), random.randint(period))
    np.testing.assert_array_equal(augment.grid_mask(period, offsets, (256, 704)), expected)


def golden_image(seed, height, width):
    """The documented procedural image, (3, H, W)."""
    random = np.random.RandomState(seed)
    y, x = (np.arange(height) / height)[:, None], (np.arange(width) / width)[None, :]
    out = np.zeros((3, height, width))
    for _ in range(6):
        fx, fy = random.uniform(-6, 6, 2)
        amplitude, phase = random.uniform(0.2, 0.6, 3), random.uniform(0, 2 * np.pi, 3)
        for c in range(3):
            out[c] += amplitude[c] * np.sin(2 * np.pi * (fx * x + fy * y) + phase[c])
    for block, a in ((64, 0.5), (16, 0.4)):
        noise = a * random.standard_normal((3, -(-height // block), -(-width // block)))
        out += np.repeat(np.repeat(noise, block, 1), block, 2)[:, :height, :width]
    return out.astype(np.float32)


@pytest.fixture(scope="module")
def byte_image():
    image = golden_image(77, 900, 1600)
    return np.clip(np.round(118 + 55 * image), 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


@pytest.mark.parametrize("case", [0, 1, 2])
def test_image_augmentation(golden, byte_image, case):
    prefix = f"ida.{case}."
    resize, left, top, right, bottom, flip = golden[prefix + "args"]
    draw = augment.ImageDraw(
        resize=resize,
        crop_left=int(left),
        crop_top=int(top),
        width=int(right - left),
        height=int(bottom - top),
        flip=bool(flip),
    )
    np.testing.assert_allclose(draw.network_from_source(), golden[prefix + "mat"], rtol=1e-6)
    pixels = draw.apply(byte_image)
    np.testing.assert_array_equal(
        pixels.sum(axis=(0, 1), dtype=np.int64), golden[prefix + "img_sum"]
    )
    np.testing.assert_array_equal(pixels[::16, ::16], golden[prefix + "img_probe"])
    names = {"corners": "boxes", "centers": "centers", "depths": "depths", "labels": "labels"}
    given = {ours: golden[f"{prefix}{theirs}_in"] for ours, theirs in names.items()}
    before = augment.ImageBoxes(**given, objects=np.arange(len(given["labels"])))
    after = augment.augment_image_boxes(before, draw)
    visible = augment.drop_hidden(after, draw.width, draw.height)
    for ours, theirs in names.items():
        for got, stage in ((after, "out"), (visible, "visible")):
            expected = golden[f"{prefix}{theirs}_{stage}"]
            np.testing.assert_allclose(getattr(got, ours), expected, atol=1e-4, err_msg=theirs)


def test_scene_augmentation(golden):
    angle, scale = golden["bda.args_angle_scale"]
    draw = augment.SceneDraw(angle=angle, scale=scale)
    augmented_from_model = draw.augmented_from_model()
    back = np.linalg.inv(augmented_from_model)
    image_from_model = golden["bda.lidar2img_in"].astype(np.float64) @ back
    np.testing.assert_allclose(image_from_model, golden["bda.lidar2img_out"], rtol=1e-5, atol=1e-3)
    pose = golden["bda.ego_pose_in"].astype(np.float64) @ back
    np.testing.assert_allclose(pose, golden["bda.ego_pose_out"], rtol=1e-5, atol=1e-4)
    inverse = augmented_from_model @ golden["bda.ego_pose_inv_in"].astype(np.float64)
    np.testing.assert_allclose(inverse, golden["bda.ego_pose_inv_out"], rtol=1e-5, atol=1e-3)
    boxes = draw.apply(boxes_from_rows(golden["bda.boxes_in"]))
    expected = boxes_from_rows(golden["bda.boxes_out"])
    np.testing.assert_allclose(boxes.centers, expected.centers, atol=1e-4)
    np.testing.assert_allclose(boxes.sizes, expected.sizes, atol=1e-4)
    np.testing.assert_allclose(boxes.velocities, expected.velocities, atol=1e-4)
    np.testing.assert_allclose(np.cos(boxes.yaws - expected.yaws), 1.0, atol=1e-6)


def image_targets(golden, index):
    parts = [golden[f"roi.{name}.{index}"] for name in ("gt_bboxes", "centers2d", "depths")]
    labels = torch.from_numpy(golden[f"roi.gt_labels.{index}"])
    return ImageTargets(
        *(torch.from_numpy(part) for part in parts), labels, torch.arange(len(labels))
    )


def image_head_from_golden():
    """The head with the documented procedural weights of the first configuration."""
    from golden_weights import golden_state  # noqa: PLC0415

    head = image_head.ImageHead(256, 10)
    config = "stream_petr_r50_flash_704_bs2_seq_428q_nui_60e"
    head.load_state_dict(golden_state(GOLDEN / f"{config}.keys.json", "img_roi_head."))
    return head


def test_image_head(golden):
    features = np.random.RandomState(50).standard_normal((1, 6, 256, 16, 44)) * 0.5
    features = torch.from_numpy(features.astype(np.float32))[0].requires_grad_()
    predictions = image_head_from_golden()(features)
    targets = [image_targets(golden, index) for index in range(6)]
    sampled = {
        "enc_cls_scores": predictions.logits,
        "enc_bbox_preds": predictions.boxes,
        "pred_centers2d": predictions.centers,
        "centerness": predictions.centerness.sigmoid()[..., None],
    }
    for name, value in sampled.items():
        np.testing.assert_allclose(
            value.detach()[:, ::7], golden[f"roi.{name}"], rtol=1e-4, atol=1e-4, err_msg=name
        )
    size = torch.tensor([704.0, 256.0])
    for index, target in enumerate(targets):
        one = matcher.ImagePredictions(*(part[index].detach() for part in predictions))
        match = matcher.match_image(one, target, size)
        np.testing.assert_array_equal(match.queries, golden[f"roi.match.token.{index}"])
        np.testing.assert_array_equal(match.objects, golden[f"roi.match.gt.{index}"])
        heat = image_head.heat_map(target, 16, 44)
        np.testing.assert_allclose(heat, golden[f"roi.heatmap.{index}"], atol=1e-6)
    losses = image_head.image_losses(predictions, targets, (16, 44))
    for name, value in losses.items():
        np.testing.assert_allclose(
            float(value.detach()), golden[f"roi.loss.{name}"][0], rtol=1e-5, err_msg=name
        )
    sum(losses.values()).backward()
    norm = golden["roi.gradnorm.img_feats"][0]
    np.testing.assert_allclose(float(features.grad.norm()), norm, rtol=1e-4)


def test_head_in_training_mode(golden):
    """Losses and gradient norms of the whole head over two frames of a stream."""
    from golden_training import TrainingHead  # noqa: PLC0415

    head = TrainingHead(GOLDEN)
    memory = None
    # Frame 1 sees relative float64 poses here, global float32 poses in the recording.
    tolerances = {"f0": (5e-5, 2e-4), "f1": (5e-4, 5e-3)}
    for frame, (loss_tolerance, gradient_tolerance) in tolerances.items():
        prefix = f"train.{frame}."
        target = targets_from(golden[prefix + "gt_bottom"], golden[prefix + "gt_labels"])
        noise = torch.from_numpy(golden[prefix + "noise01"])
        result, memory = head.step(int(frame[1]), target, noise, memory)
        for name, value in result.losses.items():
            np.testing.assert_allclose(
                value, golden[f"{prefix}loss.{name}"][0], rtol=loss_tolerance, err_msg=name
            )
        assert len(result.losses) == 24
        for name, value in result.gradient_norms.items():
            expected = golden[f"{prefix}gradnorm.{name}"][0]
            np.testing.assert_allclose(value, expected, rtol=gradient_tolerance, err_msg=name)
        total = golden[prefix + "grad_total_norm_head"][0]
        np.testing.assert_allclose(result.total_norm, total, rtol=gradient_tolerance)
