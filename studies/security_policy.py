"""The grants of the node under SROS2, from its topics: config/sros2_policy.xml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from streampetr_ros.messages.picture_topics import overlay_topics
from streampetr_ros.messages.results import STAGES
from streampetr_ros.nuscenes.car import CAMERA_ORDER
from studies.topics import TOPICS

_NODE = "streampetr"
_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- What the node needs under SROS2, with the default names; see docs/troubleshooting.md.
     Names without a slash are relative to its namespace. Written by scripts/generate. -->
"""
#: What ROS itself gives every lifecycle node.
_SUBSCRIBED = ("clock", "parameter_events")
_PUBLISHED = ("~/transition_event", "parameter_events", "rosout")
_SERVICES = (
    *("change_state", "get_state", "get_available_states", "get_available_transitions"),
    *("get_transition_graph", "describe_parameters", "get_parameters", "get_parameter_types"),
    *("list_parameters", "set_parameters", "set_parameters_atomically", "get_type_description"),
)


def security_policy() -> str:
    """Write the policy."""
    policy = ElementTree.Element("policy", version="0.2.0")
    enclave = ElementTree.SubElement(
        ElementTree.SubElement(policy, "enclaves"), "enclave", path=f"/{_NODE}"
    )
    profiles = ElementTree.SubElement(enclave, "profiles")
    profile = ElementTree.SubElement(profiles, "profile", ns="/", node=_NODE)
    _grant(profile, "topic", "subscribe", (*_names("in"), *_SUBSCRIBED))
    _grant(profile, "topic", "publish", (*_names("out"), *_PUBLISHED))
    services = (*_names("service"), *(f"~/{name}" for name in _SERVICES))
    _grant(profile, "service", "reply", services)
    ElementTree.indent(policy)
    return _HEAD + ElementTree.tostring(policy, encoding="unicode") + "\n"


def _grant(profile: ElementTree.Element, kind: str, access: str, names: Iterable[str]) -> None:
    granted = ElementTree.SubElement(profile, f"{kind}s", {access: "ALLOW"})
    for name in names:
        ElementTree.SubElement(granted, kind).text = name


def _names(way: str) -> Iterator[str]:
    """Spell the topics or services of one way out, relative ones without a slash."""
    for each in TOPICS:
        name = each.name.removeprefix("/")
        if each.way != way:
            continue
        if "{camera}" in name:
            yield from (name.format(camera=camera) for camera in CAMERA_ORDER)
        elif "CAMERA" in name:
            yield from overlay_topics(CAMERA_ORDER).values()
        elif "STAGE" in name:
            yield from (name.replace("STAGE", stage) for stage in STAGES)
        else:
            yield name
