"""Puts a run together from its configuration and starts or resumes it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from streampetr_ros.core.errors import UserError, first_line
from streampetr_ros.model.checkpoints.published import read_published
from streampetr_ros.model.checkpoints.weights import (
    load_weights,
    save_tensors,
    save_weights,
)
from streampetr_ros.model.config import NUSCENES_CLASSES, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.nuscenes.dataset import NuscenesSource
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.data.dataset import FrameSource, LoadedFrame, SampleDataset, load_steps
from streampetr_ros.training.data.sampler import (
    Share,
    WindowConfig,
    split_sequences,
    streaming_requests,
    window_requests,
)
from streampetr_ros.training.data.samples import collate
from streampetr_ros.training.data.synthetic_data import SyntheticSequences
from streampetr_ros.training.losses.objective import Objective
from streampetr_ros.training.run.attention_warm_up import warm_up_attention
from streampetr_ros.training.run.loop import Trainer, run
from streampetr_ros.training.run.processes import Process, denormals_flushed, joined_run
from streampetr_ros.training.run.query_placement import place_queries

_SINGLE_FRAMES = WindowConfig(frames=1, dropped=0, gradient_frames=1)

#: Names of the exported weights inside the result folder: the detector, and what trained it along.
WEIGHTS_FILE = "model.safetensors"
HEADS_FILE = "auxiliary_heads.safetensors"


def open_frames(config: TrainConfig) -> FrameSource:
    """Open the source of training frames.

    Raises:
        UserError: if it cannot be read, or has no objects of some class of the model.
    """
    data, model = config.data, detector_config(config.model)
    if model.own_classes:
        raise UserError(
            f"no training frame shows class '{model.own_classes[0]}' of model '{model.name}'; name "
            f"classes among {', '.join(NUSCENES_CLASSES)}"
        )
    if data.source == "nuscenes":
        return NuscenesSource(data.root, data.version, data.split)
    return SyntheticSequences(data, model.image)


def build_objective(config: TrainConfig) -> Objective:
    """Build the detector with its losses, from random or given weights.

    Raises:
        UserError: if given weights do not fit.
    """
    torch.manual_seed(config.seed)
    model = detector_config(config.model)
    if config.dropout is not None:
        model = replace(model, dropout=config.dropout)
    detector = build_detector(model)
    if config.initial_weights:
        _, given = load_weights(Path(config.initial_weights), config.model)
        detector.load_state_dict(given.state_dict())
    if config.backbone_weights:
        load_backbone(detector, Path(config.backbone_weights))
    if config.batch_norm == "frozen":
        for part in detector.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.requires_grad_(False)
    objective = Objective(detector, config)
    if config.initial_heads:
        load_auxiliary_heads(objective, Path(config.initial_heads))
    # Convolutions on a CPU run a fifth faster with channels last.
    nn.utils.convert_conv2d_weight_memory_format(objective, torch.channels_last)
    if config.batch_norm == "sync":
        objective = nn.SyncBatchNorm.convert_sync_batchnorm(objective)
    return objective


def load_auxiliary_heads(objective: Objective, path: Path) -> None:
    """Load the auxiliary heads of an earlier run into those that this run has.

    Raises:
        UserError: if the file is unreadable, lacks one of them or is of another architecture.
    """
    given = _read_state(path, "auxiliary heads")
    wanted = objective.auxiliary_state()
    missing = sorted(wanted.keys() - given.keys())
    if missing:
        raise UserError(
            f"auxiliary heads '{path}' lack '{missing[0]}'; switch that head off or leave "
            "initial_heads empty"
        )
    for name, value in wanted.items():
        if value.shape != given[name].shape:
            raise UserError(
                f"auxiliary heads '{path}': '{name}' has shape {tuple(given[name].shape)}, the "
                f"model needs {tuple(value.shape)}; they are of another model"
            )
        value.copy_(given[name])


def load_backbone(detector: Detector, path: Path) -> None:
    """Load pre-trained weights of the backbone alone.

    Keys may carry the prefix ``backbone.`` or ``img_backbone.``, and be those of the published
    trunk; everything else in the file is ignored, but every parameter of the backbone must be
    found.

    Raises:
        UserError: if the file does not fit.
    """
    state = _read_state(path, "backbone weights")
    bare = {k.removeprefix("img_").removeprefix("backbone."): v for k, v in state.items()}
    trimmed = {detector.backbone.own_key(key): value for key, value in bare.items()}
    result = detector.backbone.load_state_dict(trimmed, strict=False)
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if missing:
        raise UserError(
            f"backbone weights '{path}' lack '{missing[0]}' and {len(missing) - 1} more; "
            f"they are not of a {detector.config.backbone}"
        )


def _read_state(path: Path, what: str) -> dict[str, torch.Tensor]:
    if path.suffix != ".safetensors":
        return read_published(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot read {what} '{path}' ({first_line(error)}); download the file again"
        ) from error


def _steps(
    config: TrainConfig, source: FrameSource, process: Process, first_step: int
) -> Iterator[list[list[LoadedFrame]]]:
    share = Share(batch_size=config.batch_size, rank=process.rank, world_size=process.world_size)
    lengths = source.lengths()
    if config.mode != "streaming":
        window = config.window if config.mode == "window" else _SINGLE_FRAMES
        requests = window_requests(lengths, share, config.seed, window, first_step)
    else:
        pieces = split_sequences(lengths, config.data.pieces_per_sequence)
        requests = streaming_requests(
            pieces, share, config.seed, first_step, config.streams_per_place
        )
    dataset = SampleDataset(source, detector_config(config.model), config)
    return load_steps(dataset, requests, config.data.workers)


def train_slice(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    max_minutes: float = 0.0,
    device: str = "auto",
) -> bool:
    """Train one slice of a run and export the weights it ends with.

    Args:
        config: of the run.
        folder: for results; the same folder continues the run.
        resume: whether to go on from the checkpoint in the folder.
        max_minutes: of this slice; 0 for no limit.
        device: "auto", "cpu" or "cuda".

    Returns:
        Whether the schedule is complete.

    Raises:
        UserError: with one sentence for every expected failure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    resumed = (folder / "last.pt").exists()
    if resumed and not resume:
        raise UserError(f"'{folder}' holds a run already; add --resume or use another --out")
    with joined_run(device) as process, denormals_flushed():
        objective = build_objective(config).to(process.device)
        source = open_frames(config)
        if process.is_main and not resumed:
            _prepare(objective.detector, config, source, process)
        # Under torchrun, wrapping gives all processes the weights of the first.
        trainer = Trainer(config, objective, process, folder)
        if resumed:
            trainer.restore()
        complete = run(trainer, _steps(config, source, process, trainer.step), max_minutes)
        if process.is_main:
            export_weights(trainer, folder)
        process.wait_for_all()
    return complete


