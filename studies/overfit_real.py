"""Prove on real pixels that training fits: train on the two nuScenes key frames alone.

Reads the recordings in the folder named by STREAMPETR_DATA and reports the mean AP at 2 m over the
classes present, computed by nuscenes-devkit. Nothing of the data leaves that folder.

    STREAMPETR_DATA=... python studies/overfit_real.py --model tiny --steps 600
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch

from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.metrics import Scope, run_devkit
from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.nuscenes.results import detection_records
from streampetr_ros.pipeline.decode import decode
from streampetr_ros.sources import open_source
from streampetr_ros.training.config import DataConfig, OptimiserConfig, TrainConfig
from streampetr_ros.training.data.augment import Augmentation
from streampetr_ros.training.data.dataset import LoadedFrame
from streampetr_ros.training.data.samples import Sample, collate, make_sample
from streampetr_ros.training.losses.objective import Objective
from streampetr_ros.training.run.loop import Trainer
from streampetr_ros.training.run.processes import Process

FOLDERS = ("nusc_scene0061_key0", "nusc_val0_key0")


def load_frames(root: Path) -> list[FrameSet]:
    """Return the two frame sets, tokens made unique."""
    frames = [next(iter(open_source(str(root / folder)))) for folder in FOLDERS]
    return [replace(f, token=folder) for f, folder in zip(frames, FOLDERS, strict=True)]


def plain_sample(frame_set: FrameSet, config: DetectorConfig) -> Sample:
    """Prepare a frame without any augmentation."""
    draws = Augmentation().draw(frame_set, config.image, np.random.default_rng(0))
    return make_sample(frame_set, config, draws, DataConfig())


def average_precision(detector: Detector, frames: list[FrameSet], samples: list[Sample]) -> float:
    """Return the mean AP at 2 m over the classes present, both frames seen without memory."""
    detector.eval()
    found = {}
    for frame_set, sample in zip(frames, samples, strict=True):
        batch = collate([sample], [None], detector.config)
        with torch.no_grad():
            outputs, _ = detector(batch.inputs, None)
        detections = decode(outputs, detector.config, frame_set.stamp_ns)
        found[frame_set.token] = detection_records(detections, frame_set)
    evaluated = run_devkit(frames, found, Scope())
    boxes = evaluated.runner.gt_boxes
    present = {box.detection_name for token in boxes.sample_tokens for box in boxes[token]}
    aps = evaluated.metrics.serialize()["label_aps"]
    return float(np.mean([aps[name][2.0] for name in present]))


def main() -> int:
    """Train, report, and fail when the boxes are not reproduced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=Path("out/overfit"))
    arguments = parser.parse_args()
    frames = load_frames(Path(os.environ["STREAMPETR_DATA"]))
    config = TrainConfig(
        name="overfit",
        model=arguments.model,
        batch_norm="train",
        precision="fp32",
        optimiser=OptimiserConfig(
            learning_rate=arguments.rate,
            backbone_multiplier=1.0,
            steps=arguments.steps,
            warmup_steps=30,
        ),
    )
    model = replace(detector_config(arguments.model), dropout=0.0)
    torch.manual_seed(0)
    samples = [plain_sample(frame, model) for frame in frames]
    clips = [[LoadedFrame(sample, False, place)] for place, sample in enumerate(samples)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    process = Process(rank=0, world_size=1, device=torch.device("cpu"))
    trainer = Trainer(config, Objective(build_detector(model), config), process, arguments.out)
    for clip in repeat(clips, arguments.steps):
        report = trainer.train_step(clip)
        if trainer.step % 50 == 0:
            precision = average_precision(trainer.objective.detector, frames, samples)
            total = report.losses["total"]
            sys.stdout.write(f"step {trainer.step}: loss {total:.2f}, AP at 2 m {precision:.3f}\n")
            sys.stdout.flush()
    precision = average_precision(trainer.objective.detector, frames, samples)
    sys.stdout.write(f"AP at 2 m over the classes present: {precision:.3f} (wanted: 0.9)\n")
    return 0 if precision >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
