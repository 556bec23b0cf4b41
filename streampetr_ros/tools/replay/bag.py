"""A bag beside a replay: what it saw, with its boxes as markers and drawn on the pictures.

Foxglove and RViz open it, and ``ros2 bag play`` plays it.
"""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

import yaml

from streampetr_ros.core.types import FrameSet
from streampetr_ros.messages import cdr
from streampetr_ros.messages.marker_scene import MARKER_TOPICS, MarkerWriter
from streampetr_ros.messages.pictures import PictureWriter
from streampetr_ros.messages.results import SetReport, SetResult
from streampetr_ros.messages.vehicle import FrameNames, optical_frame_name
from streampetr_ros.sources.bag.file import BagFile
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.sources.bag.writer import BagWriter, write_frame_set
from streampetr_ros.tools.replay.records import ResultRecord, recorded_detections, recorded_tracks
from streampetr_ros.viz.frame_picture import PictureOptions

#: Stamps this much before the recording are of another clock.
_CLOCKS_NS = 60_000_000_000

RESULT_BAG = "results"
#: Topics lie where the node has them, so that the layouts of viewers show what is in the bag.
_NODE = "/streampetr"
_METADATA, _CONTENT = "metadata.yaml", f"{RESULT_BAG}_0.mcap"


def write_result_bag(
    source: BagSource | Iterable[FrameSet],
    records: Sequence[ResultRecord],
    folder: Path,
    drawing: PictureOptions,
    *,
    tracked: bool,
) -> None:
    """Write the bag, completely or not at all.

    Args:
        source: what was replayed; messages of a bag are copied as they are.
        records: results, one per frame set.
        folder: of the replay.
        drawing: lowest score of detections drawn, and caption.
        tracked: whether pictures show tracks instead of detections.

    Raises:
        SourceError: if there is something in its place, or a mounting changes.
    """
    frames = FrameNames()
    if isinstance(source, BagSource):
        named = source.options.parameters.frames
        frames = FrameNames(fixed=named.fixed, base=named.base)
    with BagWriter(folder / RESULT_BAG) as bag:
        results = _Results(bag, drawing, frames, tracked)
        if isinstance(source, BagSource) and isinstance(source.file, BagFile):
            _copy(bag, source, source.file, records, results)
        else:
            _write(bag, source, records, results)


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
    return written_here and {topic.replace("~", _NODE) for topic in MARKER_TOPICS} <= topics


def remove_result_bag(folder: Path) -> None:
    """Remove the bag of an earlier replay; a folder that is anything else stays.

    Args:
        folder: of the replay.
    """
    if is_result_bag(folder / RESULT_BAG):
        shutil.rmtree(folder / RESULT_BAG)


class _Results:
    """Writes what was found in frame sets, as the node shows it by default.

    Args:
        bag: to write to.
        drawing: lowest score of detections drawn, and caption.
        frames: TF names.
        tracked: whether pictures show tracks instead of detections.
    """

    def __init__(
        self,
        bag: BagWriter,
        drawing: PictureOptions,
        frames: FrameNames,
        tracked: bool,
    ) -> None:
        self._bag, self._drawing = bag, drawing
        self._base_frame = frames.base
        self._markers = MarkerWriter(cdr.types, frames.fixed)
        self._pictures = PictureWriter(cdr.types, (), tracked)
        self._restarts = 0

    def write(
        self,
        frame_set: FrameSet,
        record: ResultRecord,
        camera_frames: Mapping[str, str],
        recorded_ns: int,
    ) -> None:
        """Write the markers of detections of a score and of tracks, and the pictures."""
        result = self._result(frame_set, record, camera_frames)
        self._restarts += bool(result.report.reset_reason)
        markers = self._markers.write(result, self._restarts)
        made = {**dict(zip(MARKER_TOPICS, markers, strict=True)), **self._pictures.write(result)}
        for topic, make in made.items():
            self._bag.write(topic.replace("~", _NODE, 1), make(), recorded_ns)

    def _result(
        self, frame_set: FrameSet, record: ResultRecord, camera_frames: Mapping[str, str]
    ) -> SetResult:
        report = SetReport(
            model=self._drawing.caption,
            base_frame=self._base_frame,
            cameras_expected=len(camera_frames),
            camera_stamps_ns={each.calibration.name: each.stamp_ns for each in frame_set.cameras},
            reset_reason=record["reset_reason"] or "",
        )
        return SetResult(
            frame_set=frame_set,
            detections=recorded_detections(record, self._drawing.draw_above),
            tracks=recorded_tracks(record),
            report=report,
            camera_frames=camera_frames,
        )


def _copy(
    bag: BagWriter,
    source: BagSource,
    file: BagFile,
    records: Sequence[ResultRecord],
    results: _Results,
) -> None:
    """Copy the messages that were read, and put each result where it came."""
    camera_frames, shift_ns = _camera_frames(source), _shift_ns(file, records)
    copied = (
        (m.recorded_ns, partial(bag.copy, m)) for m in file.raw_messages(source.topics.names())
    )
    # Read once more for the pictures, of whose problems the user has heard.
    frame_sets = BagSource(file, source.options)
    written = (
        (
            at := record["stamp_ns"] + shift_ns,
            partial(results.write, each, record, camera_frames, at),
        )
        for each, record in zip(frame_sets, records, strict=False)
    )
    for _, write in heapq.merge(copied, written, key=itemgetter(0)):
        write()


def _camera_frames(source: BagSource) -> dict[str, str]:
    """Return the TF name of each camera: the given one, or that of its images."""
    frames = {}
    for camera in source.topics.cameras:
        first = next(iter(source.file.messages([camera.image_topic])))
        frames[camera.name] = camera.settings.frame_id or first.content.header.frame_id
    return frames


def _shift_ns(file: BagFile, records: Sequence[ResultRecord]) -> int:
    """Return what turns stamps into times of recording, if the two are of different clocks."""
    first_ns = min((record["stamp_ns"] for record in records), default=0)
    same = file.start_ns - _CLOCKS_NS <= first_ns <= file.end_ns
    return 0 if same else file.start_ns - first_ns


def _write(
    bag: BagWriter, source: Iterable[FrameSet], records: Sequence[ResultRecord], results: _Results
) -> None:
    for index, (frame_set, record) in enumerate(zip(source, records, strict=False)):
        write_frame_set(bag, frame_set, "jpeg", first=index == 0)
        names = [camera.calibration.name for camera in frame_set.cameras]
        camera_frames = {name: optical_frame_name(name) for name in names}
        results.write(frame_set, record, camera_frames, frame_set.stamp_ns)
