"""What keeps a bag or a running vehicle from being used, in words, before anything is run on it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from streampetr_ros.core.problems import Problem
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.parameters.node import is_of_node
from streampetr_ros.sources.bag.log import HeardRecording, Recording
from streampetr_ros.sources.bag.single_pass import BagPass
from streampetr_ros.sources.bag.topics import BagTopics, camera_name, find_topics, shows_colors
from streampetr_ros.sources.checks.camera_check import CameraReport, check_cameras
from streampetr_ros.sources.checks.qos_check import doubled_publishers, qos_facts, qos_problems
from streampetr_ros.sources.checks.stamp_check import check_stamps

#: Rates of cameras may differ by this factor before it is worth a word.
_RATE_RATIO = 1.25
#: Stamps farther from a clock than this are not of it, seconds.
_CLOCK_TOLERANCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BagReport:
    """What a check found.

    Attributes:
        facts: sentences about what is there.
        problems: sentences about what keeps it from being used; empty if nothing does.
        topics: what would be read.
        period_s: time between frame sets; 0 if it is not known.
        simulated_time: whether stamps are of ``/clock`` and not of this machine; None if that is
            not known.
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    topics: BagTopics
    period_s: float
    simulated_time: bool | None


def check_recording(
    recording: Recording, options: BagOptions, sets: int, seconds: float = math.inf
) -> BagReport:
    """Look at topics, at each camera on its own, at all stamps, and try the first frame sets.

    Args:
        recording: a bag, or what was heard of a running vehicle.
        options: how it is read.
        sets: frame sets to try.
        seconds: of the recording whose stamps are looked at.

    Raises:
        SourceError: if the synchroniser's settings do not fit the cameras.
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
    simulated = None
    if isinstance(recording, HeardRecording):
        sentence, simulated = _clock(recording, topics)
        (problems if simulated is None else facts).extend(sentence)
    period_s = 0.0
    if topics.cameras:
        stamps = check_stamps(recording, topics, options, seconds)
        cameras = check_cameras(recording, topics, options)
        tried, found = _trial(recording, topics, options, sets)
        facts += [*tried, *_lenses(cameras.calibrations), *stamps.facts]
        problems += _joined(cameras, found)
        problems += [*cameras.mountings, *stamps.problems]
        period_s = stamps.period_s
        if not tried and not problems:
            problems.append("no frame set can be made of it; a longer recording is needed")
    return BagReport(
        facts=tuple(facts),
        # A damaged bag is noticed by everyone who reads it.
        problems=tuple(dict.fromkeys(problems)),
        topics=topics,
        period_s=period_s,
        simulated_time=simulated,
    )


def _silent(recording: Recording, topics: BagTopics) -> list[str]:
    """Name cameras that are advertised but send nothing, of each only one topic."""
    known = {camera.name for camera in topics.cameras}
    unheard = {
        camera_name(topic.name): topic.name
        for topic in sorted(recording.topics, key=lambda topic: topic.name, reverse=True)
        if shows_colors(topic) and not topic.count
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


def _clock(recording: HeardRecording, topics: BagTopics) -> tuple[list[str], bool | None]:
    """Compare stamps with this machine's clock and with ``/clock``, as they arrived.

    Returns:
        A sentence, if there are images, and whether stamps are simulated; None if they are neither
        of one clock nor of the other, or there are no images.
    """
    heard = deque(recording.messages({each.image_topic for each in topics.cameras}), maxlen=1)
    if not heard:
        return [], None
    newest = heard[0]
    late_s = (newest.recorded_ns - stamp_ns_from(newest.content.header.stamp)) * 1e-9
    offset_ns = recording.clock_offset_ns
    if abs(late_s) <= _CLOCK_TOLERANCE_S and offset_ns is None:
        return [f"stamps are {late_s * 1e3:.0f} ms behind this machine's clock"], False
    if offset_ns is not None and abs(late_s + offset_ns * 1e-9) <= _CLOCK_TOLERANCE_S:
        return ["stamps follow /clock: the node needs use_sim_time"], True
    date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(newest.recorded_ns * 1e-9 - late_s))
    found = (
        f"stamps of '{newest.topic}' are {abs(late_s):.0f} s "
        f"{'behind' if late_s > 0 else 'ahead of'} this machine's clock ({date} UTC)"
        + (" and do not follow /clock" if offset_ns is not None else " and /clock is silent")
        + "; synchronise the clocks (PTP), or play the recording with its clock ('ros2 bag "
        "play --clock') and set use_sim_time"
    )
    return [found], None


def _trial(
    recording: Recording, topics: BagTopics, options: BagOptions, sets: int
) -> tuple[list[str], dict[str, str]]:
    """Make the first frame sets of the cameras that have CameraInfo.

    Returns:
        A sentence if there are any, and what was wrong: kind to a sentence about its first time.
    """
    ready = replace(topics, cameras=tuple(each for each in topics.cameras if each.info_topic))
    problems: dict[str, str] = {}
    if not ready.cameras or not (topics.moving or topics.odometry):
        return [], problems
    drive = BagPass(recording, ready, options, recording.name, problems.setdefault)
    count = 0
    try:
        count = sum(1 for _ in islice(drive.frame_sets(0), sets))
    except SourceError as error:
        problems["damage"] = str(error)
    facts = [f"{count} frame sets tried are complete: images, CameraInfo and transforms fit"]
    return facts if count else [], problems


def _joined(cameras: CameraReport, found: dict[str, str]) -> list[str]:
    """Return what was heard; of transforms all that are missing instead of the first one."""
    reasons = found | cameras.problems
    if cameras.links:
        reasons = {k: v for k, v in reasons.items() if not k.startswith(Problem.NO_TRANSFORM.value)}
    return [*reasons.values(), *cameras.links]


def _lenses(cameras: Mapping[str, CameraCalibration]) -> list[str]:
    return [
        f"{name}: {each.width} x {each.height}, focal length {each.intrinsic[0, 0]:.0f} px, "
        f"lens {each.distortion_model}, {each.base_from_camera[2, 3]:.2f} m above the base"
        for name, each in cameras.items()
    ]


def parameters(report: BagReport, options: BagOptions) -> dict[str, object]:
    """Return the parameters of the node that read the same topics, in groups.

    Whatever else the parameter file says that was read is kept, but not what is for other nodes.
    """
    cameras = report.topics.cameras
    names = [camera.name for camera in cameras]
    p = options.parameters
    found: dict[str, object] = {
        "cameras.names": names,
        "cameras.image_topics": [
            camera.image_topic.removesuffix("/compressed") for camera in cameras
        ],
        "cameras.info_topics": [camera.info_topic for camera in cameras],
        "cameras.transports": ["compressed" if camera.packed else "raw" for camera in cameras],
        "cameras.rectified": [camera.settings.rectified for camera in cameras],
        "cameras.reductions": [camera.settings.reduction for camera in cameras],
        "cameras.frame_ids": [camera.settings.frame_id for camera in cameras],
        "frames.fixed": p.frames.fixed,
        "frames.base": p.frames.base,
        "pose.source": p.pose.source,
    }
    if p.pose.odometry:
        found["pose.odometry_topic"] = p.pose.odometry
    offsets_ns = p.sync_config(names).offsets_ns
    if offsets_ns:
        # In the order of the cameras, which may have been given by hand.
        found["sync.offsets_s"] = [offsets_ns[name] / 1e9 for name in names]
    if report.simulated_time is not None:
        found["use_sim_time"] = report.simulated_time
    kept = {name: value for name, value in options.given.items() if is_of_node(name)}
    return _nested({**kept, **found})


def _nested(values: Mapping[str, object]) -> dict[str, Any]:
    """Make groups of dotted names."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        group = nested
        for each in path:
            group = group.setdefault(each, {})
        group[last] = value
    return nested
