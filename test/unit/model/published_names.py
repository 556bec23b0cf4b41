"""Gives our detectors the key names of the original project."""

from __future__ import annotations

from collections.abc import Callable

import torch

from streampetr_ros.model.checkpoints import published
from streampetr_ros.model.detector import Detector

_HEAD = {
    "position.encoder.": "position_encoder.",
    "head.class_branch.": "cls_branches.0.",
    "head.box_branch.": "reg_branches.0.",
    "head.reference_points": "reference_points.weight",
    "head.pseudo_points": "pseudo_reference_points.weight",
    "head.gate.": "featurized_pe.conv_",
    "head.motion_position.reduce.": "ego_pose_pe.reduce.0.",
    "head.motion_position.": "ego_pose_pe.",
    "head.motion_content.reduce.": "ego_pose_memory.reduce.0.",
    "head.motion_content.": "ego_pose_memory.",
    "head.spatial_alignment.reduce.": "spatial_alignment.reduce.0.",
    "head.decoder.post_norm.": "transformer.decoder.post_norm.",
    "self_attention.in_proj.": "attentions.0.attn.in_proj_",
    "self_attention.": "attentions.0.attn.",
    "cross_attention.in_proj.": "attentions.1.attn.in_proj_",
    "cross_attention.": "attentions.1.attn.",
    "ffn_in.": "ffns.0.layers.0.0.",
    "ffn_out.": "ffns.0.layers.1.",
    "head.decoder.": "transformer.decoder.",
    "head.": "",
}
_NECK = {
    "lateral16": "lateral_convs.0",
    "lateral32": "lateral_convs.1",
    "smooth": "fpn_convs.0",
}


def _vovnet_key(own: str) -> str:
    """Spell a key of our VoVNet as the published backbone has it."""
    part = own.split(".")
    if part[0] == "stem":
        return ".".join([f"stem.stem_{int(part[1]) + 1}/{part[2]}", *part[3:]])
    stage = int(part[1]) + 2
    block = f"stage{stage}.OSA{stage}_{int(part[2]) + 1}"
    unit = f"OSA{stage}_{int(part[2]) + 1}"
    if part[3] == "layers":
        return ".".join([f"{block}.layers.{part[4]}.{unit}_{part[4]}/{part[5]}", *part[6:]])
    if part[3] == "concat":
        return ".".join([f"{block}.concat.{unit}_concat/{part[4]}", *part[5:]])
    return ".".join([f"{block}.ese.fc", *part[4:]])


#: How the published trunk spells a key of ours, by backbone; most spell it alike.
_BACKBONES: dict[str, Callable[[str], str]] = {"vovnet99": _vovnet_key}


def backbone_key(backbone: str, own: str) -> str:
    """Spell a key of one of our backbones as the published trunk has it."""
    return _BACKBONES.get(backbone, str)(own)


def published_key(detector: Detector, own: str) -> str:
    """Spell a key of ours as a published checkpoint of that detector has it."""
    if own.startswith("backbone."):
        name = own.removeprefix("backbone.")
        return f"img_backbone.{backbone_key(detector.config.backbone, name)}"
    if own.startswith("neck."):
        _, part, kind = own.split(".")
        return f"img_neck.{_NECK[part]}.conv.{kind}"
    for before, after in _HEAD.items():
        own = own.replace(before, after)
    return f"pts_bbox_head.{own}"


def published_state(detector: Detector) -> dict[str, torch.Tensor]:
    """Return the state dict that a published checkpoint of a detector holds."""
    state = {key: value.clone() for key, value in published.constants(detector.config).items()}
    state |= {published_key(detector, key): v for key, v in detector.state_dict().items()}
    for key in [k for k in state if "_branches.0." in k]:
        for copy in range(1, detector.config.num_layers):
            state[key.replace("_branches.0.", f"_branches.{copy}.")] = state[key].clone()
    state["img_roi_head.cls.weight"] = torch.zeros(1)
    return state