def _prepare(
    detector: Detector, config: TrainConfig, source: FrameSource, process: Process
) -> None:
    """Tell the queries where to be and where to look, from the frames of the first steps."""
    warm_up = config.attention_warm_up
    if not (config.placed_queries or warm_up.steps):
        return
    unhurried = replace(config, data=replace(config.data, workers=0))
    batches = []
    for clips in itertools.islice(_steps(unhurried, source, process, 0), warm_up.batches):
        samples = [frames[0].sample for frames in clips]
        batch = collate(samples, [None] * len(samples), detector.config)
        batches.append(batch.to(process.device))
    if config.placed_queries:
        truth = [target for batch in batches for target in batch.targets]
        place_queries(detector, truth, config.seed)
    if warm_up.steps:
        warm_up_attention(detector, [batch.inputs for batch in batches], warm_up, config.seed)


def export_weights(trainer: Trainer, folder: Path) -> None:
    """Write the detector and its auxiliary heads, averaged when the run keeps an average."""
    objective = trainer.objective
    state = trainer.average.values if trainer.average else objective.state_dict()
    detector = build_detector(objective.detector.config)
    prefix = "detector."
    detector.load_state_dict(
        {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    )
    config = trainer.config
    details = {"recipe": config.name, "step": str(trainer.step), "seed": str(config.seed)}
    heads = {key: state[key] for key in objective.auxiliary_state()}
    save_weights(folder / WEIGHTS_FILE, detector, details)
    if heads:
        save_tensors(folder / HEADS_FILE, heads, details)
