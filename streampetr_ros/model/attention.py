"""Post-norm transformer decoder with hybrid self-attention over queries and memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DecoderContext(NamedTuple):
    """What all decoder layers share.

    Attributes:
        query_position: (B, Q, C) position code of the queries.
        memory: (B, S, C) older memory entries, further keys and values of self-attention.
        memory_position: (B, S, C) their position code.
        token_key: (B, T, C) image tokens with position.
        token_value: (B, T, C) image tokens.
        self_allowed: bool, broadcastable to (B, heads, Q, Q + S), or None for all.
        token_allowed: bool, broadcastable to (B, heads, Q, T), or None for all.
    """

    query_position: Tensor
    memory: Tensor
    memory_position: Tensor
    token_key: Tensor
    token_value: Tensor
    self_allowed: Tensor | None = None
    token_allowed: Tensor | None = None


class MultiHeadAttention(nn.Module):
    """Attention with one packed input projection (rows: query, key, value).

    Args:
        channels: width C of queries, keys and values.
        num_heads: heads; C must be a multiple.
        weight_dropout: dropout on attention weights in training.
    """

    def __init__(self, channels: int, num_heads: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.weight_dropout = weight_dropout
        self.in_proj = nn.Linear(channels, 3 * channels)
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, Q, C).
            key: (B, S, C).
            value: (B, S, C).
            allowed: bool, broadcastable to (B, heads, Q, S), True where attention may look.

        Returns:
            (B, Q, C).
        """
        weights = self.in_proj.weight.chunk(3)
        biases = self.in_proj.bias.chunk(3)
        q, k, v = (
            self._split(F.linear(x, weight, bias))
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        dropout = self.weight_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=dropout)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Return the attention weights themselves, (B, heads, Q, S); see `forward`."""
        query_weight, key_weight, _ = self.in_proj.weight.chunk(3)
        query_bias, key_bias, _ = self.in_proj.bias.chunk(3)
        q = self._split(F.linear(query, query_weight, query_bias))
        k = self._split(F.linear(key, key_weight, key_bias))
        return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1))
        return heads.transpose(1, 2)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each followed by its norm.

    The formulas are in docs/model.md 7.3 and 7.4.
    """

    def __init__(self, channels: int, num_heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(channels, num_heads, dropout)
        # The published cross-attention drops only its output, never its weights.
        self.cross_attention = MultiHeadAttention(channels, num_heads)
        self.ffn_in = nn.Linear(channels, ffn)
        self.ffn_out = nn.Linear(ffn, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        for linear in (self.ffn_in, self.ffn_out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, context: DecoderContext) -> Tensor:
        """(B, Q, C) queries to (B, Q, C)."""
        return self.from_tokens(self.among_queries(x, context), context)

    def from_tokens(self, x: Tensor, context: DecoderContext) -> Tensor:
        """Second part: gather from the image tokens, (B, Q, C) to (B, Q, C)."""
        mixed = self.cross_attention(
            x + context.query_position,
            context.token_key,
            context.token_value,
            context.token_allowed,
        )
        x = self.norms[1](x + self.dropout(mixed))
        hidden = self.dropout(F.relu(self.ffn_in(x)))
        out: Tensor = self.norms[2](x + self.dropout(self.ffn_out(hidden)))
        return out

    def among_queries(self, x: Tensor, context: DecoderContext) -> Tensor:
        """First part: exchange among queries and with the memory, (B, Q, C) to (B, Q, C)."""
        placed = x + context.query_position
        key = torch.cat([placed, context.memory + context.memory_position], dim=1)
        value = torch.cat([x, context.memory], dim=1)
        mixed = self.self_attention(placed, key, value, context.self_allowed)
        normed: Tensor = self.norms[0](x + self.dropout(mixed))
        return normed


class Decoder(nn.Module):
    """Stack of layers with one final norm shared by every layer's output."""

    def __init__(
        self, layers: int, channels: int, num_heads: int, ffn: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(channels, num_heads, ffn, dropout) for _ in range(layers)
        )
        self.post_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, context: DecoderContext) -> list[Tensor]:
        """Return the normed output (B, Q, C) of every layer; layers hand on un-normed ones."""
        outputs = []
        for layer in self.layers:
            x = layer(x, context)
            outputs.append(self.post_norm(x))
        return outputs
