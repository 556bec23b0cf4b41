"""Parameters declared once, as nested frozen dataclasses; names, checks and documents follow.

A leaf field made by `parameter` carries its description, range and when it may change. The ROS
name of a leaf is its path with dots (``sync.window_s``). Lists are never empty because ROS cannot
tell the type of an empty list.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from streampetr_ros.core.errors import UserError

T = TypeVar("T")

#: A value a ROS parameter can hold here.
Value = bool | int | float | str | tuple[str, ...] | tuple[float, ...] | tuple[int, ...]

#: Parameters of earlier versions: the version that removed them.
REMOVED = {"cameras.resize": "0.2.0", "pose.buffer": "0.2.0"}

START, CONFIGURE, RUN = "start", "configure", "run"

_WHEN_TEXT = {
    START: "read-only",
    CONFIGURE: "while unconfigured",
    RUN: "at any time",
}


class ParameterError(UserError, ValueError):
    """A parameter that cannot be used; the message names it, its value and the remedy."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a leaf field says about itself.

    Attributes:
        description: one sentence.
        low: smallest number allowed, also for each element of a list.
        high: largest number allowed.
        choices: allowed texts, also for each element of a list; empty allows any.
        changes: when the value may change: `START` never, `CONFIGURE` while the node is
            unconfigured, `RUN` at any time.
    """

    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    changes: str = CONFIGURE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One ROS parameter.

    Attributes:
        name: dotted ROS name.
        kind: bool, int, float or str; of the elements if it is a list.
        is_list: whether it is a list of `kind`.
        default: value without an override.
        rule: description, range and when it may change.
    """

    name: str
    kind: type
    is_list: bool
    default: Value
    rule: Rule


def parameter(
    default: Value,
    description: str,
    *,
    between: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    changes: str = CONFIGURE,
) -> Any:
    """Declare a leaf field of a parameter dataclass.

    Args:
        default: value without an override.
        description: one sentence for descriptors and documents.
        between: smallest and largest number allowed.
        choices: allowed texts.
        changes: `START`, `CONFIGURE` or `RUN`.
    """
    low, high = between or (None, None)
    rule = Rule(description=description, low=low, high=high, choices=choices, changes=changes)
    return dataclasses.field(default=default, metadata={"rule": rule})


def leaves(kind: type, prefix: str = "") -> list[Leaf]:
    """List the ROS parameters of a dataclass in order of declaration."""
    hints = typing.get_type_hints(kind)
    found: list[Leaf] = []
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            found += leaves(hints[field.name], f"{name}.")
        else:
            found.append(_leaf(name, hints[field.name], field))
    return found


def _leaf(name: str, hint: Any, field: dataclasses.Field[Any]) -> Leaf:
    is_list = typing.get_origin(hint) is tuple
    return Leaf(
        name=name,
        kind=typing.get_args(hint)[0] if is_list else hint,
        is_list=is_list,
        default=field.default,
        rule=field.metadata["rule"],
    )


def build(kind: type[T], values: Mapping[str, Value], prefix: str = "") -> T:
    """Make the dataclass from values by ROS name; missing ones keep their defaults.

    Raises:
        ParameterError: if a value breaks a rule; the message names the parameter.
    """
    hints = typing.get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            arguments[field.name] = build(hints[field.name], values, f"{name}.")
        elif name in values:
            leaf = _leaf(name, hints[field.name], field)
            problem = find_fault(leaf, values[name])
            if problem:
                raise ParameterError(problem)
            arguments[field.name] = values[name]
    return kind(**arguments)


def find_fault(leaf: Leaf, value: Value) -> str:
    """Say in a sentence why a value of the right type is not allowed; empty if it is."""
    elements = value if isinstance(value, tuple) else (value,)
    if not elements:
        return f"parameter '{leaf.name}' is an empty list; give at least one value"
    for element in elements:
        problem = _element_fault(leaf.rule, element)
        if problem:
            return f"parameter '{leaf.name}' is {problem}"
    return ""


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


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that looks most like the given one."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


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
