"""What the stamps and pictures of a whole recording say: rhythm, clocks, order, frozen cameras.

The synchroniser of the node is asked; nothing is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streampetr_ros.core.source import SourceError
from streampetr_ros.ingest.messages import fingerprint, stamp_ns_from
from streampetr_ros.ingest.sync.report import DROP_REMEDIES
from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser
from streampetr_ros.ingest.sync.types import (
    CameraStatistics,
    DropReason,
    StampedImage,
    SyncStatistics,
)
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.log import Recording
from streampetr_ros.sources.bag.topics import BagTopics

#: Drops that the camera itself is to blame for.
_FAULTS = (
    DropReason.ZERO_STAMP,
    DropReason.DUPLICATE,
    DropReason.FROZEN,
    DropReason.IMPLAUSIBLE_STAMP,
)
#: Of these the synchroniser has no more to say than that they were dropped.
_SAID = {DropReason.ZERO_STAMP, DropReason.FROZEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class StampReport:
    """What was found.

    Attributes:
        facts: sentences about what is there.
        problems: sentences about what is wrong, with remedies.
        period_s: time between frame sets; 0 if it is not known.
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    period_s: float


def check_stamps(
    recording: Recording, topics: BagTopics, options: BagOptions, seconds: float
) -> StampReport:
    """Give the images to the synchroniser and ask what it thinks of them.

    Args:
        recording: where they are.
        topics: of the images.
        options: settings of the synchroniser.
        seconds: from the first image on.

    Raises:
        SourceError: if these settings do not fit the cameras.
    """
    config = options.parameters.sync_config(tuple(camera.name for camera in topics.cameras))
    places = {camera.name: camera.image_topic for camera in topics.cameras}
    names = {topic: name for name, topic in places.items()}
    sync: FrameSetSynchroniser[None] = FrameSetSynchroniser(config)
    # Record times stand in for the clock.
    now_ns, end_ns = 0, math.inf
    damage: list[str] = []
    try:
        for message in recording.messages(names):
            now_ns = message.recorded_ns
            end_ns = min(end_ns, now_ns + seconds * 1e9)
            if now_ns > end_ns:
                break
            image = StampedImage(
                camera=names[message.topic],
                stamp_ns=stamp_ns_from(message.content.header.stamp),
                payload=None,
                fingerprint=fingerprint(message.content) if config.frozen_after > 0 else None,
            )
            sync.add(image, now_ns)
    except SourceError as error:
        damage.append(str(error))
    statistics = sync.statistics(now_ns)
    return StampReport(
        facts=tuple(_facts(statistics)),
        problems=(*damage, *_problems(statistics, places)),
        period_s=(statistics.period_ns or 0) * 1e-9,
    )


def _facts(statistics: SyncStatistics) -> Iterator[str]:
    """Say period, rates, places in the cycle, order of the stamps and number of sets."""
    if not statistics.period_ns:
        yield "rates and period are not known yet: a longer time is needed"
        return
    yield f"a frame set every {statistics.period_ns * 1e-9:.3f} s"
    for each in statistics.cameras:
        yield (
            f"{each.name}: {each.rate_hz:.1f} Hz, fires {each.offset_ns * 1e-6:.0f} ms into a cycle"
        )
    if not any(each.reordered for each in statistics.cameras):
        yield "stamps of each camera increase"
    most = max(each.received for each in statistics.cameras)
    fewer = f" and {statistics.degraded} of fewer cameras" if statistics.degraded else ""
    yield f"images of up to {most} cycles make {statistics.complete} complete frame sets{fewer}"


def _problems(statistics: SyncStatistics, places: Mapping[str, str]) -> Iterator[str]:
    if statistics.period_ns and statistics.restarts:
        yield (
            f"the clock of most cameras jumps {statistics.restarts} time(s), at last: "
            f"{statistics.last_restart}; memory and tracks start afresh there, so let nothing set "
            "the clock while recording, and record every drive as a bag of its own"
        )
    made = statistics.complete or statistics.degraded
    if statistics.period_ns and not made and statistics.waiting_for:
        yield f"no frame set can be made: {statistics.waiting_for}"
    for camera in statistics.cameras:
        for sentence in _of_camera(camera):
            yield f"{camera.name} on '{places[camera.name]}': {sentence}"


def _of_camera(camera: CameraStatistics) -> Iterator[str]:
    # What is known about a clock that is wrong still is said better by the synchroniser.
    faults = [
        reason
        for reason in _FAULTS
        if camera.dropped.get(reason)
        and not (reason is DropReason.IMPLAUSIBLE_STAMP and camera.problems)
    ]
    for reason in faults:
        yield (
            f"{camera.dropped[reason]} of {camera.received} images are not usable, {reason.value}: "
            f"{DROP_REMEDIES[reason]}"
        )
    if camera.repeated and DropReason.FROZEN not in faults:
        yield (
            f"{camera.repeated} of {camera.received} images show the same picture as the one "
            "before under a new stamp; look for a driver or a converter that repeats frames"
        )
    if camera.reordered:
        yield (
            f"{camera.reordered} of {camera.received} images come after newer ones, so their sets "
            "may have left without them; publish and record them in the order of their stamps"
        )
    if not _SAID.intersection(camera.dropped):
        yield from camera.problems
