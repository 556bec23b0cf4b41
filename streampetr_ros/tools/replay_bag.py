"""A bag beside a replay: the images and transforms it saw, with its boxes as markers.

Foxglove and RViz open it, and ``ros2 bag play`` plays it.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from streampetr_ros.sources.bag import BagSource
from streampetr_ros.sources.bag_writer import BagWriter, write_frame_set
from streampetr_ros.sources.published import FrameNames
from streampetr_ros.tools.replay_markers import marker_array
from streampetr_ros.types import FrameSet

#: Stamps this much before the recording are of another clock.
_CLOCKS_NS = 60_000_000_000

RESULT_BAG = "results"
#: Topics of the node, so that the layouts of viewers show what is in the bag.
DETECTION_TOPIC, TRACK_TOPIC = "/streampetr/markers", "/streampetr/track_markers"

Record = Mapping[str, Any]


def write_result_bag(
    source: BagSource | Iterable[FrameSet], records: list[Record], folder: Path, min_score: float
) -> Path:
    """Write the bag, completely or not at all.

    Args:
        source: what was replayed; messages of a bag are copied as they are.
        records: results, one per frame set.
        folder: of the replay.
        min_score: lowest score of boxes drawn.

    Returns:
        Folder of the bag.
    """
    target = folder / RESULT_BAG
    # An earlier one is of other results.
    shutil.rmtree(target, ignore_errors=True)
    with BagWriter(target) as bag:
        if isinstance(source, BagSource):
            _copy(bag, source, records, min_score)
        else:
            _write(bag, source, records, min_score)
    return target


def _copy(bag: BagWriter, source: BagSource, records: list[Record], min_score: float) -> None:
    base, shift_ns = source.options.base_frame, _shift_ns(source, records)
    waiting = deque(sorted(records, key=lambda record: record["stamp_ns"]))

    def draw(record: Record) -> None:
        _draw(bag, record, base, min_score, record["stamp_ns"] + shift_ns)

    for message in source.file.raw_messages(source.topics.names()):
        while waiting and waiting[0]["stamp_ns"] + shift_ns < message.recorded_ns:
            draw(waiting.popleft())
        bag.copy(message)
    for record in waiting:
        draw(record)


def _shift_ns(source: BagSource, records: list[Record]) -> int:
    """Return what turns stamps into times of recording, if the two are of different clocks."""
    first_ns = min((record["stamp_ns"] for record in records), default=0)
    same = source.file.start_ns - _CLOCKS_NS <= first_ns <= source.file.end_ns
    return 0 if same else source.file.start_ns - first_ns


def _write(
    bag: BagWriter, source: Iterable[FrameSet], records: list[Record], min_score: float
) -> None:
    base = FrameNames().base
    for index, (frame_set, record) in enumerate(zip(source, records, strict=False)):
        write_frame_set(bag, frame_set, "jpeg", first=index == 0)
        _draw(bag, record, base, min_score, frame_set.stamp_ns)


def _draw(bag: BagWriter, record: Record, base: str, min_score: float, recorded_ns: int) -> None:
    """Write the markers of detections of a score, and of tracks."""
    detections = [each for each in record["detections"] if each["score"] >= min_score]
    for topic, objects in ((DETECTION_TOPIC, detections), (TRACK_TOPIC, record["tracks"])):
        bag.write(topic, marker_array(objects, record["stamp_ns"], base), recorded_ns)
