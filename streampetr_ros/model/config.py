"""Typed configuration of the detector: of a shipped model by its name, of another by its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streampetr_ros.core.config import ConfigError, from_mapping
from streampetr_ros.core.reading import read_yaml
from streampetr_ros.model.backbones import BACKBONES

#: nuScenes detection classes in the order of the published 3D logits (docs/model.md 1.3).
NUSCENES_CLASSES: tuple[str, ...] = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)

#: Least and then largest x, y and z, metres.
Range = tuple[float, float, float, float, float, float]

_FOLDER = Path(__file__).parent / "configs"
#: Shipped models, accepted by `detector_config`.
MODEL_NAMES: tuple[str, ...] = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))

#: Of images: both backbone maps have whole sizes.
_MULTIPLE = 32
_COUNTS = (
    *("embed_dims", "num_heads", "num_layers", "ffn_dims"),
    *("num_queries", "depth_bins", "max_detections"),
)
_MEMORY_COUNTS = ("num_propagated", "num_proposals", "memory_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What the network expects of one image.

    Attributes:
        height: network input height, pixels; a multiple of 32.
        width: network input width, pixels; a multiple of 32.
        channel_order: "rgb" or "bgr", the order in which planes are fed.
        mean: per plane, in the order fed.
        std: per plane, in the order fed.
    """

    height: int
    width: int
    channel_order: str = "rgb"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    def __post_init__(self) -> None:
        if any(side < 1 or side % _MULTIPLE for side in (self.width, self.height)):
            raise ValueError(
                f"image size {self.width}x{self.height} must be a multiple of {_MULTIPLE}"
            )
        if self.channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel order '{self.channel_order}' is neither 'rgb' nor 'bgr'")
        if not all(0 < each < math.inf for each in self.std):
            raise ValueError(f"std {list(self.std)} divides pixels, so it must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Architecture and ranges of one detector.

    Attributes:
        name: configuration name.
        image: network input.
        backbone: key of `BACKBONES`.
        embed_dims: channels C of tokens and queries.
        num_heads: attention heads.
        num_layers: decoder layers.
        ffn_dims: hidden width of the feed-forward blocks.
        num_queries: learned queries Q.
        num_propagated: memory entries P that join the queries of the next frame.
        num_proposals: entries K stored per frame.
        memory_length: entries M kept between frames.
        depth_bins: frustum depth bins D per token.
        depth_start: depth of the first bin, metres.
        detection_range: x, y, z minimum then maximum that normalise box centers, metres,
            model frame.
        position_range: likewise for the camera frustum.
        center_range: boxes whose center lies outside are dropped on decoding.
        max_detections: (query, class) pairs kept on decoding.
        nms_radius: a box is dropped on decoding when its center is nearer to a better one of its
            class than this many widths of that one, seen from above; 0 drops none, as published.
        class_names: order of the logits.
        temporal: False for the single-frame relatives (PETR, Focal-PETR).
        tiled_focal_lengths: True replicates the published pairing of token t with the focal length
            of camera t mod N (docs/model.md 4.3); False pairs each token with its own camera.
        training_interval: seconds between frames the weights were trained at.
        dropout: training-time dropout of the decoder.
    """

    name: str
    image: ImageConfig
    backbone: str
    embed_dims: int = 256
    num_heads: int = 8
    num_layers: int = 6
    ffn_dims: int = 2048
    num_queries: int = 644
    num_propagated: int = 256
    num_proposals: int = 256
    memory_length: int = 1024
    depth_bins: int = 64
    depth_start: float = 1.0
    detection_range: Range = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
    position_range: Range = (-61.2, -61.2, -10.0, 61.2, 61.2, 10.0)
    center_range: Range = (-61.2, -61.2, -10.0, 61.2, 61.2, 10.0)
    max_detections: int = 300
    nms_radius: float = 0.0
    class_names: tuple[str, ...] = NUSCENES_CLASSES
    temporal: bool = True
    tiled_focal_lengths: bool = True
    training_interval: float = 0.5
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"no backbone named '{self.backbone}'; known: {', '.join(BACKBONES)}")
        self._check_sizes()
        for name in ("detection_range", "position_range", "center_range"):
            _check_range(name, getattr(self, name))
        if not 0 < self.depth_start < self.position_range[3]:
            raise ValueError(
                f"depth_start {self.depth_start:g} must be between 0 and the largest x of "
                f"position_range, {self.position_range[3]:g}"
            )
        _check_classes(self.class_names)
        if not 0 <= self.nms_radius < math.inf:
            raise ValueError(f"nms_radius must be finite and not negative, got {self.nms_radius}")
        if not 0 < self.training_interval < math.inf:
            raise ValueError(f"training_interval must be positive, got {self.training_interval}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def _check_sizes(self) -> None:
        for name in (*_COUNTS, *(_MEMORY_COUNTS if self.temporal else ())):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.embed_dims % (4 * self.num_heads):
            raise ValueError("embed_dims must be a multiple of 4 * num_heads")
        if not self.temporal:
            return
        for name in ("num_propagated", "num_proposals"):
            if getattr(self, name) > self.memory_length:
                raise ValueError(f"{name} exceeds memory_length")
        if self.num_proposals > self.total_queries:
            raise ValueError("num_proposals exceeds num_queries + num_propagated")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def own_classes(self) -> tuple[str, ...]:
        """Classes that neither the training frames here nor the metrics of nuScenes have."""
        return tuple(name for name in self.class_names if name not in NUSCENES_CLASSES)

    @property
    def total_queries(self) -> int:
        """Decoder queries at inference: learned plus propagated."""
        return self.num_queries + (self.num_propagated if self.temporal else 0)


def _check_range(name: str, values: Range) -> None:
    for axis, low, high in zip("xyz", values[:3], values[3:], strict=True):
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                f"{name} goes from {low:g} to {high:g} in {axis}; give the least x, y, z and then "
                "the largest"
            )


def _check_classes(names: Sequence[str]) -> None:
    if not names or not all(name.strip() for name in names):
        raise ValueError("class_names must name at least one class, and none may be empty")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"class_names has '{twice[0]}' twice; name each class once")


def detector_config(model: str) -> DetectorConfig:
    """Return the configuration of a model.

    Args:
        model: name of a shipped one, or path of a YAML file that gives fields of `DetectorConfig`;
            the model is called like the file.

    Raises:
        ConfigError: if there is no such model, or its file has unknown keys, wrong types or values
            that cannot be.
        FileError: if the file is missing or is no plain YAML.
    """
    path = Path(model)
    if not is_model_file(model):
        if model not in MODEL_NAMES:
            raise ConfigError(
                f"model '{model}' is not one of {', '.join(MODEL_NAMES)}; choose one, or give the "
                "path of a YAML file that describes yours"
            )
        path = _FOLDER / f"{model}.yaml"
    elif path.stem in MODEL_NAMES and path.resolve().parent != _FOLDER.resolve():
        raise ConfigError(
            f"'{model}' is called like a model that comes with the package; rename the file"
        )
    content = read_yaml(path, "model file")
    if isinstance(content, dict) and "name" in content:
        raise ConfigError(f"{path}: the model is called like its file; remove the key 'name'")
    if isinstance(content, dict):
        content["name"] = path.stem
    return from_mapping(DetectorConfig, content, str(path))


def model_name(model: str) -> str:
    """Return the name of a model that is given by its name or its file."""
    return Path(model).stem if is_model_file(model) else model


def is_model_file(model: str) -> bool:
    """Tell whether a model is given by its file."""
    return model.endswith((".yaml", ".yml"))
