"""Parameter files of ROS: YAML, any number of nodes, each with its ``ros__parameters``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.core.config import ConfigError


def read_parameter_file(path: Path) -> dict[str, Any]:
    """Read all parameters of a file by dotted name, whatever nodes they are for; none if empty.

    Raises:
        ConfigError: if the file cannot be read or is no parameter file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read parameter file '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"parameter file '{path}' is not UTF-8 text ({error.reason} at byte {error.start}); "
            "save it as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"parameter file '{path}' is not valid YAML: {reason}") from error
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
