"""Fields of configurations that users may set: what they mean, their range, when they may change.

Whoever owns a configuration declares its fields here; `parameters` makes one tree of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

#: A value a parameter can hold.
Value = bool | int | float | str | tuple[str, ...] | tuple[float, ...] | tuple[int, ...]

START, CONFIGURE, RUN = "start", "configure", "run"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a field says about itself.

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


def parameter(
    default: Value,
    description: str,
    *,
    between: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    changes: str = CONFIGURE,
) -> Any:
    """Declare a field of a configuration as a parameter.

    Args:
        default: value without an override; a list is never empty, because ROS cannot tell its type.
        description: one sentence for descriptors and documents.
        between: smallest and largest number allowed.
        choices: allowed texts.
        changes: `START`, `CONFIGURE` or `RUN`.
    """
    low, high = between or (None, None)
    rule = Rule(description=description, low=low, high=high, choices=choices, changes=changes)
    return dataclasses.field(default=default, metadata={"rule": rule})
