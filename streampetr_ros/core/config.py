"""YAML to frozen dataclasses and back; unknown keys are refused with the nearest known one."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from streampetr_ros.core.errors import UserError, nearest_name
from streampetr_ros.core.reading import read_yaml

T = TypeVar("T")


class ConfigError(UserError, ValueError):
    """A configuration that cannot be used; the message names file, key and remedy."""


def load_config(path: str | Path, kind: type[T]) -> T:
    """Read a YAML file into a dataclass.

    Args:
        path: YAML file; a mapping of field names to values, nested like the dataclass.
        kind: dataclass to fill; fields left out keep their defaults.

    Raises:
        FileError: if the file is missing or is no plain YAML.
        ConfigError: if it has an unknown key or a wrong type.
    """
    return from_mapping(kind, read_yaml(path, "configuration") or {}, str(path))


def from_mapping(kind: type[T], content: object, where: str = "configuration") -> T:
    """Build a dataclass from nested mappings.

    Args:
        kind: dataclass to fill.
        content: mapping of field names to plain values.
        where: prefix for messages.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, got {content!r}")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in content:
        if key not in names:
            near = nearest_name(str(key), names)
            raise ConfigError(f"{where}: unknown key '{key}'; did you mean '{near}'?")
    values = {key: _convert(hints[key], content[key], f"{where}: {key}") for key in content}
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {_missing(error)}") from error
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _missing(error: TypeError) -> str:
    text = str(error)
    return "missing " + text.rsplit(":", maxsplit=1)[-1].strip() if "missing" in text else text


def to_mapping(value: object) -> Any:
    """Turn a dataclass into plain values that YAML can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_mapping(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_mapping(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_mapping(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def dump_config(config: object, path: str | Path) -> None:
    """Write a configuration as YAML with every default spelled out."""
    text = yaml.safe_dump(to_mapping(config), sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")


def _convert(hint: Any, value: object, where: str) -> Any:
    """Check a plain value against a type hint and convert it."""
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, where)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, where)
    if origin is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    wrong_bool = isinstance(value, bool) and hint is not bool
    if isinstance(hint, type) and isinstance(value, hint) and not wrong_bool:
        return value
    name = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{where}: expected {name}, got {value!r}")


def _convert_union(options: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    return _convert(rest[0], value, where)


def _convert_tuple(items: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: expected a list, got {value!r}")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_convert(items[0], item, where) for item in value)
    if len(items) != len(value):
        raise ConfigError(f"{where}: expected {len(items)} values, got {len(value)}")
    return tuple(_convert(hint, item, where) for hint, item in zip(items, value, strict=True))
