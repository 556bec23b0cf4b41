"""Names of the published checkpoints, and the constants they carry (docs/model.md 9)."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from streampetr_ros.model.backbones.base import Backbone
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.model.position import depth_bins

#: Prefix of the 2D auxiliary head, which inference does not use.
IMAGE_HEAD_PREFIX = "img_roi_head."
_HEAD = "pts_bbox_head."

_NECK = {
    "lateral_convs.0.conv": "lateral16",
    "lateral_convs.1.conv": "lateral32",
    "fpn_convs.0.conv": "smooth",
}
_QUERY_KEYS = {
    "reference_points.weight": "head.reference_points",
    "pseudo_reference_points.weight": "head.pseudo_points",
}
_HEAD_RULES = (
    (r"^position_encoder\.", "position.encoder."),
    (r"^featurized_pe\.conv_", "head.gate."),
    (r"^(spatial_alignment)\.reduce\.0\.", r"head.\1.reduce."),
    (r"^ego_pose_pe\.reduce\.0\.", "head.motion_position.reduce."),
    (r"^ego_pose_pe\.", "head.motion_position."),
    (r"^ego_pose_memory\.reduce\.0\.", "head.motion_content.reduce."),
    (r"^ego_pose_memory\.", "head.motion_content."),
    (r"^transformer\.decoder\.post_norm\.", "head.decoder.post_norm."),
    (r"^(memory_embed|query_embedding|spatial_alignment|time_embedding)\.", r"head.\1."),
)
_LAYER_PARTS = (
    ("attentions.0.attn.in_proj_", "self_attention.in_proj."),
    ("attentions.0.attn.out_proj.", "self_attention.out_proj."),
    ("attentions.1.attn.in_proj_", "cross_attention.in_proj."),
    ("attentions.1.attn.out_proj.", "cross_attention.out_proj."),
    ("ffns.0.layers.0.0.", "ffn_in."),
    ("ffns.0.layers.1.", "ffn_out."),
    ("norms.", "norms."),
)


def constants(config: DetectorConfig) -> dict[str, Tensor]:
    """Return the constants a published checkpoint of this architecture must carry, by key."""
    weights = torch.tensor([2.0, 2.0] + [1.0] * 8)
    velocity_weight = 1.0 if config.temporal else 0.2
    weights[8:] = velocity_weight
    return {
        f"{_HEAD}code_weights": weights,
        f"{_HEAD}match_costs": weights,
        f"{_HEAD}pc_range": torch.tensor(config.detection_range),
        f"{_HEAD}position_range": torch.tensor(config.position_range),
        f"{_HEAD}coords_d": depth_bins(config),
    }


def branch_copy(key: str) -> str | None:
    """Return the key of the first copy when `key` is that of a branch; all layers share them."""
    match = re.match(rf"^{re.escape(_HEAD)}(cls|reg)_branches\.(\d+)\.(.+)$", key)
    if match is None:
        return None
    return f"{_HEAD}{match[1]}_branches.0.{match[3]}"


def own_key(key: str, backbone: Backbone) -> str | None:
    """Translate a published key to this project's; None when it is not known.

    Constants, the 2D head and branch copies other than the first are not translated.

    Args:
        key: of the whole detector.
        backbone: that the detector has.
    """
    if key.startswith("img_backbone."):
        return f"backbone.{backbone.own_key(key.removeprefix('img_backbone.'))}"
    if key.startswith("img_neck."):
        rest, _, kind = key.removeprefix("img_neck.").rpartition(".")
        return f"neck.{_NECK[rest]}.{kind}" if rest in _NECK else None
    if key.startswith(_HEAD):
        return _head_key(key.removeprefix(_HEAD))
    return None


def _head_key(rest: str) -> str | None:
    if rest in _QUERY_KEYS:
        return _QUERY_KEYS[rest]
    branch = re.match(r"^(cls|reg)_branches\.0\.(.+)$", rest)
    if branch:
        return f"head.{'class' if branch[1] == 'cls' else 'box'}_branch.{branch[2]}"
    layer = re.match(r"^transformer\.decoder\.layers\.(\d+)\.(.+)$", rest)
    if layer:
        return _layer_key(layer[1], layer[2])
    for pattern, replacement in _HEAD_RULES:
        translated, count = re.subn(pattern, replacement, rest)
        if count:
            return translated
    return None


def _layer_key(number: str, rest: str) -> str | None:
    for theirs, ours in _LAYER_PARTS:
        if rest.startswith(theirs):
            return f"head.decoder.layers.{number}.{ours}{rest.removeprefix(theirs)}"
    return None
