"""The SROS2 policy grants the default node every topic and service it has, and no others."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")


from streampetr_ros.ros.node.node import StreamPetrNode

POLICY = Path(__file__).resolve().parents[3] / "config" / "sros2_policy.xml"
PARAMETERS = {"model.name": "tiny", "model.weights": "stand_in:1"}
#: Granted for installations that differ from this one: Autoware's messages, odometry, sim time.
OPTIONAL = {"/autoware/", "/odometry", "/clock", "type_description", "/parameter_events"}


def granted(kind: str, access: str) -> set[str]:
    entries = ElementTree.parse(POLICY).getroot().iterfind(f".//{kind}s[@{access}='ALLOW']/{kind}")
    names = (str(entry.text) for entry in entries)
    return {name.replace("~", "/streampetr") if name[0] == "~" else f"/{name}" for name in names}


def assert_matches(allowed: set[str], used: set[str]) -> None:
    assert not used - allowed
    assert not [name for name in allowed - used if not any(part in name for part in OPTIONAL)]


def test_policy_is_what_the_node_needs(node: StreamPetrNode) -> None:
    node.trigger_configure()
    node.trigger_activate()
    name = node.get_name()
    published = {topic for topic, _ in node.get_publisher_names_and_types_by_node(name, "/")}
    subscribed = {topic for topic, _ in node.get_subscriber_names_and_types_by_node(name, "/")}
    offered = {service for service, _ in node.get_service_names_and_types_by_node(name, "/")}
    assert_matches(granted("topic", "publish"), published)
    assert_matches(granted("topic", "subscribe"), subscribed)
    assert_matches(granted("service", "reply"), offered)
    node.trigger_deactivate()
