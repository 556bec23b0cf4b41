"""What the stamps and pictures of a whole recording say: rhythm, clocks, order, frozen cameras.

The synchroniser of the node is asked; nothing is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    cameras = {camera.image_topic: camera.name for camera in topics.cameras}
    listener = _Listener(FrameSetSynchroniser(config), cameras)
    damage: tuple[str, ...] = ()
    try:
        listener.hear(recording, seconds, look=config.frozen_after > 0)
    except SourceError as error:
        damage = (str(error),)
    places = {name: topic for topic, name in cameras.items()}
    statistics = listener.sync.statistics(listener.now_ns)
    if not statistics.period_ns:
        unknown = "rates and period are not known yet: a longer time is needed"
        troubles = _all(statistics, places)
        return StampReport(facts=(unknown,), problems=(*damage, *troubles), period_s=0.0)
    return StampReport(
        facts=_timing(statistics),
        problems=(
            *damage,
            *_restarts(statistics),
            *_no_sets(statistics),
            *_all(statistics, places),
        ),
        period_s=statistics.period_ns * 1e-9,
    )


class _Listener:
    """Plays images into a synchroniser; record times stand in for the clock."""

    def __init__(self, sync: FrameSetSynchroniser[None], cameras: Mapping[str, str]) -> None:
        self.sync = sync
        self.now_ns = 0
        self._cameras = cameras

    def hear(self, recording: Recording, seconds: float, *, look: bool) -> None:
        """Add the images of some seconds; `look` compares their pictures."""
        end_ns = math.inf
        for message in recording.messages(self._cameras):
            self.now_ns = message.recorded_ns
            end_ns = min(end_ns, self.now_ns + seconds * 1e9)
            if self.now_ns > end_ns:
                break
            image = StampedImage(
                camera=self._cameras[message.topic],
                stamp_ns=stamp_ns_from(message.content.header.stamp),
                payload=None,
                fingerprint=fingerprint(message.content) if look else None,
            )
            self.sync.add(image, self.now_ns)


def _timing(statistics: SyncStatistics) -> tuple[str, ...]:
    """Say period, rates, places in the cycle, order of the stamps and number of sets."""
    period_ns = statistics.period_ns or 0
    ordered = not any(each.reordered for each in statistics.cameras)
    most = max(each.received for each in statistics.cameras)
    return (
        f"a frame set every {period_ns * 1e-9:.3f} s",
        *(
            f"{each.name}: {each.rate_hz:.1f} Hz, fires {each.offset_ns * 1e-6:.0f} ms into a cycle"
            for each in statistics.cameras
        ),
        *(["stamps of each camera increase"] if ordered else []),
        f"images of up to {most} cycles make {statistics.complete} complete frame sets"
        + (f" and {statistics.degraded} of fewer cameras" if statistics.degraded else ""),
    )


def _restarts(statistics: SyncStatistics) -> list[str]:
    if not statistics.restarts:
        return []
    return [
        f"the clock of most cameras jumps {statistics.restarts} time(s), at last: "
        f"{statistics.last_restart}; memory and tracks start afresh there, so let nothing set the "
        "clock while recording, and record every drive as a bag of its own"
    ]


def _no_sets(statistics: SyncStatistics) -> list[str]:
    if statistics.complete or statistics.degraded or not statistics.waiting_for:
        return []
    return [f"no frame set can be made: {statistics.waiting_for}"]


def _all(statistics: SyncStatistics, places: Mapping[str, str]) -> list[str]:
    return [
        f"{camera.name} on '{places[camera.name]}': {sentence}"
        for camera in statistics.cameras
        for sentence in (*_drops(camera), *_order(camera), *_troubles(camera))
    ]


def _drops(camera: CameraStatistics) -> list[str]:
    # What is known about a clock that is wrong still is said better by the synchroniser.
    faults = [
        reason
        for reason in _FAULTS
        if camera.dropped.get(reason)
        and not (reason is DropReason.IMPLAUSIBLE_STAMP and camera.problems)
    ]
    found = [
        f"{camera.dropped[reason]} of {camera.received} images are not usable, {reason.value}: "
        f"{DROP_REMEDIES[reason]}"
        for reason in faults
    ]
    if camera.repeated and DropReason.FROZEN not in faults:
        found.append(
            f"{camera.repeated} of {camera.received} images show the same picture as the one "
            "before under a new stamp; look for a driver or a converter that repeats frames"
        )
    return found


def _order(camera: CameraStatistics) -> list[str]:
    if not camera.reordered:
        return []
    return [
        f"{camera.reordered} of {camera.received} images come after newer ones, so their sets may "
        "have left without them; publish and record them in the order of their stamps"
    ]


def _troubles(camera: CameraStatistics) -> Sequence[str]:
    return () if _SAID.intersection(camera.dropped) else camera.problems
