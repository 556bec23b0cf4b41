"""Each camera looked at on its own, so that the fault of one does not hide that of another."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streampetr_ros.core.geometry import Array
from streampetr_ros.core.problems import SkippedSet
from streampetr_ros.core.source import SourceError
from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.assembly import Assembler, Image, ImageMessage
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.ingest.pictures.pixels import Pixels
from streampetr_ros.ingest.sync.types import StampedImage
from streampetr_ros.ingest.transforms.tree import TransformTree, TransformUnavailable
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.log import BagMessage, Recording
from streampetr_ros.sources.bag.single_pass import bag_assembler
from streampetr_ros.sources.bag.topics import BagTopics, CameraTopics
from streampetr_ros.sources.checks.chain_check import missing_links, optical_name, transforms_about
from streampetr_ros.sources.checks.mounting_check import check_mountings

#: What is read of a recording to hear every topic once.
_MOST_MESSAGES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReport:
    """What was found.

    Attributes:
        problems: kind of problem to a sentence about it.
        links: sentences about transforms that are missing.
        mountings: sentences about cameras that cannot be mounted as they say.
        calibrations: of the cameras that have one and a mounting.
    """

    problems: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    mountings: list[str] = field(default_factory=list)
    calibrations: dict[str, CameraCalibration] = field(default_factory=dict)


def check_cameras(recording: Recording, topics: BagTopics, options: BagOptions) -> CameraReport:
    """Look at the first image and CameraInfo of each camera, and at the transforms they need.

    Args:
        recording: where the messages are.
        topics: to read.
        options: frames.
    """
    try:
        first = _first(recording, {name for each in topics.cameras for name in _topics(each)})
        images = {c.name: first[c.image_topic] for c in topics.cameras if c.image_topic in first}
        transforms = transforms_about(recording, topics, images.values())
    except SourceError as error:
        return CameraReport(problems={"damage": str(error)})
    report = CameraReport(links=missing_links(transforms, images, topics, options, recording.place))
    assembler = bag_assembler(options, topics, recording.place, {}, transforms.tree)
    pictures: dict[str, Pixels] = {}
    base_frame = options.parameters.frames.base
    for camera in topics.cameras:
        if all(topic in first for topic in _topics(camera)):
            mounting = _mounting(transforms.tree, base_frame, camera, images[camera.name])
            message, info = (first[topic].content for topic in _topics(camera))
            stamp_ns = stamp_ns_from(message.header.stamp)
            image = StampedImage(camera.name, stamp_ns, ImageMessage(message, camera.image_topic))
            pixels = _examine(assembler, (image, info), mounting, report)
            pictures.update({} if pixels is None else {camera.name: pixels})
    report.mountings.extend(check_mountings(report.calibrations, pictures))
    return report


def _topics(camera: CameraTopics) -> tuple[str, str]:
    return camera.image_topic, camera.info_topic


def _first(recording: Recording, names: Collection[str]) -> dict[str, BagMessage]:
    first: dict[str, BagMessage] = {}
    for count, message in enumerate(recording.messages(names)):
        if len(first) == len(names) or count == _MOST_MESSAGES:
            break
        first.setdefault(message.topic, message)
    return first


def _mounting(
    tree: TransformTree, base: str, camera: CameraTopics, image: BagMessage
) -> Array | None:
    stamp_ns = stamp_ns_from(image.content.header.stamp)
    try:
        return tree.lookup(base, optical_name(camera, image), stamp_ns)
    except TransformUnavailable:
        return None


def _examine(
    assembler: Assembler, messages: tuple[Image, Any], mounting: Array | None, report: CameraReport
) -> Pixels | None:
    """Note what is wrong with a camera's image and CameraInfo; return its picture."""
    image, info = messages
    # Intrinsics are looked at even where the mounting is not known.
    placed = np.eye(4) if mounting is None else mounting
    found = report.problems
    calibration = _tried(lambda: assembler.calibration(image, info, placed), found)
    pixels: Pixels | None = _tried(lambda: assembler.decode(image.camera, image.payload), found)
    if calibration is not None and pixels is not None:
        _tried(lambda: assembler.require_size(image, calibration, pixels), found)
    # Without its frame it is not known where the camera is mounted.
    frame = _tried(lambda: assembler.optical_frame(image, info), found)
    if frame is not None and calibration is not None and mounting is not None:
        report.calibrations[image.camera] = calibration
    return pixels


def _tried(part: Callable[[], Any], found: dict[str, str]) -> Any:
    try:
        return part()
    except SkippedSet as error:
        found[error.kind] = str(error)
        return None
