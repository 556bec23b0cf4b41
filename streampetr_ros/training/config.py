"""Typed configuration of a training run; one YAML file in ``config/train`` fills it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from streampetr_ros.model.config import detector_config
from streampetr_ros.training.data.augment import Augmentation
from streampetr_ros.training.data.sampler import WindowConfig
from streampetr_ros.training.losses.denoise import DenoisingConfig
from streampetr_ros.training.losses.loss import LossConfig
from streampetr_ros.training.run.attention_warm_up import WarmUpConfig


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} '{value}' is none of {', '.join(allowed)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Where training frames come from.

    Attributes:
        source: "synthetic" or "nuscenes".
        root: nuScenes folder; unused for the synthetic world.
        version: nuScenes version, such as "v1.0-trainval".
        split: nuScenes split, such as "train".
        cache: folder for rendered sequences; empty renders anew every time.
        sequences: synthetic sequences.
        first_seed: seed of the first synthetic sequence; the others follow.
        frames: frames of a synthetic sequence.
        intervals: frame intervals of synthetic sequences, seconds, multiples of 0.05.
        oversampling: synthetic images are rendered this much larger and reduced.
        rig_randomness: half of the synthetic rigs deviate from the standard one by up to this.
        pieces_per_sequence: parts a sequence is cut into for streaming.
        min_visibility: objects with a smaller visible share are not asked for.
        farthest: nor are objects beyond, metres along the ground.
        workers: loading processes; 0 loads in the training process.
    """

    source: str = "synthetic"
    root: str = ""
    version: str = "v1.0-trainval"
    split: str = "train"
    cache: str = ""
    sequences: int = 256
    first_seed: int = 100_000
    frames: int = 16
    intervals: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5, 0.5)
    oversampling: int = 1
    rig_randomness: float = 0.5
    pieces_per_sequence: int = 2
    min_visibility: float = 0.0
    farthest: float = math.inf
    workers: int = 0

    def __post_init__(self) -> None:
        _one_of("data source", self.source, ("synthetic", "nuscenes"))
        if self.source == "nuscenes" and not self.root:
            raise ValueError("data.root must name the nuScenes folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """AdamW with linear warm-up and cosine decay per step.

    Attributes:
        learning_rate: of everything but the backbone.
        backbone_multiplier: factor for the backbone.
        weight_decay: on every trainable parameter.
        steps: length of the schedule.
        warmup_steps: steps from a third of the rate to the full rate.
        final_ratio: of the learning rate, at the end.
        clip_norm: largest L2 norm of all gradients.
        ema_decay: decay of averaged weights; 0 keeps none.
    """

    learning_rate: float = 4e-4
    backbone_multiplier: float = 0.25
    weight_decay: float = 0.01
    steps: int = 42_192
    warmup_steps: int = 500
    final_ratio: float = 1e-3
    clip_norm: float = 35.0
    ema_decay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run.

    Attributes:
        name: names the result folder.
        model: name of a shipped detector, or its YAML file.
        mode: "streaming" (one frame per step, memory carried), "window" (clips) or "images"
            (backbone and neck alone, towards the token head; a start for `initial_weights`).
        window: shape of a clip in window mode; one frame without memory for single-frame models.
        batch_size: streams or clips per process and step.
        streams_per_place: in streaming mode, streams that take turns at every place of the batch:
            with more, steps that follow each other show different drives.
        seed: of everything random.
        initial_weights: safetensors file to start from; empty starts from random weights.
        initial_heads: safetensors file with the auxiliary heads of an earlier run, those of them
            that this run has too; empty starts with random ones.
        backbone_weights: safetensors or state-dict file with backbone keys only; empty for none.
        dropout: of the decoder; None takes that of the model.
        batch_norm: "frozen", "eval" (statistics fixed, affine trained), "train" or "sync".
        precision: of backbone and neck on a GPU: "fp32", "fp16" or "bf16".
        image_head: whether the 2D auxiliary head is trained along.
        token_head: whether dense heads are trained along that ask every token what it shows, on
            its image and in the scene.
        checkpoint_minutes: interval of checkpoints.
        log_steps: steps between rows of the curves.
        tensorboard: whether the curves are written for TensorBoard too (needs tensorboardX).
        placed_queries: whether the learned reference points start where objects are: at cluster
            centers of the truth of the first steps.
        attention_warm_up: before the first step of a fresh run.
        data: training frames.
        augmentation: ranges.
        denoising: denoising queries.
        loss: weights.
        optimiser: schedule.
    """

    name: str
    model: str
    mode: str = "streaming"
    window: WindowConfig = field(default_factory=WindowConfig)
    batch_size: int = 2
    streams_per_place: int = 1
    seed: int = 0
    initial_weights: str = ""
    initial_heads: str = ""
    backbone_weights: str = ""
    dropout: float | None = None
    batch_norm: str = "frozen"
    precision: str = "fp16"
    image_head: bool = True
    token_head: bool = False
    checkpoint_minutes: float = 10.0
    log_steps: int = 50
    tensorboard: bool = False
    placed_queries: bool = False
    attention_warm_up: WarmUpConfig = field(default_factory=WarmUpConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    denoising: DenoisingConfig = field(default_factory=DenoisingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        detector_config(self.model)
        _one_of("mode", self.mode, ("streaming", "window", "images"))
        if self.mode == "images" and not self.token_head:
            raise ValueError("mode 'images' needs token_head: true")
        _one_of("batch_norm", self.batch_norm, ("frozen", "eval", "train", "sync"))
        _one_of("precision", self.precision, ("fp32", "fp16", "bf16"))
        if self.streams_per_place < 1:
            raise ValueError("streams_per_place must be at least 1")

    @property
    def streams(self) -> int:
        """Streams of one process."""
        return self.batch_size * (self.streams_per_place if self.mode == "streaming" else 1)
