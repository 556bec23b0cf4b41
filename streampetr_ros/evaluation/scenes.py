"""Runs a detector over whole scenes, one stream per scene, and collects records for the metrics."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import Detections, FrameSet
from streampetr_ros.evaluation.ablation import ABLATIONS
from streampetr_ros.nuscenes.results import Record, detection_records

#: Feeds one frame set to a stream and returns detections in the base or model frame.
Step = Callable[[FrameSet], Detections]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a scene is fed and which of its frames are judged.

    Attributes:
        ablation: name in `ABLATIONS`.
        every: one frame set of so many is fed.
        judge_every: one frame set of so many of the source is judged; a multiple of `every`, so
            that streams of different rates are judged on the same frames.
        min_visibility: truth below this visible share does not count.
        max_frames: frame sets of a scene; 0 for all.
        judge_from: index in the source of the first frame set that is judged, so that streams have
            run for a while.
    """

    ablation: str = "none"
    every: int = 1
    judge_every: int = 1
    min_visibility: float = 0.0
    max_frames: int = 0
    judge_from: int = 0

    def __post_init__(self) -> None:
        if self.ablation not in ABLATIONS:
            raise ConfigError(f"no ablation '{self.ablation}'; known: {', '.join(ABLATIONS)}")
        if self.judge_every % self.every:
            raise ConfigError(
                f"judge_every {self.judge_every} must be a multiple of every {self.every}"
            )

    @property
    def judges_all(self) -> bool:
        """Whether every frame set is fed and judged."""
        return self.judge_every == 1 and not self.max_frames and not self.judge_from

    def judges(self, index: int) -> bool:
        """Tell whether the frame set of this index in the source is judged."""
        return index >= self.judge_from and index % self.judge_every == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRecords:
    """Records of judged frames by sample token.

    Attributes:
        detections: detected boxes.
        frame_sets: without images; their truth holds what counts, the rest is hidden.
    """

    detections: dict[str, list[Record]] = field(default_factory=dict)
    frame_sets: dict[str, FrameSet] = field(default_factory=dict)

    def merge(self, other: SceneRecords) -> None:
        """Add the records of another scene."""
        self.detections.update(other.detections)
        self.frame_sets.update(other.frame_sets)


def run_scene(frame_sets: Iterable[FrameSet], step: Step, protocol: Protocol) -> SceneRecords:
    """Feed one scene to a fresh stream and collect the judged frames.

    Args:
        frame_sets: of one scene in order, one of every `protocol.every`, each with truth and a
            token unique over all scenes.
        step: a stream with empty memory.
        protocol: how to feed and judge.
    """
    change = ABLATIONS[protocol.ablation]
    records = SceneRecords()
    for count, frame_set in enumerate(frame_sets):
        index = count * protocol.every
        if protocol.max_frames and index >= protocol.max_frames:
            break
        detections = step(change(frame_set))
        if not protocol.judges(index):
            continue
        # The unchanged frame set gives the true pose, whatever the stream was told.
        records.detections[frame_set.token] = detection_records(detections, frame_set)
        records.frame_sets[frame_set.token] = _without_images(frame_set, protocol.min_visibility)
    return records


def _without_images(frame_set: FrameSet, min_visibility: float) -> FrameSet:
    truth = frame_set.truth
    if truth is not None:
        hidden = truth.visibilities < min_visibility
        truth = replace(truth, visibilities=np.where(hidden, 0.0, truth.visibilities))
    return replace(frame_set, cameras=(), truth=truth)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """One scene to be run in a worker process.

    Attributes:
        protocol: how to feed and judge.
        open_scene: gives the frame sets of the scene, one of so many, without work for the others;
            something that other processes can load, such as a module-level function.
        open_stream: gives a fresh stream; likewise.
    """

    protocol: Protocol
    open_scene: Callable[[int], Iterable[FrameSet]]
    open_stream: Callable[[], Step]


def run_scene_job(job: SceneJob) -> SceneRecords:
    """Run one scene on one thread, so that numbers do not depend on how scenes are shared out."""
    torch.set_num_threads(1)
    return run_scene(job.open_scene(job.protocol.every), job.open_stream(), job.protocol)


def run_jobs(jobs: Sequence[SceneJob], workers: int) -> SceneRecords:
    """Run scenes, several at a time.

    Args:
        jobs: scenes.
        workers: processes; 1 runs here.

    Raises:
        UserError: if a worker process is killed.
    """
    total = SceneRecords()
    if workers <= 1:
        threads = torch.get_num_threads()
        for job in jobs:
            total.merge(run_scene_job(job))
        torch.set_num_threads(threads)
        return total
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for records in pool.map(run_scene_job, jobs):
                total.merge(records)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, often for lack of memory; use fewer --workers"
        ) from error
    return total
