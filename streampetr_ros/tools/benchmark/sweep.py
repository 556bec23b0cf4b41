"""How cost grows with cameras, queries, memory and image size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.tools.benchmark.run import BenchmarkCase

_CAMERAS = range(1, 9)
_SHARES = (0.5, 1.0, 2.0, 4.0)
_IMAGE_SCALES = (0.5, 0.75, 1.0, 1.5, 2.0)
_MULTIPLE = 32


class Sweep(str, Enum):
    """What is varied."""

    CAMERAS = "cameras"
    QUERIES = "queries"
    MEMORY = "memory"
    IMAGE = "image"


def variations(base: BenchmarkCase, sweep: Sweep) -> Iterator[tuple[str, BenchmarkCase]]:
    """Vary one thing of a measurement.

    Args:
        base: measurement of the model as it is.
        sweep: what to vary.

    Yields:
        Value as text, and what to measure; only what the model can have.
    """
    config = detector_config(base.model)
    if sweep is Sweep.CAMERAS:
        for count in _CAMERAS:
            yield str(count), replace(base, cameras=count)
    elif sweep is Sweep.QUERIES:
        for share in _SHARES:
            count = round(config.num_queries * share)
            yield str(count), replace(base, changes={"num_queries": count})
    elif sweep is Sweep.MEMORY:
        for length in _memory_lengths(config):
            yield str(length), replace(base, changes={"memory_length": length})
    else:
        for width, height in _image_sizes(config):
            image = replace(config.image, width=width, height=height)
            yield f"{width}x{height}", replace(base, changes={"image": image})


def _memory_lengths(config: DetectorConfig) -> list[int]:
    if not config.temporal:
        return []
    lengths = [round(config.memory_length * share) for share in _SHARES]
    shortest = max(config.num_propagated, config.num_proposals)
    return [length for length in lengths if length >= shortest]


def _image_sizes(config: DetectorConfig) -> list[tuple[int, int]]:
    size = (config.image.width, config.image.height)
    steps = [[max(1, round(side * scale / _MULTIPLE)) for side in size] for scale in _IMAGE_SCALES]
    return list(dict.fromkeys((width * _MULTIPLE, height * _MULTIPLE) for width, height in steps))
