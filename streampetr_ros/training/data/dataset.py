"""Frames on request, augmented, possibly by worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.data.sampler import Request
from streampetr_ros.training.data.samples import Sample, make_sample


class FrameSource(Protocol):
    """Sequences of annotated frame sets with random access."""

    def lengths(self) -> list[int]:
        """Return the number of frames of every sequence."""
        ...

    def frame_set(self, sequence: int, frame: int) -> FrameSet:
        """Return one frame set with truth."""
        ...


class LoadedFrame(NamedTuple):
    """A sample, whether it follows the one before in its stream, and that stream."""

    sample: Sample
    continues: bool
    stream: int


class SampleDataset(Dataset["list[LoadedFrame] | UserError"]):
    """Turns clips of requests into clips of augmented samples.

    Expected failures are handed over as values; PyTorch would bury them in a worker's traceback.

    Args:
        source: of frame sets.
        model: configuration of the detector.
        config: of the run.
    """

    def __init__(self, source: FrameSource, model: DetectorConfig, config: TrainConfig) -> None:
        self._source = source
        self._model = model
        self._config = config

    def __getitem__(self, clip: list[Request]) -> list[LoadedFrame] | UserError:
        try:
            return [LoadedFrame(self._load(each), each.continues, each.stream) for each in clip]
        except UserError as error:
            return error

    def _load(self, request: Request) -> Sample:
        frame_set = self._source.frame_set(request.sequence, request.frame)
        rng = np.random.default_rng(request.draw_seed)
        draws = self._config.augmentation.draw(frame_set, self._model.image, rng)
        return make_sample(frame_set, self._model, draws, self._config.data)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def load_steps(
    dataset: SampleDataset, requests: Iterable[list[list[Request]]], workers: int
) -> Iterator[list[list[LoadedFrame]]]:
    """Yield the clips of every step in the order of `requests`.

    Args:
        dataset: loads a clip.
        requests: clips of every step.
        workers: loading processes; 0 loads here. Their number changes nothing but speed.

    Raises:
        UserError: while iterating, if a frame cannot be loaded.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=requests,
        collate_fn=list,
        num_workers=workers,
        worker_init_fn=_one_thread if workers else None,
    )
    for clips in loader:
        for clip in clips:
            if isinstance(clip, UserError):
                raise clip
        yield clips
