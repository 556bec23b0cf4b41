"""Frames on request, augmented, possibly by worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from streampetr_ros.core.errors import UserError, first_line
from streampetr_ros.core.types import FrameSet
from streampetr_ros.model.config import DetectorConfig
from streampetr_ros.training.data.augment import Augmentation
from streampetr_ros.training.data.sampler import Request
from streampetr_ros.training.data.samples import Demand, Draws, Sample, make_sample


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


class SampleDataset(Dataset[list[LoadedFrame]]):
    """Turns clips of requests into clips of augmented samples.

    Args:
        source: of frame sets.
        config: of the detector.
        augmentation: ranges.
        demand: which objects are asked for.
    """

    def __init__(
        self,
        source: FrameSource,
        config: DetectorConfig,
        augmentation: Augmentation,
        demand: Demand,
    ) -> None:
        self._source = source
        self._config = config
        self._augmentation = augmentation
        self._demand = demand

    def __getitem__(self, clip: list[Request]) -> list[LoadedFrame]:
        return [
            LoadedFrame(self._load(request), request.continues, request.stream) for request in clip
        ]

    def _load(self, request: Request) -> Sample:
        frame_set = self._source.frame_set(request.sequence, request.frame)
        rng = np.random.default_rng(request.draw_seed)
        draws = Draws.random(self._augmentation, frame_set, self._config.image, rng)
        return make_sample(frame_set, self._config, draws, self._demand)


class _Guarded(Dataset["list[LoadedFrame] | UserError"]):
    """Hands expected failures over as values; PyTorch would bury them in a worker's traceback."""

    def __init__(self, dataset: SampleDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, clip: list[Request]) -> list[LoadedFrame] | UserError:
        try:
            return self._dataset[clip]
        except UserError as error:
            return error


class _Steps:
    """The requests of a run as PyTorch's loader wants them."""

    def __init__(self, requests: Iterable[list[list[Request]]]) -> None:
        self._requests = requests

    def __iter__(self) -> Iterator[list[list[Request]]]:
        return iter(self._requests)


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
        _Guarded(dataset),
        batch_sampler=_Steps(requests),
        collate_fn=list,
        num_workers=workers,
        worker_init_fn=_one_thread if workers else None,
    )
    for clips in loader:
        yield [_loaded(clip) for clip in clips]


@contextmanager
def killed_loaders_named() -> Iterator[None]:
    """Say what to do when a loading process is killed; PyTorch notices at any point of the block.

    Raises:
        UserError: in that case.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            f"a loading process ended ({first_line(error)}), often for lack of memory; go "
            "on with --resume and fewer data.workers"
        ) from error


def _loaded(clip: list[LoadedFrame] | UserError) -> list[LoadedFrame]:
    if isinstance(clip, UserError):
        raise clip
    return clip
