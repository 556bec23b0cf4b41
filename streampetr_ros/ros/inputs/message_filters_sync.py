"""The policies of message_filters behind the interface of our synchroniser."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rclpy.time import Time
from std_msgs.msg import Header

from streampetr_ros.core.config import ConfigError
from streampetr_ros.ingest.sync.types import (
    CameraStatistics,
    DropReason,
    StampedImage,
    SyncConfig,
    SyncedSet,
    SyncStatistics,
)
from streampetr_ros.parameters.inputs import SyncParameters

T = TypeVar("T")

#: A stamp this much older than the newest means that time restarted.
_RESTART_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Carrier(Generic[T]):
    """Looks like a stamped message to message_filters."""

    header: Header
    image: StampedImage[T]


class MessageFiltersSynchroniser(Generic[T]):
    """Exact or approximate time policy; sets always have all cameras.

    Args:
        config: camera names; all else belongs to our own synchroniser.
        parameters: policy, queue and slop.

    Raises:
        ConfigError: if message_filters is not installed.
    """

    def __init__(self, config: SyncConfig, parameters: SyncParameters) -> None:
        try:
            import message_filters  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                f"parameter 'sync.policy' is '{parameters.policy}' but message_filters is not "
                "installed; install ros-$ROS_DISTRO-message-filters or choose 'own'"
            ) from error
        self._library: Any = message_filters
        self._cameras = config.cameras
        self._parameters = parameters
        self._received: Counter[str] = Counter()
        self._dropped: dict[str, Counter[DropReason]] = {name: Counter() for name in self._cameras}
        self._newest: dict[str, int] = {}
        self._sets = self._restarts = 0
        self._last_restart = ""
        self._restarted: str | None = None
        self._start()

    @property
    def next_deadline_ns(self) -> int | None:
        """Nothing ever becomes due."""
        return None

    def add(self, image: StampedImage[T], now_ns: int) -> list[SyncedSet[T]]:
        """Take in an image; return the set it completes, if any."""
        self._received[image.camera] += 1
        if image.stamp_ns <= 0:
            self._dropped[image.camera][DropReason.ZERO_STAMP] += 1
            return []
        if image.stamp_ns == self._newest.get(image.camera):
            self._dropped[image.camera][DropReason.DUPLICATE] += 1
            return []
        if image.stamp_ns < self._newest.get(image.camera, 0) - _RESTART_NS:
            self.restart("stamps jumped back")
        self._newest[image.camera] = image.stamp_ns
        self._found: list[SyncedSet[T]] = []
        header = Header(stamp=Time(nanoseconds=image.stamp_ns).to_msg())
        self._filters[image.camera].signalMessage(_Carrier(header, image))
        return self._found

    def poll(self, now_ns: int) -> list[SyncedSet[T]]:
        """Return nothing: the policies know no time-out."""
        return []

    def restart(self, reason: str) -> list[SyncedSet[T]]:
        """Drop what is queued; the policies would be confused by older stamps."""
        self._restarts += 1
        self._last_restart = reason
        self._restarted = reason
        self._newest.clear()
        self._start()
        return []

    def statistics(self, now_ns: int) -> SyncStatistics:
        """Take a snapshot; message_filters does not say what it dropped."""
        total: Counter[DropReason] = Counter()
        for dropped in self._dropped.values():
            total.update(dropped)
        return SyncStatistics(
            cameras=tuple(self._camera(name) for name in self._cameras),
            complete=self._sets,
            restarts=self._restarts,
            last_restart=self._last_restart,
            window_ns=round(self._parameters.slop_s * 1e9),
            dropped=dict(total),
        )

    def _start(self) -> None:
        library, queue = self._library, self._parameters.queue
        self._filters = {name: library.SimpleFilter() for name in self._cameras}
        inputs = list(self._filters.values())
        if self._parameters.policy == "exact":
            self._policy = library.TimeSynchronizer(inputs, queue)
        else:
            slop = self._parameters.slop_s
            self._policy = library.ApproximateTimeSynchronizer(inputs, queue, slop)
        self._policy.registerCallback(self._on_set)

    def _on_set(self, *carriers: _Carrier[T]) -> None:
        images = tuple(carrier.image for carrier in carriers)
        self._sets += 1
        stamp_ns = max(image.stamp_ns for image in images)
        self._found.append(SyncedSet(stamp_ns=stamp_ns, images=images, restarted=self._restarted))
        self._restarted = None

    def _camera(self, name: str) -> CameraStatistics:
        return CameraStatistics(
            name=name,
            received=self._received[name],
            used=self._sets,
            dropped=dict(self._dropped[name]),
            last_stamp_ns=self._newest.get(name),
            problems=() if self._received[name] else ("no image yet",),
        )
