"""Published checkpoints, read strictly by the name of every key (docs/model.md 9).

They are opened with ``weights_only=True``: nothing in them is executed.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.backbones.base import Backbone
from streampetr_ros.model.checkpoints.weights import fill_detector
from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.model.position import depth_bins

#: Tolerance when stored constants are compared with the configuration.
_CONSTANT_TOLERANCE = 1e-5
#: Beginning of keys of the 2D auxiliary head, which inference does not use.
_IMAGE_HEAD = "img_roi_head."
_BACKBONE, _HEAD = "img_backbone.", "pts_bbox_head."
#: Beginnings of keys there, and here.
_PLACES = {
    "img_neck.lateral_convs.0.conv.": "neck.lateral16.",
    "img_neck.lateral_convs.1.conv.": "neck.lateral32.",
    "img_neck.fpn_convs.0.conv.": "neck.smooth.",
    f"{_HEAD}position_encoder.": "position.encoder.",
    f"{_HEAD}memory_embed.": "head.memory_embed.",
    f"{_HEAD}featurized_pe.conv_": "head.gate.",
    f"{_HEAD}spatial_alignment.": "head.spatial_alignment.",
    f"{_HEAD}reference_points.weight": "head.reference_points",
    f"{_HEAD}pseudo_reference_points.weight": "head.pseudo_points",
    f"{_HEAD}query_embedding.": "head.query_embedding.",
    f"{_HEAD}time_embedding.": "head.time_embedding.",
    f"{_HEAD}ego_pose_memory.": "head.motion_content.",
    f"{_HEAD}ego_pose_pe.": "head.motion_position.",
    f"{_HEAD}transformer.decoder.": "head.decoder.",
    f"{_HEAD}cls_branches.0.": "head.class_branch.",
    f"{_HEAD}reg_branches.0.": "head.box_branch.",
}
#: Further parts of keys there, and here.
_PARTS = {
    ".reduce.0.": ".reduce.",
    ".attentions.0.attn.in_proj_": ".self_attention.in_proj.",
    ".attentions.0.attn.": ".self_attention.",
    ".attentions.1.attn.in_proj_": ".cross_attention.in_proj.",
    ".attentions.1.attn.": ".cross_attention.",
    ".ffns.0.layers.0.0.": ".ffn_in.",
    ".ffns.0.layers.1.": ".ffn_out.",
}


def convert(path: Path, model: str) -> Detector:
    """Read a published ``.pth`` checkpoint strictly.

    Args:
        path: checkpoint of the original framework.
        model: that it belongs to, see `detector_config`.

    Returns:
        The detector, in evaluation mode.

    Raises:
        UserError: if anything about the file does not fit exactly.
        ConfigError: if there is no such model.
    """
    return load_published(read_published(path), detector_config(model), path)


def read_published(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a published checkpoint without executing anything in it.

    Raises:
        UserError: if the file is missing, truncated, not a checkpoint or contains code.
    """
    if not path.is_file():
        raise UserError(f"checkpoint '{path}' does not exist; check the path")
    try:
        with torch.serialization.safe_globals(_plain_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint '{path}' is damaged or contains more than weights and was not executed; "
            "download it again from its source"
        ) from error
    except Exception as error:  # damaged files bring about errors of any kind
        raise UserError(
            f"checkpoint '{path}' is truncated or not a PyTorch file; download it again"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(map(_is_weight, state.items())):
        raise UserError(
            f"checkpoint '{path}' holds no state dict of tensors; choose a file of trained weights"
        )
    wrapper = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(wrapper): value for key, value in state.items()}


