"""What keeps a bag or a running vehicle from being used, in words, before anything is run on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.ingest.sync_types import CameraStatistics, SyncStatistics
from streampetr_ros.sources.bag import BagSource
from streampetr_ros.sources.bag_options import BagOptions
from streampetr_ros.sources.bag_topics import BagTopics, camera_name, find_topics, shows_colours
from streampetr_ros.sources.base import SourceError
from streampetr_ros.sources.chain_check import missing_links
from streampetr_ros.sources.qos_check import doubled_publishers, qos_facts, qos_problems
from streampetr_ros.sources.recorded import HeardRecording, Recording
from streampetr_ros.types import CameraCalibration, FrameSet

#: Rates of cameras may differ by this factor before it is worth a word.
_RATE_RATIO = 1.25
#: Optical axes of vehicle cameras do not rise or fall steeper than this (sine of the angle).
_STEEPEST = 0.85
#: Stamps farther from a clock than this are not of it, seconds.
_CLOCK_TOLERANCE_S = 5.0
_MISSING_TRANSFORM = "missing transform"


@dataclass(frozen=True, slots=True, kw_only=True)
class BagReport:
    """What a check found.

    Attributes:
        facts: sentences about what is there.
        problems: sentences about what keeps it from being used; empty if nothing does.
        topics: what would be read.
        period_s: time between frame sets; 0 if it is not known.
        simulated_time: whether stamps are of ``/clock`` and not of this machine.
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    topics: BagTopics
    period_s: float
    simulated_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    facts: list[str]
    problems: list[str]
    period_s: float = 0.0


def check_recording(recording: Recording, options: BagOptions, sets: int) -> BagReport:
    """Look at topics first, and if they are there at the first frame sets.

    Args:
        recording: a bag, or what was heard of a running vehicle.
        options: how it is read.
        sets: frame sets to try.

    Raises:
        SourceError: if a bag is damaged.
    """
    topics = find_topics(recording.topics, options, recording.place)
    heard = f"{recording.seconds:.1f} s, {len(recording.topics)} topics"
    facts = [heard, *topics.lines(), *qos_facts(recording.topics, topics)]
    problems = [
        *topics.problems,
        *qos_problems(recording.topics, topics, options),
        *doubled_publishers(recording.topics, topics),
        *([] if options.cameras else _silent(recording, topics)),
        *_rates(recording, topics),
    ]
    clock = _clock(recording, topics) if isinstance(recording, HeardRecording) else _Clock()
    trial = _Trial(facts=[], problems=[])
    if not topics.problems:
        trial = _trial(recording, options, sets)
    return BagReport(
        facts=(*facts, *clock.facts, *trial.facts),
        problems=(*problems, *clock.problems, *trial.problems),
        topics=topics,
        period_s=trial.period_s,
        simulated_time=clock.simulated,
    )


def _silent(recording: Recording, topics: BagTopics) -> list[str]:
    """Name cameras that are advertised but send nothing, of each only one topic."""
    known = {camera.name for camera in topics.cameras}
    unheard = {
        camera_name(topic.name): topic.name
        for topic in sorted(recording.topics, key=lambda topic: topic.name, reverse=True)
        if shows_colours(topic) and not topic.count
    }
    return [
        f"image topic '{topic}' is there but has no messages; start that camera, or choose others "
        "with --camera NAME=IMAGE_TOPIC"
        for name, topic in unheard.items()
        if known and name not in known
    ]


def _rates(recording: Recording, topics: BagTopics) -> list[str]:
    """Compare how often the cameras were recorded."""
    counts = {topic.name: topic.count for topic in recording.topics}
    images = {camera.image_topic: counts[camera.image_topic] for camera in topics.cameras}
    most = max(images.values(), default=0)
    return [
        f"'{name}' has {count} images where other cameras have {most}; sets of all cameras will "
        "be missing, so look for messages lost on the way and slower cameras"
        for name, count in images.items()
        if count * _RATE_RATIO < most
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    facts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    simulated: bool = False


def _clock(recording: HeardRecording, topics: BagTopics) -> _Clock:
    """Compare stamps with this machine's clock and with ``/clock``, as they arrived."""
    images = {camera.image_topic for camera in topics.cameras}
    newest = _newest(recording, images)
    if newest is None:
        return _Clock()
    late_s = (newest.recorded_ns - stamp_ns_from(newest.content.header.stamp)) * 1e-9
    offset_ns = recording.clock_offset_ns
    if abs(late_s) <= _CLOCK_TOLERANCE_S and offset_ns is None:
        return _Clock(facts=(f"stamps are {late_s * 1e3:.0f} ms behind this machine's clock",))
    if offset_ns is not None and abs(late_s + offset_ns * 1e-9) <= _CLOCK_TOLERANCE_S:
        return _Clock(facts=("stamps follow /clock: the node needs use_sim_time",), simulated=True)
    date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(newest.recorded_ns * 1e-9 - late_s))
    return _Clock(
        problems=(
            f"stamps of '{newest.topic}' are {abs(late_s):.0f} s "
            f"{'behind' if late_s > 0 else 'ahead of'} this machine's clock ({date} UTC)"
            + (" and do not follow /clock" if offset_ns is not None else " and /clock is silent")
            + "; synchronise the clocks (PTP), or play the recording with its clock ('ros2 bag "
            "play --clock') and set use_sim_time",
        )
    )


