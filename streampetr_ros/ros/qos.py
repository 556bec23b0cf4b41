"""Quality of service of every topic, and word of publishers that do not match."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks


def images(reliability: str, depth: int) -> QoSProfile:
    """Return the profile of image and CameraInfo subscriptions."""
    best_effort = reliability == "best_effort"
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )


def outputs() -> QoSProfile:
    """Return the profile of results: reliable, the newest counts."""
    return _reliable(1, DurabilityPolicy.VOLATILE)


def latched() -> QoSProfile:
    """Return the profile of what is said once: late joiners get it too."""
    return _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)


def transforms() -> QoSProfile:
    """Return the profile of ``/tf`` as tf2 listeners have it."""
    return _reliable(100, DurabilityPolicy.VOLATILE)


def static_transforms() -> QoSProfile:
    """Return the profile of ``/tf_static``: late joiners get what was published before."""
    return _reliable(100, DurabilityPolicy.TRANSIENT_LOCAL)


def is_latched(profile: QoSProfile) -> bool:
    """Whether a publisher keeps what it sent for late joiners."""
    return bool(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL)


def _reliable(depth: int, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=durability,
    )


def mismatch_events(report: Callable[[str], None]) -> SubscriptionEventCallbacks:
    """Report publishers whose QoS keeps their messages away.

    Args:
        report: called with the name of the policy that does not match.
    """

    def incompatible(event: object) -> None:
        report(qos_policy_name_from_kind(event.last_policy_kind))  # type: ignore[attr-defined]

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)
