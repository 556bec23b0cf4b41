"""What a parameter file says about inputs, for all who read them: the node, and readers of bags."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streampetr_ros.core.errors import UserError

#: Parameters ``cameras.*`` that hold one value for all cameras or one for each, and the field of
#: `CameraSettings` they become.
PER_CAMERA = {
    "image_topics": "image_topic",
    "info_topics": "info_topic",
    "transports": "transport",
    "rectified": "rectified",
    "reductions": "reduction",
    "frame_ids": "frame_id",
}
_TOPICS = ("image_topics", "info_topics")


class WiringError(UserError, ValueError):
    """Settings of inputs that cannot be used; names the parameter and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """Wiring of one camera.

    Attributes:
        name: of the camera.
        image_topic: topic of its images, or the one that "/compressed" is appended to.
        info_topic: topic of its CameraInfo; empty, which only bags allow, looks beside the images.
        transport: "raw", "compressed" or "auto".
        rectified: whether images follow P of CameraInfo.
        reduction: how many times narrower and lower images are decoded.
        frame_id: optical frame; empty takes the one in the image's header.
    """

    name: str
    image_topic: str
    info_topic: str = ""
    transport: str = "auto"
    rectified: bool = False
    reduction: int = 1
    frame_id: str = ""


def spread_cameras(
    names: Sequence[str], lists: Mapping[str, Sequence[Any]]
) -> tuple[CameraSettings, ...]:
    """Spread lists of parameters over the cameras.

    Args:
        names: of the cameras.
        lists: by the names in `PER_CAMERA`; those left out mean the defaults.

    Raises:
        WiringError: if a list or a topic does not fit the cameras.
    """
    columns = {
        PER_CAMERA[key]: _column(key, names, lists[key]) for key in PER_CAMERA if key in lists
    }
    return tuple(
        CameraSettings(name=name, **{field: column[row] for field, column in columns.items()})
        for row, name in enumerate(names)
    )


def _column(key: str, names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    if len(values) not in (1, len(names)):
        raise WiringError(
            f"parameter 'cameras.{key}' holds {len(values)} values but must hold one, or one for "
            f"each of the {len(names)} cameras of cameras.names"
        )
    each = list(values) * len(names) if len(values) == 1 else list(values)
    if key not in _TOPICS:
        return each
    return [_filled(topic, name) for topic, name in zip(each, names, strict=True)]


def _filled(topic: str, camera: str) -> str:
    """Put the camera's name into a topic."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(topic) if field is not None]
    except ValueError as error:
        raise WiringError(f"topic '{topic}' has unmatched braces") from error
    if any(field != "camera" for field in fields):
        raise WiringError(f"topic '{topic}' may contain {{camera}} but no other braces")
    return topic.replace("{camera}", camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSeconds:
    """Parameters ``sync.*`` in their own units and words.

    Attributes:
        min_cameras: fewest cameras of a set; 0 demands all of them.
        wait_s: how long a missing camera is waited for; below 0 derives it.
        period_s: cycle time; 0 measures it.
        window_s: largest distance of a stamp from its place; 0 derives it.
        offsets_s: firing time of each camera; a single -1 learns them.
        frozen_after: equal pictures from which a camera counts as frozen; 0 never.
    """

    min_cameras: int = 0
    wait_s: float = -1.0
    period_s: float = 0.0
    window_s: float = 0.0
    offsets_s: Sequence[float] = (-1.0,)
    frozen_after: int = 5

    def fields(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the fields of `SyncConfig` but the cameras; offsets belong to these names.

        Raises:
            WiringError: if there is not an offset for each camera.
        """
        learned = tuple(self.offsets_s) == (-1.0,)
        if not learned and len(self.offsets_s) != len(names):
            raise WiringError(
                f"parameter 'sync.offsets_s' is {list(self.offsets_s)} but must hold one time of "
                f"at least 0 for each of the {len(names)} cameras, or a single -1"
            )
        offsets_ns = {n: nanoseconds(s) for n, s in zip(names, self.offsets_s, strict=False)}
        return {
            "min_cameras": self.min_cameras or None,
            "offsets_ns": None if learned else offsets_ns,
            "period_ns": nanoseconds(self.period_s) or None,
            "window_ns": nanoseconds(self.window_s) or None,
            "wait_ns": None if self.wait_s < 0 else nanoseconds(self.wait_s),
            "frozen_after": self.frozen_after,
        }


def nanoseconds(seconds: float) -> int:
    """Seconds to whole nanoseconds."""
    return round(seconds * 1e9)