def _plain_numbers() -> list[Any]:
    """Name NumPy's scalars as harmless: logs that training frameworks store may contain some."""
    rebuild = np.float64(0.0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")]
    return [np.dtype, *kinds, *((rebuild, name) for name in names)]


def _is_weight(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def load_published(state: Mapping[str, Tensor], config: DetectorConfig, path: Path) -> Detector:
    """Build a detector from a published state dict; every key must be consumed exactly once.

    Constants are compared with the configuration, the copies of the shared branches with each
    other, and the 2D auxiliary head is set aside.

    Raises:
        UserError: naming the first key that does not fit.
    """
    _check_constants(state, config, path)
    _check_branches(state, config.num_layers, path)
    known_constants = constants(config)
    detector = build_detector(config)
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in known_constants or key.startswith(_IMAGE_HEAD):
            continue
        if _first_copy(key) not in (None, key):
            continue
        translated = own_key(key, detector.backbone)
        if translated is None or translated in tensors:
            raise UserError(
                f"checkpoint '{path}' has the key '{key}', which model '{config.name}' does not "
                "know or already has; choose the model it was trained as"
            )
        tensors[translated] = value
    own = detector.state_dict()
    for key in own:
        # Older files do not count batches; evaluation never reads the counter.
        if key.endswith("num_batches_tracked"):
            tensors.setdefault(key, own[key])
    fill_detector(detector, tensors, path)
    return detector.eval()


def own_key(key: str, backbone: Backbone) -> str | None:
    """Translate a published key to this project's; None when it is not known.

    Constants, the 2D head and branch copies other than the first are not translated.

    Args:
        key: of the whole detector.
        backbone: that the detector has.
    """
    if key.startswith(_BACKBONE):
        return f"backbone.{backbone.own_key(key.removeprefix(_BACKBONE))}"
    for there, here in _PARTS.items():
        key = key.replace(there, here)
    places = ((there, here) for there, here in _PLACES.items() if key.startswith(there))
    return next((here + key.removeprefix(there) for there, here in places), None)


def constants(config: DetectorConfig) -> dict[str, Tensor]:
    """Return the constants a published checkpoint of this architecture must carry, by key."""
    velocity = 1.0 if config.temporal else 0.2
    weights = torch.tensor([2.0] * 2 + [1.0] * 6 + [velocity] * 2)
    return {
        f"{_HEAD}code_weights": weights,
        f"{_HEAD}match_costs": weights,
        f"{_HEAD}pc_range": torch.tensor(config.detection_range),
        f"{_HEAD}position_range": torch.tensor(config.position_range),
        f"{_HEAD}coords_d": depth_bins(config),
    }


def _check_constants(state: Mapping[str, Tensor], config: DetectorConfig, path: Path) -> None:
    for key, expected in constants(config).items():
        if key not in state:
            raise UserError(
                f"checkpoint '{path}' lacks '{key}'; it is not a checkpoint of this model family"
            )
        stored = state[key].float()
        same = stored.shape == expected.shape and bool(
            torch.allclose(stored, expected, rtol=0.0, atol=_CONSTANT_TOLERANCE)
        )
        if not same:
            raise UserError(
                f"checkpoint '{path}': '{key}' is {stored.flatten().tolist()[:6]}, but model "
                f"'{config.name}' expects {expected.tolist()[:6]}; choose the model it was "
                "trained as"
            )


def _check_branches(state: Mapping[str, Tensor], layers: int, path: Path) -> None:
    copies: dict[str, int] = {}
    for key, value in state.items():
        first = _first_copy(key)
        if first is None:
            continue
        if first not in state or not torch.equal(value, state[first]):
            raise UserError(
                f"checkpoint '{path}': '{key}' differs from '{first}', but the prediction "
                "branches of this model are shared by all layers"
            )
        copies[first] = copies.get(first, 0) + 1
    for first, count in copies.items():
        if count != layers:
            raise UserError(
                f"checkpoint '{path}' has {count} copies of '{first}' instead of {layers}; it is "
                "damaged or of another model"
            )


def _first_copy(key: str) -> str | None:
    """Return the key of the first copy when `key` is that of a branch; all layers share them."""
    match = re.match(rf"^{re.escape(_HEAD)}(cls|reg)_branches\.(\d+)\.(.+)$", key)
    return match and f"{_HEAD}{match[1]}_branches.0.{match[3]}"