def _newest(recording: Recording, topics: set[str]) -> Any:
    newest = None
    for newest in recording.messages(topics):  # noqa: B007 - the last one is wanted
        pass
    return newest


def _trial(recording: Recording, options: BagOptions, sets: int) -> _Trial:
    """Make the first frame sets; every kind of problem is heard once."""
    heard: list[str] = []
    source = BagSource(recording, options, heard.append)
    failure = ""
    found: list[FrameSet] = []
    try:
        found = list(islice(iter(source), sets))
    except SourceError as error:
        failure = str(error)
    problems = _problems(source, heard, recording, options) or ([failure] if failure else [])
    statistics = source.statistics
    facts = _facts(found) if found else []
    problems += _mountings(found)
    if not found or statistics is None:
        return _Trial(facts=facts, problems=problems)
    if not statistics.period_ns:
        unknown = "rates and period are not known yet: a longer time is needed"
        return _Trial(facts=[*facts, unknown], problems=problems)
    problems += [problem for each in statistics.cameras for problem in _named(each)]
    return _Trial(
        facts=[*facts, *_timing(statistics)],
        problems=problems,
        period_s=statistics.period_ns * 1e-9,
    )


def _problems(
    source: BagSource, heard: Sequence[str], recording: Recording, options: BagOptions
) -> list[str]:
    """Return what was heard; of transforms all that are missing instead of the first one."""
    by_reason = dict(zip(source.problems, heard, strict=True))
    missing = [reason for reason in by_reason if reason.startswith(_MISSING_TRANSFORM)]
    links = missing_links(recording, source.topics, options) if missing else []
    if links:
        by_reason = {k: v for k, v in by_reason.items() if k not in missing}
    return [*by_reason.values(), *links]


def _named(camera: CameraStatistics) -> list[str]:
    return [f"{camera.name}: {problem}" for problem in camera.problems]


def _timing(statistics: SyncStatistics) -> list[str]:
    """Say period, rates, places in the cycle and order of the stamps."""
    mixed = [each for each in statistics.cameras if each.reordered]
    order = ", ".join(f"{each.name}: {each.reordered} out of order" for each in mixed)
    return [
        f"a frame set every {statistics.period_ns * 1e-9:.3f} s",
        *(
            f"{each.name}: {each.rate_hz:.1f} Hz, fires {each.offset_ns * 1e-6:.0f} ms into a cycle"
            for each in statistics.cameras
        ),
        f"stamps of each camera {f'do not all increase: {order}' if order else 'increase'}",
    ]


def _mountings(found: Sequence[FrameSet]) -> list[str]:
    """Name cameras that look where cameras of vehicles do not."""
    return [
        f"camera {name} looks straight {'up' if camera.base_from_camera[2, 2] > 0 else 'down'}; "
        "its frame must be optical (z into the scene, x right, y down), not that of its body"
        for name, camera in _calibrations(found).items()
        if abs(camera.base_from_camera[2, 2]) > _STEEPEST
    ]


def _calibrations(found: Sequence[FrameSet]) -> dict[str, CameraCalibration]:
    return {frame.calibration.name: frame.calibration for each in found for frame in each.cameras}


def _facts(found: Sequence[FrameSet]) -> list[str]:
    return [
        f"{len(found)} frame sets tried are complete: images, CameraInfo and transforms fit",
        *(
            f"{name}: {each.width} x {each.height}, focal length {each.intrinsic[0, 0]:.0f} px, "
            f"lens {each.distortion_model}, {each.base_from_camera[2, 3]:.2f} m above the base"
            for name, each in _calibrations(found).items()
        ),
    ]


def parameters(report: BagReport, options: BagOptions) -> dict[str, object]:
    """Return the parameters of the node that read the same topics."""
    cameras = report.topics.cameras
    return {
        **({"use_sim_time": True} if report.simulated_time else {}),
        "cameras": {
            "names": [camera.name for camera in cameras],
            "image_topics": [camera.image_topic.removesuffix("/compressed") for camera in cameras],
            "info_topics": [camera.info_topic for camera in cameras],
            "transports": ["compressed" if camera.packed else "raw" for camera in cameras],
            "rectified": [camera.wiring.rectified for camera in cameras],
            "reductions": [camera.wiring.reduction for camera in cameras],
            "frame_ids": [camera.wiring.frame_id for camera in cameras],
        },
        "frames": {"fixed": options.fixed_frame, "base": options.base_frame},
        "pose": {"source": "odometry", "odometry_topic": options.odometry_topic}
        if options.odometry_topic
        else {"source": "tf"},
    }
