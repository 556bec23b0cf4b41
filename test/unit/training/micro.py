"""A run small enough for unit tests."""

from itertools import islice
from pathlib import Path

import torch
from scenes import Scenes

from streampetr_ros.model.config import DetectorConfig, ImageConfig
from streampetr_ros.model.detector import build_detector
from streampetr_ros.training.config import OptimiserConfig, TrainConfig
from streampetr_ros.training.data.augment import Augmentation
from streampetr_ros.training.data.dataset import SampleDataset, load_steps
from streampetr_ros.training.data.sampler import (
    Share,
    split_sequences,
    streaming_requests,
    window_requests,
)
from streampetr_ros.training.losses.objective import Objective
from streampetr_ros.training.run.loop import Trainer
from streampetr_ros.training.run.processes import Process

MICRO = DetectorConfig(
    name="micro",
    image=ImageConfig(height=32, width=64),
    backbone="resnet_tiny",
    embed_dims=64,
    num_heads=4,
    num_layers=2,
    ffn_dims=64,
    num_queries=12,
    num_propagated=6,
    num_proposals=6,
    memory_length=12,
    depth_bins=32,
    max_detections=20,
)


def train_config(**changes):
    settings = {
        "name": "micro",
        "model": "tiny",
        "batch_size": 2,
        "precision": "fp32",
        "batch_norm": "train",
        "log_steps": 1,
        "augmentation": Augmentation(flip=0.5, angle=0.3, scale=(0.95, 1.05), grid_mask=0.7),
        "optimiser": OptimiserConfig(steps=6, warmup_steps=2, ema_decay=0.9),
    }
    return TrainConfig(**(settings | changes))


def make_trainer(folder: Path, config=None, rank=0, world_size=1):
    config = config or train_config()
    torch.manual_seed(0)
    objective = Objective(build_detector(MICRO), config)
    process = Process(rank=rank, world_size=world_size, device=torch.device("cpu"))
    return Trainer(config, objective, process, folder)


def steps_for(trainer, workers=0):
    config, process, source = trainer.config, trainer.process, Scenes()
    share = Share(batch_size=config.batch_size, rank=process.rank, world_size=process.world_size)
    if config.mode == "window":
        lengths = source.lengths()
        requests = window_requests(lengths, share, 0, config.window, trainer.step)
    else:
        pieces = split_sequences(source.lengths(), 2)
        requests = streaming_requests(pieces, share, 0, trainer.step, config.streams_per_place)
    dataset = SampleDataset(source, MICRO, config)
    return load_steps(dataset, requests, workers)


def train(trainer, count):
    return [trainer.train_step(clips) for clips in islice(steps_for(trainer), count)]
