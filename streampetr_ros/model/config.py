"""Typed configuration of the detector; the named models are the functions at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace

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

_IMAGENET_MEAN_RGB = (123.675, 116.28, 103.53)
_IMAGENET_STD_RGB = (58.395, 57.12, 57.375)


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
    mean: tuple[float, float, float] = _IMAGENET_MEAN_RGB
    std: tuple[float, float, float] = _IMAGENET_STD_RGB

    def __post_init__(self) -> None:
        if self.height % 32 or self.width % 32:
            raise ValueError(f"image size {self.width}x{self.height} must be a multiple of 32")
        if self.channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel order '{self.channel_order}' is neither 'rgb' nor 'bgr'")


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
        detection_range: x, y, z minimum then maximum that normalise box centres, metres,
            model frame.
        position_range: likewise for the camera frustum.
        center_range: boxes whose centre lies outside are dropped on decoding.
        max_detections: (query, class) pairs kept on decoding.
        nms_radius: a box is dropped on decoding when its centre is nearer to a better one of its
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
    detection_range: tuple[float, ...] = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
    position_range: tuple[float, ...] = (-61.2, -61.2, -10.0, 61.2, 61.2, 10.0)
    center_range: tuple[float, ...] = (-61.2, -61.2, -10.0, 61.2, 61.2, 10.0)
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
        if self.temporal and self.num_propagated > self.memory_length:
            raise ValueError("num_propagated exceeds memory_length")
        if self.temporal and self.num_proposals > self.memory_length:
            raise ValueError("num_proposals exceeds memory_length")
        if not 0 <= self.nms_radius < float("inf"):
            raise ValueError(f"nms_radius must be finite and not negative, got {self.nms_radius}")
        if self.embed_dims % (4 * self.num_heads):
            raise ValueError("embed_dims must be a multiple of 4 * num_heads")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def total_queries(self) -> int:
        """Decoder queries at inference: learned plus propagated."""
        return self.num_queries + (self.num_propagated if self.temporal else 0)


def _stream_petr_r50_428q() -> DetectorConfig:
    return DetectorConfig(
        name="stream_petr_r50_428q",
        image=ImageConfig(height=256, width=704),
        backbone="resnet50",
        num_queries=300,
        num_propagated=128,
        num_proposals=128,
        memory_length=512,
    )


def _stream_petr_r50_900q() -> DetectorConfig:
    return DetectorConfig(
        name="stream_petr_r50_900q",
        image=ImageConfig(height=256, width=704),
        backbone="resnet50",
    )


def _stream_petr_v2_99_900q() -> DetectorConfig:
    return DetectorConfig(
        name="stream_petr_v2_99_900q",
        image=ImageConfig(
            height=320,
            width=800,
            channel_order="bgr",
            mean=_IMAGENET_MEAN_RGB[::-1],
            std=_IMAGENET_STD_RGB[::-1],
        ),
        backbone="vovnet99",
    )


def _petr_r50() -> DetectorConfig:
    return DetectorConfig(
        name="petr_r50",
        image=ImageConfig(height=256, width=704),
        backbone="resnet50",
        num_queries=900,
        temporal=False,
    )


def _focal_petr_r50() -> DetectorConfig:
    """Differs from PETR by the 2D head that guides its training, not at inference."""
    return replace(_petr_r50(), name="focal_petr_r50")


def _tiny() -> DetectorConfig:
    return DetectorConfig(
        name="tiny",
        image=ImageConfig(height=128, width=352),
        backbone="resnet_tiny",
        embed_dims=128,
        num_heads=4,
        num_layers=3,
        ffn_dims=512,
        num_queries=128,
        num_propagated=64,
        num_proposals=64,
        memory_length=256,
        depth_bins=32,
        max_detections=100,
        nms_radius=0.8,
        tiled_focal_lengths=False,
    )


_CONFIGS = {
    "stream_petr_r50_428q": _stream_petr_r50_428q,
    "stream_petr_r50_900q": _stream_petr_r50_900q,
    "stream_petr_v2_99_900q": _stream_petr_v2_99_900q,
    "petr_r50": _petr_r50,
    "focal_petr_r50": _focal_petr_r50,
    "tiny": _tiny,
}

#: Names accepted by `detector_config`.
MODEL_NAMES: tuple[str, ...] = tuple(_CONFIGS)


def detector_config(name: str) -> DetectorConfig:
    """Return a named configuration.

    Raises:
        ValueError: if there is no such model; the message lists the names.
    """
    if name not in _CONFIGS:
        raise ValueError(f"no model named '{name}'; known: {', '.join(MODEL_NAMES)}")
    return _CONFIGS[name]()
