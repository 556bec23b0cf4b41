"""How a bag or a running vehicle is read without the node: by the node's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streampetr_ros.core.config import ConfigError
from streampetr_ros.ingest.assembly import CameraSettings
from streampetr_ros.parameters.files import read_parameter_file
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.tree import REMOVED, build, unknown_name_text


@dataclass(frozen=True, slots=True, kw_only=True)
class BagOptions:
    """What the bag itself does not tell.

    Attributes:
        parameters: of the node; its cameras count only where they are given.
        cameras: in the order of the training data; empty takes all that are found by type.
        given: all that the parameter file and the command line say, by dotted name.
    """

    parameters: NodeParameters = field(default_factory=NodeParameters)
    cameras: tuple[CameraSettings, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[object, ...]:
        """Return what frame sets depend on."""
        p = self.parameters
        return self.cameras, p.cameras.names, p.frames, p.pose, p.sync


def bag_options(
    path: Path | None = None, cameras: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> BagOptions:
    """Join a parameter file and what is given by hand, which counts more.

    Args:
        path: parameter file of the node; None uses the defaults.
        cameras: NAME=IMAGE_TOPIC[,INFO_TOPIC] each.
        given: parameters by dotted name; empty texts are not given.

    Raises:
        ConfigError: if the file cannot be read, or values cannot be used.
    """
    values = {} if path is None else read_parameter_file(path)
    values |= {name: value for name, value in (given or {}).items() if value}
    if given and given.get("pose.odometry_topic"):
        values["pose.source"] = "odometry"
    try:
        for name in values.keys() & REMOVED.keys():
            raise ConfigError(unknown_name_text(name, ()))
        parameters = build(NodeParameters, values)
    except ConfigError as error:
        raise ConfigError(f"parameter file '{path}': {error}" if path else str(error)) from error
    named = parameters.cameras.settings() if "cameras.names" in values else ()
    by_hand = tuple(map(_camera, cameras))
    return BagOptions(parameters=parameters, cameras=by_hand or named, given=values)


def _camera(text: str) -> CameraSettings:
    name, _, topics = text.partition("=")
    image_topic, _, info_topic = topics.partition(",")
    if not name or not image_topic:
        raise ConfigError(
            f"--camera '{text}' must be NAME=IMAGE_TOPIC or NAME=IMAGE_TOPIC,INFO_TOPIC"
        )
    return CameraSettings(name=name, image_topic=image_topic, info_topic=info_topic)
