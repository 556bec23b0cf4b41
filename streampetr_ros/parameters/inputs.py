"""Parameters of what the node takes in: images, poses, and how they become frame sets."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.parameter import RUN, parameter
from streampetr_ros.ingest.assembly import CameraSettings
from streampetr_ros.ingest.pictures.pixels import REDUCTIONS
from streampetr_ros.ingest.transforms.tree import TransformTree
from streampetr_ros.nuscenes.car import CAMERA_ORDER

#: Settings of a camera that are topics, in which the camera's name may stand for itself.
_TOPICS = ("image_topic", "info_topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraParameters:
    """Where images and calibration come from; lists hold one value for all or one per camera."""

    names: tuple[str, ...] = parameter(
        CAMERA_ORDER,
        "Camera names; keep the order of the training data, which published weights depend on",
    )
    image_topics: tuple[str, ...] = parameter(
        ("{camera}/image_raw",), "Image topic; {camera} stands for the name"
    )
    info_topics: tuple[str, ...] = parameter(
        ("{camera}/camera_info",), "CameraInfo topic; {camera} stands for the name"
    )
    transports: tuple[str, ...] = parameter(
        ("auto",),
        "raw takes the image topic, compressed takes image topic + /compressed, auto whichever "
        "delivers first",
        choices=("auto", "raw", "compressed"),
    )
    rectified: tuple[bool, ...] = parameter(
        (False,), "Whether images are rectified already, so that P of CameraInfo applies"
    )
    reductions: tuple[int, ...] = parameter(
        (1,),
        "Decode pictures 1, 2, 4 or 8 times narrower and lower: less CPU time, pixels close to the "
        "exact ones (1); they must stay as large as the network's",
        between=(1, 8),
    )
    frame_ids: tuple[str, ...] = parameter(
        ("",), "Optical frame of the camera; empty takes frame_id of the image's header"
    )
    reliability: str = parameter(
        "best_effort",
        "QoS of image and CameraInfo subscriptions; best_effort matches every publisher",
        choices=("best_effort", "reliable"),
    )
    depth: int = parameter(2, "Messages the middleware keeps per image topic", between=(1, 5))
    decode_threads: int = parameter(
        2, "Threads that decode and prepare images side by side", between=(1, 16)
    )
    masks_file: str = parameter(
        "",
        "YAML file: camera name to polygons of image fractions that show the own vehicle",
        changes=RUN,
    )

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names) or not all(self.names):
            raise ConfigError(
                f"cameras.names {list(self.names)} must be different, non-empty names"
            )
        wrong = [value for value in self.reductions if value not in REDUCTIONS]
        if wrong:
            raise ConfigError(
                f"parameter 'cameras.reductions' holds {wrong[0]} but must be one of "
                f"{', '.join(map(str, REDUCTIONS))}"
            )
        cameras = self.settings()
        for topic in _TOPICS:
            if len({getattr(camera, topic) for camera in cameras}) != len(cameras):
                raise ConfigError(
                    f"parameter 'cameras.{topic}s' gives several cameras one topic; write "
                    "{camera} into it or name a topic for each"
                )

    def settings(self) -> tuple[CameraSettings, ...]:
        """Spread the lists over the cameras.

        Raises:
            ConfigError: if a list or a topic does not fit the cameras.
        """
        columns = {
            field.name: self._column(field.name)
            for field in fields(CameraSettings)
            if field.name != "name"
        }
        return tuple(
            CameraSettings(name=name, **{key: column[row] for key, column in columns.items()})
            for row, name in enumerate(self.names)
        )

    def _column(self, setting: str) -> Sequence[Any]:
        """Return a setting of every camera."""
        name = setting if setting == "rectified" else f"{setting}s"
        values: Sequence[Any] = getattr(self, name)
        count = len(self.names)
        if len(values) not in (1, count):
            raise ConfigError(
                f"parameter 'cameras.{name}' holds {len(values)} values but must hold one, or one "
                f"for each of the {count} cameras of cameras.names"
            )
        each = values if len(values) == count else [*values] * count
        return list(map(_filled, each, self.names)) if setting in _TOPICS else each


def _filled(topic: str, camera: str) -> str:
    """Put the camera's name into a topic."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(topic) if name is not None]
    except ValueError as error:
        raise ConfigError(f"topic '{topic}' has unmatched braces") from error
    if any(name != "camera" for name in names):
        raise ConfigError(f"topic '{topic}' may contain {{camera}} but no other braces")
    return topic.replace("{camera}", camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseParameters:
    """Where the vehicle's pose and the mounting of the cameras come from."""

    source: str = parameter(
        "tf",
        "tf, or odometry to take the vehicle pose from pose.odometry_topic and mountings from TF",
        choices=("tf", "odometry"),
    )
    odometry_topic: str = parameter("odometry", "nav_msgs/Odometry topic, used by source odometry")
    extrapolation_s: float = parameter(
        0.0,
        "How far beyond its newest pose a transform may be continued, s; as in tf2, 0 never does",
        between=(0.0, 1.0),
    )
    history_s: float = parameter(10.0, "Time that transforms are kept, s", between=(1.0, 600.0))
    timeout_s: float = parameter(
        0.1,
        "Longest wait for the transforms of a frame set, s; the executor never waits",
        between=(0.0, 10.0),
        changes=RUN,
    )

    @property
    def odometry(self) -> str:
        """Topic of the vehicle pose; empty takes it from TF."""
        return self.odometry_topic if self.source == "odometry" else ""

    def transform_tree(self) -> TransformTree:
        """Make a tree that keeps transforms for that long."""
        return TransformTree(round(self.history_s * 1e9), round(self.extrapolation_s * 1e9))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncParameters:
    """How images become frame sets."""

    policy: str = parameter(
        "own",
        "own groups by learned firing offsets; approximate and exact are the policies of "
        "message_filters",
        choices=("own", "approximate", "exact"),
    )
    min_cameras: int = parameter(
        0, "Fewest cameras of a frame set; 0 demands all of them", between=(0, 64)
    )
    wait_s: float = parameter(
        -1.0,
        "How long a camera may be overdue before a set leaves without it, s; -1: half a period",
        between=(-1.0, 10.0),
    )
    period_s: float = parameter(
        0.0, "Time between exposure cycles, s; 0 measures it", between=(0.0, 60.0)
    )
    window_s: float = parameter(
        0.0,
        "Largest distance of a stamp from its place in the cycle, s; 0 derives it from the period",
        between=(0.0, 30.0),
    )
    offsets_s: tuple[float, ...] = parameter(
        (-1.0,),
        "Firing time of each camera within a cycle, s; a single -1 learns them",
        between=(-1.0, 60.0),
    )
    frozen_after: int = parameter(
        5,
        "Equal pictures in a row from which a camera counts as frozen; 0 never",
        between=(0, 1000),
    )
    queue: int = parameter(10, "Queue of the message_filters policies", between=(1, 100))
    slop_s: float = parameter(
        0.05, "Slop of the approximate policy of message_filters, s", between=(0.0, 10.0)
    )
