"""From the frames of a clip to named losses: the module that is differentiated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from streampetr_ros.model.detector import Detector
from streampetr_ros.model.head import ExtraQueries
from streampetr_ros.model.position import TokenPosition, ray_directions
from streampetr_ros.model.state import MemoryState, ModelInputs
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.data.augment import random_grid_mask
from streampetr_ros.training.data.samples import Batch
from streampetr_ros.training.losses.denoise import (
    Denoising,
    denoising_losses,
    draw_noise,
    make_denoising,
)
from streampetr_ros.training.losses.image_head import ImageHead, image_losses
from streampetr_ros.training.losses.loss import Losses, detection_losses, memory_bonus
from streampetr_ros.training.losses.token_head import (
    SceneHead,
    TokenHead,
    scene_losses,
    scene_targets,
    seen_headings,
    token_losses,
    token_targets,
)


class ClipLosses(NamedTuple):
    """Result of a clip.

    Attributes:
        losses: scalars by name; their sum is minimised.
        memory: after the last frame, detached; None for single-frame models.
        finite: scalar bool tensor, whether all predictions are finite.
    """

    losses: Losses
    memory: MemoryState | None
    finite: Tensor


class StepRandomness(NamedTuple):
    """Seeds everything random in a step, so that step k is the same after a resume.

    Attributes:
        seed: of the run.
        step: number.
        rank: of the process.
    """

    seed: int
    step: int
    rank: int

    def seed_dropout(self) -> None:
        """Seed PyTorch's global generators, which dropout draws from."""
        torch.manual_seed((self.seed * 1_000_003 + self.step) * 4099 + self.rank)

    def generator(self, frame: int) -> np.random.Generator:
        """Return the generator of one frame of the clip."""
        return np.random.default_rng((self.seed, self.step, self.rank, frame))


