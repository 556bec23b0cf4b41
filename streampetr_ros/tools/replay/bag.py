"""A bag beside a replay: what it saw, with its boxes as markers and drawn on the pictures.

Foxglove and RViz open it, and ``ros2 bag play`` plays it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.core.types import FrameSet
from streampetr_ros.messages.published import FrameNames, optical_frame
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.sources.bag.writer import BagWriter, write_frame_set
from streampetr_ros.tools.replay.markers import marker_array
from streampetr_ros.tools.replay.output import PictureOptions
from streampetr_ros.tools.replay.pictures import ResultPictures

#: Stamps this much before the recording are of another clock.
_CLOCKS_NS = 60_000_000_000

RESULT_BAG = "results"
#: Topics lie where the node has them, so that the layouts of viewers show what is in the bag.
_NODE = "/streampetr"
DETECTION_TOPIC, TRACK_TOPIC = f"{_NODE}/markers", f"{_NODE}/track_markers"
_METADATA, _CONTENT = "metadata.yaml", f"{RESULT_BAG}_0.mcap"

Record = Mapping[str, Any]


def write_result_bag(
    source: BagSource | Iterable[FrameSet],
    records: list[Record],
    folder: Path,
    drawing: PictureOptions,
    *,
    tracked: bool,
) -> Path:
    """Write the bag, completely or not at all.

    Args:
        source: what was replayed; messages of a bag are copied as they are.
        records: results, one per frame set.
        folder: of the replay.
        drawing: lowest score of detections drawn, and caption.
        tracked: whether pictures show tracks instead of detections.

    Returns:
        Folder of the bag.

    Raises:
        SourceError: if there is something in its place, or a mounting changes.
    """
    target = folder / RESULT_BAG
    with BagWriter(target) as bag:
        if isinstance(source, BagSource):
            results = _Results(bag, drawing, tracked, source.options.base_frame)
            _copy(bag, source, records, results)
        else:
            results = _Results(bag, drawing, tracked, FrameNames().base)
            _write(bag, source, records, results)
    return target


def is_result_bag(bag: Path) -> bool:
    """Tell whether a folder is a bag that `write_result_bag` wrote, with nothing else in it."""
    if bag.is_symlink() or not bag.is_dir():
        return False
    if {each.name for each in bag.iterdir()} != {_METADATA, _CONTENT}:
        return False
    try:
        metadata = yaml.safe_load((bag / _METADATA).read_text(encoding="utf-8"))
        about = metadata["rosbag2_bagfile_information"]
        topics = {each["topic_metadata"]["name"] for each in about["topics_with_message_count"]}
        # Bags of the node's own topics, recorded by ROS, name the distribution of ROS.
        written_here = about["ros_distro"] == "rosbags"
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return False
    return written_here and {DETECTION_TOPIC, TRACK_TOPIC} <= topics


def remove_result_bag(folder: Path) -> None:
    """Remove the bag of an earlier replay; a folder that is anything else stays.

    Args:
        folder: of the replay.
    """
    if is_result_bag(folder / RESULT_BAG):
        shutil.rmtree(folder / RESULT_BAG)


class _Results:
    """Writes what was found in frame sets.

    Args:
        bag: to write to.
        drawing: lowest score of detections drawn, and caption.
        tracked: whether pictures show tracks instead of detections.
        base_frame: TF name of the vehicle frame.
    """

    def __init__(
        self, bag: BagWriter, drawing: PictureOptions, tracked: bool, base_frame: str
    ) -> None:
        self._bag, self._drawing, self._tracked = bag, drawing, tracked
        self._base_frame = base_frame
        self._pictures = ResultPictures(_NODE, base_frame, drawing.caption)

    def write(
        self,
        frame_set: FrameSet,
        record: Record,
        camera_frames: Mapping[str, str],
        recorded_ns: int,
    ) -> None:
        """Write the markers of detections of a score and of tracks, and the pictures."""
        lowest, tracks = self._drawing.draw_above, record["tracks"]
        detections = [each for each in record["detections"] if each["score"] >= lowest]
        for topic, objects in ((DETECTION_TOPIC, detections), (TRACK_TOPIC, tracks)):
            markers = marker_array(objects, record["stamp_ns"], self._base_frame)
            self._bag.write(topic, markers, recorded_ns)
        shown = tracks if self._tracked else detections
        for topic, picture in self._pictures.messages(frame_set, shown, camera_frames):
            self._bag.write(topic, picture, recorded_ns)


def _copy(bag: BagWriter, source: BagSource, records: list[Record], results: _Results) -> None:
    """Copy the messages that were read, and put each result where it came."""
    camera_frames, shift_ns = _camera_frames(source), _shift_ns(source, records)
    # Read once more for the pictures, of whose problems the user has heard.
    waiting = zip(BagSource(source.file, source.options), records, strict=False)
    next_one = next(waiting, None)
    for message in source.file.raw_messages(source.topics.names()):
        while next_one and next_one[1]["stamp_ns"] + shift_ns < message.recorded_ns:
            _write_one(results, next_one, camera_frames, shift_ns)
            next_one = next(waiting, None)
        bag.copy(message)
    while next_one:
        _write_one(results, next_one, camera_frames, shift_ns)
        next_one = next(waiting, None)


def _write_one(
    results: _Results,
    one: tuple[FrameSet, Record],
    camera_frames: Mapping[str, str],
    shift_ns: int,
) -> None:
    frame_set, record = one
    results.write(frame_set, record, camera_frames, record["stamp_ns"] + shift_ns)


def _camera_frames(source: BagSource) -> dict[str, str]:
    """Return the TF name of each camera: the given one, or that of its images."""
    frames = {}
    for camera in source.topics.cameras:
        first = next(iter(source.file.messages([camera.image_topic])))
        frames[camera.name] = camera.wiring.frame_id or first.content.header.frame_id
    return frames


def _shift_ns(source: BagSource, records: list[Record]) -> int:
    """Return what turns stamps into times of recording, if the two are of different clocks."""
    first_ns = min((record["stamp_ns"] for record in records), default=0)
    same = source.file.start_ns - _CLOCKS_NS <= first_ns <= source.file.end_ns
    return 0 if same else source.file.start_ns - first_ns


def _write(
    bag: BagWriter, source: Iterable[FrameSet], records: list[Record], results: _Results
) -> None:
    for index, (frame_set, record) in enumerate(zip(source, records, strict=False)):
        write_frame_set(bag, frame_set, "jpeg", first=index == 0)
        names = [camera.calibration.name for camera in frame_set.cameras]
        camera_frames = {name: optical_frame(name) for name in names}
        results.write(frame_set, record, camera_frames, frame_set.stamp_ns)
