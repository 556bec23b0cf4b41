"""Where image tokens look: camera rays as 3D position codes (docs/model.md 4.1 to 4.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.encoding import inverse_sigmoid, two_layer

STRIDE = 16
#: Focal lengths enter the cone in units of 1000 pixels.
_FOCAL_SCALE = 1e-3
#: Besides the farthest bin the cone holds the one at this share of all bins: 34 of 64 as published.
_CONE_SHARE = 34 / 64


class TokenPosition(NamedTuple):
    """Geometry of image tokens.

    Attributes:
        code: (B, T, C) position code before it is gated by the features.
        cone: (B, T, 8) focal lengths and two points of the token's ray, for spatial alignment.
    """

    code: Tensor
    cone: Tensor


def depth_bins(config: DetectorConfig) -> Tensor:
    """Return the (D,) bin depths in metres: spacing grows linearly from the first bin."""
    index = torch.arange(config.depth_bins, dtype=torch.float64)
    span = config.position_range[3] - config.depth_start
    size = span / (config.depth_bins * (config.depth_bins + 1))
    return (config.depth_start + size * index * (index + 1)).float()


class RayPosition(nn.Module):
    """Encodes the points along every token's ray."""

    range_low: Tensor
    range_size: Tensor
    rays: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.tiled_focal_lengths = config.tiled_focal_lengths
        self.cone_bins = (config.depth_bins - 1, int(config.depth_bins * _CONE_SHARE))
        self.encoder = two_layer(3 * config.depth_bins, 4 * config.embed_dims, config.embed_dims)
        height, width = config.image.height // STRIDE, config.image.width // STRIDE
        low, high = torch.tensor(config.position_range).chunk(2)
        self.register_buffer("range_low", low, persistent=False)
        self.register_buffer("range_size", high - low, persistent=False)
        self.register_buffer(
            "rays", _pixel_rays(height, width, depth_bins(config)), persistent=False
        )

    def forward(self, model_from_image: Tensor, focal_lengths: Tensor) -> TokenPosition:
        """Encode the rays of every token.

        Args:
            model_from_image: (B, N, 4, 4), see ModelInputs.
            focal_lengths: (B, N, 2) pixels.
        """
        rotation = model_from_image[:, :, None, None, :3, :3]
        translation = model_from_image[:, :, None, None, :3, 3]
        points = (rotation @ self.rays[..., None]).squeeze(-1) + translation
        points = ((points - self.range_low) / self.range_size).flatten(1, 2)
        code = self.encoder(inverse_sigmoid(points).flatten(2))
        cone_points = [points[:, :, index] for index in self.cone_bins]
        focal = self._token_focal_lengths(focal_lengths * _FOCAL_SCALE, points.shape[1])
        return TokenPosition(code, torch.cat([focal, *cone_points], dim=-1))

    def _token_focal_lengths(self, focal_lengths: Tensor, tokens: int) -> Tensor:
        """Pair tokens with focal lengths; the published weights saw camera t mod N at token t."""
        cameras = focal_lengths.shape[1]
        if self.tiled_focal_lengths:
            return focal_lengths.repeat(1, tokens // cameras, 1)
        return focal_lengths.repeat_interleave(tokens // cameras, dim=1)


def ray_directions(cone: Tensor) -> Tensor:
    """Return the (..., 2) directions of tokens' rays along the ground, of no particular length.

    Args:
        cone: (..., 8), see `TokenPosition`; ranges in x and y are taken to be equally wide.
    """
    return cone[..., 2:4] - cone[..., 5:7]


def token_centers(height: int, width: int) -> Tensor:
    """Return the (h * w, 2) pixels (u, v) of token centers, row by row.

    Args:
        height: tokens h in a column.
        width: tokens w in a row.
    """
    v = torch.arange(height) * float(STRIDE) + STRIDE / 2
    u = torch.arange(width) * float(STRIDE) + STRIDE / 2
    v, u = torch.meshgrid(v, u, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(-1, 2)


def _pixel_rays(height: int, width: int, depths: Tensor) -> Tensor:
    """Return (h * w, D, 3) points (u * d, v * d, d) of token centers at every depth."""
    centers = token_centers(height, width)
    pixels = torch.cat([centers, torch.ones(len(centers), 1)], dim=-1)
    return pixels[:, None] * depths[:, None]
