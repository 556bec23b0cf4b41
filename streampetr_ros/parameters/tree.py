"""Nested configurations as a tree of ROS parameters: names, checks and descriptions follow from it.

A field made by `core.parameter.parameter` is a leaf, whose ROS name is its path with dots
(``sync.window_s``). Fields that are declared otherwise are nobody's to set.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.errors import nearest_name
from streampetr_ros.core.parameter import CONFIGURE, RUN, START, Rule, Value

T = TypeVar("T")

#: Parameters of earlier versions: the version that removed them.
REMOVED = {"cameras.resize": "0.2.0", "pose.buffer": "0.2.0"}

_WHEN_TEXT = {
    START: "read-only",
    CONFIGURE: "while unconfigured",
    RUN: "at any time",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One ROS parameter.

    Attributes:
        name: dotted ROS name.
        kind: bool, int, float or str; of the elements if it is a list.
        is_list: whether it is a list of `kind`.
        length: of the list; 0 allows any but an empty one.
        default: value without an override.
        rule: description, range and when it may change.
    """

    name: str
    kind: type
    is_list: bool
    length: int
    default: Value
    rule: Rule


def leaves(kind: type, prefix: str = "") -> list[Leaf]:
    """List the ROS parameters of a dataclass in order of declaration."""
    hints = typing.get_type_hints(kind)
    found: list[Leaf] = []
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            found += leaves(hints[field.name], f"{name}.")
        elif "rule" in field.metadata:
            found.append(_leaf(name, hints[field.name], field))
    return found


def _leaf(name: str, hint: Any, field: dataclasses.Field[Any]) -> Leaf:
    is_list = typing.get_origin(hint) is tuple
    elements = typing.get_args(hint)
    return Leaf(
        name=name,
        kind=elements[0] if is_list else hint,
        is_list=is_list,
        length=len(elements) if is_list and elements[-1] is not Ellipsis else 0,
        default=typing.cast("Value", field.default),
        rule=field.metadata["rule"],
    )


def build(kind: type[T], values: Mapping[str, object], prefix: str = "") -> T:
    """Make the dataclass from values by ROS name; missing ones keep their defaults.

    Raises:
        ConfigError: if a value breaks a rule, or values do not fit together; names them.
    """
    arguments: dict[str, Any] = {
        leaf.name.removeprefix(prefix): fitting(leaf, values[leaf.name])
        for leaf in leaves(kind, prefix)
        if leaf.name in values and "." not in leaf.name.removeprefix(prefix)
    }
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            arguments[name] = build(typing.cast(type, hint), values, f"{prefix}{name}.")
    try:
        return kind(**arguments)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"parameters '{prefix[:-1]}': {error}") from error


def fitting(leaf: Leaf, value: object) -> Value:
    """Return a value as the parameter holds it: lists as tuples, whole numbers as doubles.

    Raises:
        ConfigError: if it has another type or breaks the parameter's rule.
    """
    is_list = isinstance(value, (list, tuple, array))
    elements = tuple(_scalar(leaf, each) for each in (value if is_list else (value,)))  # type: ignore[attr-defined]
    if is_list != leaf.is_list or any(type(each) is not leaf.kind for each in elements):
        raise ConfigError(
            f"parameter '{leaf.name}' is {value!r} but must have the type {type_name(leaf)}"
        )
    if not elements:
        raise ConfigError(f"parameter '{leaf.name}' is an empty list; give at least one value")
    for each in elements:
        fault = _element_fault(leaf.rule, each)
        if fault:
            raise ConfigError(f"parameter '{leaf.name}' is {fault}")
    if leaf.length not in (0, len(elements)):
        raise ConfigError(
            f"parameter '{leaf.name}' holds {len(elements)} values but must hold {leaf.length}: "
            f"{list(elements)}"
        )
    return elements if is_list else elements[0]


def _scalar(leaf: Leaf, value: Any) -> Any:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if leaf.kind is float and is_whole else value


def _element_fault(rule: Rule, element: object) -> str:
    if rule.choices and element not in rule.choices:
        near = nearest_name(str(element), rule.choices)
        return f"'{element}' but must be one of {', '.join(rule.choices)}; nearest is '{near}'"
    if isinstance(element, float) and not math.isfinite(element):
        return f"{element} but must be a finite number"
    if rule.low is None or rule.high is None or not isinstance(element, (int, float)):
        return ""
    if not rule.low <= element <= rule.high:
        return f"{element:g} but must be within {rule.low:g} to {rule.high:g}"
    return ""


def unknown_name_text(name: str, known: Iterable[str]) -> str:
    """Say what to do about a name that no parameter has."""
    if name in REMOVED:
        return f"parameter '{name}' was removed in {REMOVED[name]}; delete it from the file"
    near = nearest_name(name, known)
    return f"unknown parameter '{name}'; did you mean '{near}'? Correct it and start again"


def type_name(leaf: Leaf) -> str:
    """Return the type in words, such as "list of double"."""
    scalar = {bool: "bool", int: "integer", float: "double", str: "string"}[leaf.kind]
    return f"list of {scalar}" if leaf.is_list else scalar


def constraint_text(rule: Rule) -> str:
    """Describe range and choices in a few words; empty if there are none."""
    if rule.choices:
        return "one of " + ", ".join(rule.choices)
    if rule.low is None or rule.high is None:
        return ""
    return f"{rule.low:g} to {rule.high:g}"


def change_text(rule: Rule) -> str:
    """Say when the parameter may change."""
    return _WHEN_TEXT[rule.changes]
