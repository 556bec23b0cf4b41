"""From image tokens and memory to class scores and boxes (docs/model.md 4.5 and 7)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from streampetr_ros.model.attention import Decoder, DecoderContext
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.encoding import (
    ConditionalLayerNorm,
    FeatureGate,
    inverse_sigmoid,
    motion_code,
    position_code,
    sine_code,
    two_layer,
)
from streampetr_ros.model.memory import align, push
from streampetr_ros.model.position import TokenPosition
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

CODE_SIZE = 10
_MOTION_CODE = 180
_CONE_SIZE = 8
_PRIOR_PROBABILITY = 0.01


class ExtraQueries(NamedTuple):
    """Queries put before the learned ones in training.

    Attributes:
        reference_points: (B, E, 3) normalised to [0, 1] of the detection range.
        blocked: (E + Q + P, E + Q + M) bool, True where self-attention may not look; None where it
            may look everywhere.
    """

    reference_points: Tensor
    blocked: Tensor | None = None


class _Queries(NamedTuple):
    """Decoder queries with what accompanies them, each (B, ., C) but the (B, ., 3) references."""

    content: Tensor
    position: Tensor
    references: Tensor
    memory: Tensor
    memory_position: Tensor


class StreamHead(nn.Module):
    """Queries with memory, decoder and prediction branches.

    Args:
        config: of the detector; `temporal=False` leaves out everything about memory.
    """

    pseudo_points: Tensor
    range_low: Tensor
    range_size: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.embed_dims
        self.memory_embed = two_layer(channels, channels, channels)
        self.spatial_alignment = ConditionalLayerNorm(_CONE_SIZE, channels)
        self.gate = FeatureGate(channels)
        self.reference_points = nn.Parameter(torch.rand(config.num_queries, 3))
        self.query_embedding = two_layer(3 * channels // 2, channels, channels)
        if config.temporal:
            self.register_buffer("pseudo_points", torch.rand(config.num_propagated, 3))
            self.time_embedding = nn.Sequential(
                nn.Linear(channels, channels), nn.LayerNorm(channels)
            )
            self.motion_content = ConditionalLayerNorm(_MOTION_CODE, channels)
            self.motion_position = ConditionalLayerNorm(_MOTION_CODE, channels)
        self.decoder = Decoder(
            config.num_layers, channels, config.num_heads, config.ffn_dims, config.dropout
        )
        self.class_branch = _class_branch(channels, config.num_classes)
        self.box_branch = _box_branch(channels)
        low, high = torch.tensor(config.detection_range).chunk(2)
        self.register_buffer("range_low", low, persistent=False)
        self.register_buffer("range_size", high - low, persistent=False)

    def forward(
        self,
        features: Tensor,
        position: TokenPosition,
        inputs: ModelInputs,
        memory: MemoryState | None,
        extra: ExtraQueries | None = None,
    ) -> tuple[list[DetectorOutputs], MemoryState | None]:
        """Detect objects in one frame.

        Args:
            features: (B, N, C, h, w) image features.
            position: of the tokens.
            inputs: of the frame; images are not looked at.
            memory: after the previous frame; None only for models without memory.
            extra: denoising queries.

        Returns:
            Predictions of the last layer (of all layers while training), last one last, and the
            memory after this frame. With extra queries theirs come first in every prediction.
        """
        aligned = None if memory is None else align(memory, inputs, self._start_centers())
        extra_points = None if extra is None else extra.reference_points
        queries = self._queries(features.shape[0], aligned, extra_points)
        context = self._context(features, position, queries, inputs.camera_present)
        if extra is not None and extra.blocked is not None:
            context = context._replace(self_allowed=~extra.blocked)
        decoded = self.decoder(queries.content, context)
        wanted = decoded if self.training else decoded[-1:]
        outputs = [self._predict(layer, queries.references) for layer in wanted]
        if aligned is None:
            return outputs, None
        skipped = 0 if extra is None else extra.reference_points.shape[1]
        last = DetectorOutputs(*(values[:, skipped:].detach() for values in outputs[-1]))
        embedding = decoded[-1][:, skipped:].detach()
        return outputs, push(aligned, embedding, last, self.config.num_proposals)

    def _start_centers(self) -> Tensor:
        return self.pseudo_points * self.range_size + self.range_low

    def _queries(
        self, batch: int, memory: MemoryState | None, extra_points: Tensor | None
    ) -> _Queries:
        references = self.reference_points.expand(batch, -1, -1)
        if extra_points is not None:
            references = torch.cat([extra_points, references], dim=1)
        position = self._embed_points(references)
        content = torch.zeros_like(position)
        if memory is None:
            none = content[:, :0]
            return _Queries(content, position, references, none, none)
        return self._with_memory(_Queries(content, position, references, content, position), memory)

    def _with_memory(self, new: _Queries, memory: MemoryState) -> _Queries:
        """Condition new queries and memory on motion and age; propagate the newest entries."""
        still = self._motion(new.references[:1, :1])
        age_zero = self._embed_age(new.references.new_zeros(1, 1))
        content = self.motion_content(new.content, still)
        position = self.motion_position(new.position, still) + age_zero
        points = (memory.center - self.range_low) / self.range_size
        poses = memory.last_from_own[..., :3, :].flatten(2)
        motion = motion_code(torch.cat([memory.velocity, memory.age, poses], dim=-1))
        old_content = self.motion_content(memory.embedding, motion)
        old_position = self.motion_position(self._embed_points(points), motion)
        old_position = old_position + self._embed_age(memory.age[..., 0])
        count = self.config.num_propagated
        return _Queries(
            content=torch.cat([content, old_content[:, :count]], dim=1),
            position=torch.cat([position, old_position[:, :count]], dim=1),
            references=torch.cat([new.references, points[:, :count]], dim=1),
            memory=old_content[:, count:],
            memory_position=old_position[:, count:],
        )

    def _motion(self, like: Tensor) -> Tensor:
        """Return the (1, 1, 180) code of standing still now: identity pose, no age, no speed."""
        identity = torch.eye(4, dtype=like.dtype, device=like.device)[:3].flatten()
        return motion_code(torch.cat([like.new_zeros(3), identity]))[None, None]

    def _embed_points(self, points: Tensor) -> Tensor:
        code: Tensor = self.query_embedding(position_code(points, self.config.embed_dims // 2))
        return code

    def _embed_age(self, age: Tensor) -> Tensor:
        code: Tensor = self.time_embedding(sine_code(age, self.config.embed_dims))
        return code

    def aligned_tokens(self, features: Tensor, cone: Tensor) -> Tensor:
        """Turn what images show into tokens that know their ray (docs/model.md 4.5).

        Args:
            features: (B, N, C, h, w).
            cone: (B, T, 8), T = N * h * w, see `TokenPosition`.

        Returns:
            (B, T, C).
        """
        tokens = features.flatten(3).transpose(2, 3).flatten(1, 2)
        aligned: Tensor = self.spatial_alignment(self.memory_embed(tokens), cone)
        return aligned

    def _context(
        self,
        features: Tensor,
        position: TokenPosition,
        queries: _Queries,
        camera_present: Tensor | None,
    ) -> DecoderContext:
        tokens = self.aligned_tokens(features, position.cone)
        allowed = None
        if camera_present is not None:
            per_camera = tokens.shape[1] // camera_present.shape[1]
            allowed = camera_present.repeat_interleave(per_camera, dim=1)[:, None, None]
        return DecoderContext(
            query_position=queries.position,
            memory=queries.memory,
            memory_position=queries.memory_position,
            token_key=tokens + self.gate(position.code, tokens),
            token_value=tokens,
            token_allowed=allowed,
        )

    def _predict(self, decoded: Tensor, references: Tensor) -> DetectorOutputs:
        """Branches and references are shared by all layers: no refinement (docs/model.md 7.5)."""
        raw = self.box_branch(decoded)
        center = torch.sigmoid(raw[..., :3] + inverse_sigmoid(references))
        center = center * self.range_size + self.range_low
        return DetectorOutputs(
            logits=self.class_branch(decoded), codes=torch.cat([center, raw[..., 3:]], dim=-1)
        )


def _class_branch(channels: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU()]
    last = nn.Linear(channels, classes)
    nn.init.constant_(last.bias, -math.log((1 - _PRIOR_PROBABILITY) / _PRIOR_PROBABILITY))
    return nn.Sequential(*layers, last)


def _box_branch(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Linear(channels, channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(channels, CODE_SIZE))
