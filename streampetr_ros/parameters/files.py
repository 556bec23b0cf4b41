"""Parameter files of ROS: YAML, any number of nodes, each with its ``ros__parameters``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.reading import read_yaml


def read_parameter_file(path: Path) -> dict[str, Any]:
    """Read all parameters of a file by dotted name, whatever nodes they are for; none if empty.

    Raises:
        FileError: if the file cannot be read or is no YAML.
        ConfigError: if it is no parameter file.
    """
    content = read_yaml(path, "parameter file")
    nodes = content.values() if isinstance(content, Mapping) else []
    groups = [node["ros__parameters"] for node in nodes if _has_parameters(node)]
    if not groups and content is not None:
        raise ConfigError(
            f"parameter file '{path}' has no 'ros__parameters'; give a file as "
            "config/streampetr.yaml"
        )
    return {name: value for group in groups for name, value in _flat(group, "")}


def _has_parameters(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("ros__parameters"), Mapping)


def _flat(group: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in group.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
