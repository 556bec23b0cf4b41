"""The head of the first golden configuration in training mode, fed with recorded geometry."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from golden_weights import golden_state

from streampetr_ros.model.checkpoints.published import load_published, own_key
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.state import ModelInputs
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.losses.denoise import (
    DenoisingConfig,
    denoising_losses,
    make_denoising,
)
from streampetr_ros.training.losses.loss import detection_losses
from streampetr_ros.training.losses.objective import Objective

_CONFIG = "stream_petr_r50_flash_704_bs2_seq_428q_nui_60e"
_GRADIENTS = (
    "reference_points.weight",
    "cls_branches.0.6.weight",
    "reg_branches.0.4.weight",
    "memory_embed.0.weight",
    "spatial_alignment.gamma.weight",
    "position_encoder.0.weight",
    "query_embedding.0.weight",
    "time_embedding.0.weight",
    "ego_pose_pe.reduce.0.weight",
    "ego_pose_memory.beta.weight",
    "transformer.decoder.layers.0.attentions.0.attn.in_proj_weight",
    "transformer.decoder.layers.5.attentions.1.attn.in_proj_weight",
    "transformer.decoder.layers.3.ffns.0.layers.0.0.weight",
)


@dataclass(frozen=True)
class Result:
    """Numbers of one frame."""

    losses: dict
    gradient_norms: dict
    total_norm: float


class TrainingHead:
    """Golden weights, no dropout, denoising with given noise."""

    def __init__(self, folder):
        config = replace(detector_config("stream_petr_r50_428q"), dropout=0.0)
        keys = folder / f"{_CONFIG}.keys.json"
        self._arrays = np.load(folder / f"{_CONFIG}.npz")
        detector = load_published(golden_state(keys), config, keys)
        run = TrainConfig(name="golden", model=config.name, image_head=False)
        self._objective = Objective(detector, run).train()

    def step(self, frame, target, noise, memory):
        detector = self._objective.detector
        features = np.random.RandomState(40 + frame).standard_normal((1, 6, 256, 16, 44)) * 0.5
        features = torch.from_numpy(features.astype(np.float32)).requires_grad_()
        denoising = DenoisingConfig()
        made = make_denoising([target], noise, denoising, detector.config)
        inputs = self._inputs(frame)
        position = detector.token_position(inputs)
        logits, codes, memory = self._objective._head(features, position, inputs, memory, made)
        pad = made.pad
        weights = self._objective._config.loss
        losses = detection_losses(logits[:, :, pad:], codes[:, :, pad:], [target], weights)
        losses |= denoising_losses(logits[:, :, :pad], codes[:, :, :pad], made, weights, denoising)
        detector.zero_grad()
        sum(losses.values()).backward()
        return self._result(losses, features), memory

    def _result(self, losses, features):
        detector = self._objective.detector
        parameters = dict(detector.named_parameters())
        own = {name: own_key(f"pts_bbox_head.{name}", detector.backbone) for name in _GRADIENTS}
        norms = {name: float(parameters[own[name]].grad.norm()) for name in _GRADIENTS}
        head = [p.grad.norm() for p in parameters.values() if p.grad is not None]
        return Result(
            losses={name: float(value.detach()) for name, value in losses.items()},
            gradient_norms=norms | {"img_feats": float(features.grad.norm())},
            total_norm=float(torch.stack(head).norm()),
        )

    def _inputs(self, frame):
        arrays = {
            name: self._arrays[f"f{frame}.{name}"].astype(np.float64)
            for name in ("lidar2img", "intrinsics", "ego_pose", "timestamp")
        }
        before = max(frame - 1, 0)
        pose_before = self._arrays[f"f{before}.ego_pose"].astype(np.float64)
        relative = np.linalg.inv(arrays["ego_pose"]) @ pose_before
        elapsed = float(arrays["timestamp"].item() - self._arrays[f"f{before}.timestamp"].item())
        focal = np.abs(arrays["intrinsics"][:, [0, 1], [0, 1]])

        def batch(value):
            return torch.from_numpy(np.asarray(value, dtype=np.float32))[None]

        return ModelInputs(
            images=torch.zeros(1, 6, 3, 256, 704),
            model_from_image=batch(np.linalg.inv(arrays["lidar2img"])),
            focal_lengths=batch(focal),
            now_from_previous=batch(relative),
            elapsed=torch.tensor([elapsed]),
            continues=torch.tensor([float(frame > 0)]),
        )
