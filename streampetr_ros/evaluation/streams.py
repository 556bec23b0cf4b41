"""Scenes and streams by what a user types; worker processes can take these functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import Detections, FrameSet
from streampetr_ros.evaluation.scenes import Step
from streampetr_ros.nuscenes.dataset import NuscenesSource
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.sources import Source, SourceError, open_source
from streampetr_ros.sources.synthetic import SyntheticSource

_NUSCENES = "nuscenes:"
_PLAIN = Choice()


def scene_names(source: str) -> list[str]:
    """List the scenes of a source.

    Args:
        source: ``synthetic:7``, ``synthetic:0-39`` (seeds, both included), a recording's folder, or
            ``nuscenes:ROOT:VERSION:SPLIT``.

    Returns:
        Names that `open_scene` takes.

    Raises:
        SourceError: if the seeds cannot be read.
    """
    kind, _, rest = source.partition(":")
    if kind == "nuscenes":
        count = len(_nuscenes(rest).lengths())
        return [f"{source}#{index}" for index in range(count)]
    if kind != "synthetic" or "-" not in rest:
        return [source]
    first, _, last = rest.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise SourceError(f"'{source}' is no range of seeds; write for example synthetic:0-39")
    return [f"synthetic:{seed}" for seed in range(int(first), int(last) + 1)]


@lru_cache(maxsize=1)
def _nuscenes(rest: str) -> NuscenesSource:
    """Open the tables once per process: reading them takes long, and every scene asks for them."""
    parts = rest.rsplit(":", 2)
    if len(parts) != 3:
        raise SourceError(f"'{_NUSCENES}{rest}' is not of the form nuscenes:ROOT:VERSION:SPLIT")
    return NuscenesSource(*parts)


def nuscenes_split(source: str) -> NuscenesSource | None:
    """Return the tables behind a source that is a split of nuScenes; None for any other."""
    found = _nuscenes(source.removeprefix(_NUSCENES)) if source.startswith(_NUSCENES) else None
    return None if found is None or found.split == "all" else found


def open_scene(name: str, every: int = 1) -> Iterator[FrameSet]:
    """Yield one of every so many frame sets of a scene; tokens are unique over all scenes."""
    if name.startswith(_NUSCENES):
        rest, _, number = name.removeprefix(_NUSCENES).rpartition("#")
        source = _nuscenes(rest)
        scene = int(number)
        for frame in range(0, source.lengths()[scene], every):
            yield source.frame_set(scene, frame)
        return
    for index, frame_set in enumerate(_thinned(open_source(name), every)):
        yield replace(frame_set, token=f"{name}/{index * every}", sequence=name)


def _thinned(source: Source, every: int) -> Iterable[FrameSet]:
    """Pictures are rendered when asked for, recordings are read in order."""
    if isinstance(source, SyntheticSource):
        return source.frame_sets(every)
    return islice(source, 0, None, every)


def open_stream(weights: str, memory_interval: float = -1.0, choice: Choice = _PLAIN) -> Step:
    """Return a fresh stream of the detector in a weights file.

    Args:
        weights: see `open_backend`.
        memory_interval: see `MemoryPolicyConfig`.
        choice: what runs the detector.

    Raises:
        UserError: if the detector finds classes that cannot be judged.
    """
    policy = MemoryPolicyConfig(memory_interval_s=memory_interval)
    backend = open_backend(weights, choice=choice)
    if backend.config.own_classes:
        raise UserError(
            f"the metrics of nuScenes have no class '{backend.config.own_classes[0]}', which "
            f"'{weights}' finds; evaluate a model whose classes are among theirs"
        )
    pipeline = StreamingPipeline(backend, PipelineConfig(policy=policy, workers=1))

    def step(frame_set: FrameSet) -> Detections:
        return pipeline.step(frame_set).detections_model

    return step
