"""How a bag is read: the settings of the node that concern its inputs, for use without ROS."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.source import SourceError
from streampetr_ros.ingest.sync.types import SyncConfig
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR
from streampetr_ros.parameters.tree import REMOVED, unknown_name_text
from streampetr_ros.parameters.wiring import (
    PER_CAMERA,
    CameraSettings,
    SyncSeconds,
    WiringError,
    spread_cameras,
)

#: Of the node, where a parameter file names cameras but not these.
_TOPICS = {"image_topics": ["{camera}/image_raw"], "info_topics": ["{camera}/camera_info"]}


def _roof_lidar() -> Array:
    return BASE_FROM_NUSCENES_LIDAR


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BagOptions:
    """What the bag itself does not tell; the defaults are those of the node.

    Attributes:
        cameras: in the order of the training data; empty takes all that are found by type.
        fixed_frame: frame that does not move and does not jump.
        base_frame: vehicle frame of the boxes.
        model_frame: TF frame the network predicts in; empty uses `base_from_model`.
        base_from_model: (4, 4) mounting of the model frame.
        odometry_topic: takes the vehicle pose from here; empty takes it from TF.
        sync: settings of the synchroniser but the cameras, as `SyncConfig` names them.
        history_s: seconds that transforms are kept.
        patience_s: seconds of the recording that a frame set waits for its transforms.
        reliability: QoS of the node's image and CameraInfo subscriptions.
        given: all that the parameter file says, by dotted name.
    """

    cameras: tuple[CameraSettings, ...] = ()
    fixed_frame: str = "odom"
    base_frame: str = "base_link"
    model_frame: str = ""
    base_from_model: Array = field(default_factory=_roof_lidar)
    odometry_topic: str = ""
    sync: Mapping[str, Any] = field(default_factory=dict)
    history_s: float = 10.0
    patience_s: float = 1.0
    reliability: str = "best_effort"
    # Not shown: a replay goes on where it was although something else of the file has changed.
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def sync_config(self, cameras: tuple[str, ...]) -> SyncConfig:
        """Return the synchroniser's configuration.

        Raises:
            SourceError: if the settings do not fit the cameras.
        """
        try:
            return SyncConfig(cameras=cameras, **{**SyncSeconds().fields(cameras), **self.sync})
        except ValueError as error:
            raise SourceError(f"settings of the synchroniser: {error}") from error


def read_parameters(path: Path) -> BagOptions:
    """Read the inputs from a parameter file of the node.

    Raises:
        SourceError: if the file cannot be read or is no parameter file.
    """
    values = _parameters(path)

    def chosen(name: str, default: Any) -> Any:
        return values.get(name, default)

    plain = BagOptions()

    def three(name: str, default: list[float]) -> Array:
        return _three_numbers(path, f"frames.{name}", chosen(f"frames.{name}", default))

    rotation = euler2mat(*three("model_rpy", [0.0, 0.0, -math.pi / 2]))
    return BagOptions(
        cameras=_cameras(path, values),
        fixed_frame=chosen("frames.fixed", plain.fixed_frame),
        base_frame=chosen("frames.base", plain.base_frame),
        model_frame=chosen("frames.model", ""),
        base_from_model=geometry.transform_from_parts(
            three("model_xyz", [0.94, 0.0, 1.84]), rotation
        ),
        odometry_topic=chosen("pose.odometry_topic", "odometry")
        if chosen("pose.source", "tf") == "odometry"
        else "",
        sync=_sync(path, values),
        history_s=chosen("pose.history_s", plain.history_s),
        reliability=chosen("cameras.reliability", plain.reliability),
        given=values,
    )


def read_model(path: Path | None) -> dict[str, str]:
    """Read what a parameter file says under ``model``: name, weights, backend and device.

    Args:
        path: parameter file of the node; None says nothing.

    Raises:
        SourceError: if the file cannot be read or is no parameter file.
    """
    values = {} if path is None else _parameters(path)
    names = ("name", "weights", "backend", "device", "precision")
    return {name: str(values[f"model.{name}"]) for name in names if values.get(f"model.{name}")}


def bag_options(
    params: Path | None, cameras: Sequence[str], names: tuple[str, str, str]
) -> BagOptions:
    """Join a parameter file and what is given by hand, which counts more.

    Args:
        params: parameter file of the node; None uses the defaults.
        cameras: NAME=IMAGE_TOPIC[,INFO_TOPIC] each.
        names: fixed frame, base frame and odometry topic; empty ones are not given.

    Raises:
        SourceError: if the file or an entry cannot be used.
    """
    options = BagOptions() if params is None else read_parameters(params)
    given = zip(("fixed_frame", "base_frame", "odometry_topic"), names, strict=True)
    changes: dict[str, Any] = {name: value for name, value in given if value}
    if cameras:
        changes["cameras"] = tuple(_wiring(text) for text in cameras)
    return replace(options, **changes)


def _wiring(text: str) -> CameraSettings:
    name, _, topics = text.partition("=")
    image_topic, _, info_topic = topics.partition(",")
    if not name or not image_topic:
        raise SourceError(
            f"--camera '{text}' must be NAME=IMAGE_TOPIC or NAME=IMAGE_TOPIC,INFO_TOPIC"
        )
    return CameraSettings(name=name, image_topic=image_topic, info_topic=info_topic)


def _parameters(path: Path) -> dict[str, Any]:
    """Flatten all ``ros__parameters`` of a file to dotted names."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot read parameter file '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"parameter file '{path}' is not UTF-8 text ({error.reason} at byte {error.start}); "
            "save it as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"parameter file '{path}' is not valid YAML: {reason}") from error
    nodes = content.values() if isinstance(content, Mapping) else []
    groups = [node["ros__parameters"] for node in nodes if _has_parameters(node)]
    if not groups:
        raise SourceError(
            f"parameter file '{path}' has no 'ros__parameters'; give a file as "
            "config/streampetr.yaml"
        )
    values = {name: value for group in groups for name, value in _flat(group, "")}
    for name in values.keys() & REMOVED.keys():
        raise SourceError(f"parameter file '{path}': {unknown_name_text(name, ())}")
    return values


def _has_parameters(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("ros__parameters"), Mapping)


def _flat(group: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in group.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _three_numbers(path: Path, name: str, value: object) -> Array:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise SourceError(
            f"parameter file '{path}': parameter '{name}' must hold three finite numbers, "
            f"got {value!r}"
        )
    return numbers


def _cameras(path: Path, values: Mapping[str, Any]) -> tuple[CameraSettings, ...]:
    names = values.get("cameras.names", [])
    given = {name: values[f"cameras.{name}"] for name in PER_CAMERA if f"cameras.{name}" in values}
    try:
        return spread_cameras(names, {**_TOPICS, **given}) if names else ()
    except WiringError as error:
        raise SourceError(f"parameter file '{path}': {error}") from error


def _sync(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    given = {
        field.name: values[f"sync.{field.name}"]
        for field in fields(SyncSeconds)
        if f"sync.{field.name}" in values
    }
    try:
        return SyncSeconds(**given).fields(values.get("cameras.names", []))
    except WiringError as error:
        raise SourceError(f"parameter file '{path}': {error}") from error