class Objective(nn.Module):
    """A detector, its auxiliary heads and the losses of all.

    Args:
        detector: to be trained.
        config: of the run.
    """

    def __init__(self, detector: Detector, config: TrainConfig) -> None:
        super().__init__()
        self.detector = detector
        self._config = config
        model = detector.config
        self.image_head = (
            ImageHead(model.embed_dims, model.num_classes) if config.image_head else None
        )
        self.token_head = (
            TokenHead(model.embed_dims, model.num_classes) if config.token_head else None
        )
        self.scene_head = SceneHead(model.embed_dims) if config.token_head else None
        if config.mode == "images":
            detector.position.requires_grad_(False)
            detector.head.requires_grad_(False)
            detector.head.memory_embed.requires_grad_(True)
            detector.head.spatial_alignment.requires_grad_(True)

    def train(self, mode: bool = True) -> Objective:
        """Set the training mode; batch normalisation follows the configuration."""
        super().train(mode)
        if self._config.batch_norm in ("frozen", "eval"):
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def auxiliary_state(self) -> dict[str, Tensor]:
        """Return parameters and buffers of everything but the detector, by name."""
        state = self.state_dict()
        return {key: value for key, value in state.items() if not key.startswith("detector.")}

    def forward(
        self, batches: list[Batch], memory: MemoryState | None, randomness: StepRandomness
    ) -> ClipLosses:
        """Run a clip; only its last frames are differentiated.

        Args:
            batches: frames, oldest first.
            memory: from before the clip; never differentiated.
            randomness: of this step.
        """
        randomness.seed_dropout()
        if self._config.mode == "images":
            return self._images(batches[-1], randomness.generator(0))
        trained = 1
        if self._config.mode == "window":
            trained = min(self._config.window.gradient_frames, len(batches))
        memory = self._warm_up(batches[:-trained], memory)
        losses: Losses = {}
        finite = torch.ones((), dtype=torch.bool, device=batches[-1].inputs.images.device)
        for index, batch in enumerate(batches[-trained:]):
            result = self._frame(batch, memory, randomness.generator(index))
            memory, finite = result.memory, finite & result.finite
            prefix = f"frame_{index}_" if trained > 1 else ""
            losses |= {prefix + name: value for name, value in result.losses.items()}
        return ClipLosses(losses, memory, finite)

    @torch.no_grad()
    def _warm_up(self, batches: list[Batch], memory: MemoryState | None) -> MemoryState | None:
        """Fill the memory as at inference: no dropout, no masks, no denoising."""
        if not batches:
            return memory
        self.eval()
        for batch in batches:
            _, memory = self.detector(batch.inputs, memory)
        self.train()
        return memory

    def _images(self, batch: Batch, rng: np.random.Generator) -> ClipLosses:
        features = self._features(self._masked(batch.inputs.images, rng))
        position = self.detector.token_position(batch.inputs)
        losses = self._auxiliary_losses(features, position, batch)
        return ClipLosses(losses, None, features.isfinite().all())

    def _frame(
        self, batch: Batch, memory: MemoryState | None, rng: np.random.Generator
    ) -> ClipLosses:
        inputs = batch.inputs
        features = self._features(self._masked(inputs.images, rng))
        position = self.detector.token_position(inputs)
        config, model = self._config, self.detector.config
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = draw_noise(batch.targets, config.denoising.groups, generator)
        denoising = make_denoising(batch.targets, noise, config.denoising, model)
        logits, codes, memory = self._head(features, position, inputs, memory, denoising)
        noised_logits, own_logits = logits.split([denoising.pad, model.total_queries], dim=2)
        noised_codes, own_codes = codes.split([denoising.pad, model.total_queries], dim=2)
        propagated = model.total_queries - model.num_queries
        bonus = memory_bonus(config.loss, inputs.continues, model.num_queries, propagated)
        losses = detection_losses(own_logits, own_codes, batch.targets, config.loss, bonus)
        if config.denoising.groups:
            # Without objects as well: the processes of a run average their numbers.
            losses |= denoising_losses(
                noised_logits, noised_codes, denoising, config.loss, config.denoising
            )
        losses |= self._auxiliary_losses(features, position, batch)
        finite = logits.isfinite().all() & codes.isfinite().all()
        return ClipLosses(losses, memory, finite)

    def _auxiliary_losses(self, features: Tensor, position: TokenPosition, batch: Batch) -> Losses:
        losses: Losses = {}
        maps = features.flatten(0, 1)
        map_size = (features.shape[-2], features.shape[-1])
        if self.image_head is not None:
            losses |= image_losses(self.image_head(maps), batch.image_targets, map_size)
        if self.token_head is not None and self.scene_head is not None:
            focal_lengths = batch.inputs.focal_lengths.mean(dim=-1).flatten()
            classes = self.detector.config.num_classes
            wanted = token_targets(batch.image_targets, focal_lengths, map_size, classes)
            codes = scene_targets(wanted.objects, batch.targets)
            headings = seen_headings(codes, ray_directions(position.cone))
            headings = headings.view(*wanted.weights.shape, -1)
            losses |= token_losses(self.token_head(maps), wanted, headings)
            tokens = self.detector.head.aligned_tokens(features, position.cone)
            weights = wanted.weights.view_as(codes[..., 0])
            losses |= scene_losses(self.scene_head(tokens), codes, weights)
        return losses

    def _features(self, images: Tensor) -> Tensor:
        """Run backbone and neck, on a GPU in the configured precision; the rest stays float32."""
        kind = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self._config.precision)
        enabled = kind is not None and images.device.type == "cuda"
        with torch.autocast(images.device.type, dtype=kind or torch.bfloat16, enabled=enabled):
            features: Tensor = self.detector.encode_images(images)
        return features.float()

    def _masked(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Set a grid of squares to the mean color, with the configured probability."""
        if rng.random() >= self._config.augmentation.grid_mask:
            return images
        return images * torch.from_numpy(random_grid_mask(rng, *images.shape[-2:])).to(images)

    def _head(
        self,
        features: Tensor,
        position: TokenPosition,
        inputs: ModelInputs,
        memory: MemoryState | None,
        denoising: Denoising,
    ) -> tuple[Tensor, Tensor, MemoryState | None]:
        """Return logits (L, B, pad + Q + P, G), codes and the new memory."""
        extra = None
        if denoising.pad:
            extra = ExtraQueries(denoising.reference_points, denoising.blocked)
        outputs, memory = self.detector.predict(features, position, inputs, memory, extra)
        logits = torch.stack([layer.logits for layer in outputs])
        codes = torch.stack([layer.codes for layer in outputs])
        return logits, codes, memory
