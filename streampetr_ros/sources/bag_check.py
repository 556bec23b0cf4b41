"""What keeps a bag from being used, in words, before anything is run on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from streampetr_ros.sources.bag import BagSource
from streampetr_ros.sources.bag_file import BagFile
from streampetr_ros.sources.bag_options import BagOptions
from streampetr_ros.sources.bag_topics import BagTopics, find_topics
from streampetr_ros.sources.base import SourceError
from streampetr_ros.types import FrameSet

#: Rates of cameras may differ by this factor before it is worth a word.
_RATE_RATIO = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class BagReport:
    """What a check found.

    Attributes:
        facts: sentences about what is there.
        problems: sentences about what keeps the bag from being used; empty if nothing does.
        topics: what would be read.
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    topics: BagTopics


def check_bag(path: Path, options: BagOptions, sets: int) -> BagReport:
    """Look at topics first, and if they are there at the first frame sets.

    Args:
        path: of the bag.
        options: how it is read.
        sets: frame sets to try.

    Raises:
        SourceError: if it is no bag at all.
    """
    file = BagFile(path)
    topics = find_topics(file.topics, options)
    facts = [f"{file.seconds:.1f} s, {len(file.topics)} topics", *topics.lines()]
    problems = [*topics.problems, *_rates(file, topics)]
    if not topics.problems:
        more_facts, more_problems = _trial(path, options, sets)
        facts += more_facts
        problems += more_problems
    return BagReport(facts=tuple(facts), problems=tuple(problems), topics=topics)


def _rates(file: BagFile, topics: BagTopics) -> list[str]:
    """Compare how often the cameras were recorded."""
    counts = {topic.name: topic.count for topic in file.topics}
    images = {camera.image_topic: counts[camera.image_topic] for camera in topics.cameras}
    most = max(images.values(), default=0)
    return [
        f"'{name}' has {count} images where other cameras have {most}; sets of all cameras will "
        "be missing, so look for lost messages while recording"
        for name, count in images.items()
        if count * _RATE_RATIO < most
    ]


def _trial(path: Path, options: BagOptions, sets: int) -> tuple[list[str], list[str]]:
    """Make the first frame sets; every kind of problem is heard once."""
    heard: list[str] = []
    source = BagSource(path, options, heard.append)
    try:
        found = list(islice(iter(source), sets))
    except SourceError as error:
        return [], [*heard, *([] if heard else [str(error)])]
    facts = _facts(found)
    statistics = source.statistics
    if statistics is not None and statistics.period_ns:
        facts.append(f"a frame set every {statistics.period_ns * 1e-9:.3f} s")
        facts += [
            f"{each.name}: {each.rate_hz:.1f} Hz, fires {each.offset_ns * 1e-6:.0f} ms into a cycle"
            for each in statistics.cameras
        ]
        heard += [problem for each in statistics.cameras for problem in each.problems]
    return facts, heard


def _facts(found: Sequence[FrameSet]) -> list[str]:
    cameras = {
        frame.calibration.name: frame.calibration for each in found for frame in each.cameras
    }
    return [
        f"{len(found)} frame sets tried are complete: images, CameraInfo and transforms fit",
        *(
            f"{name}: {each.width} x {each.height}, focal length {each.intrinsic[0, 0]:.0f} px, "
            f"lens {each.distortion_model}, {each.base_from_camera[2, 3]:.2f} m above the base"
            for name, each in cameras.items()
        ),
    ]


def parameters(topics: BagTopics, options: BagOptions) -> dict[str, object]:
    """Return the parameters of the node that read the same topics."""
    cameras = topics.cameras
    return {
        "cameras": {
            "names": [camera.name for camera in cameras],
            "image_topics": [camera.image_topic.removesuffix("/compressed") for camera in cameras],
            "info_topics": [camera.info_topic for camera in cameras],
            "transports": ["compressed" if camera.packed else "raw" for camera in cameras],
            "rectified": [camera.wiring.rectified for camera in cameras],
        },
        "frames": {"fixed": options.fixed_frame, "base": options.base_frame},
        "pose": {"source": "odometry", "odometry_topic": options.odometry_topic}
        if options.odometry_topic
        else {"source": "tf"},
    }
