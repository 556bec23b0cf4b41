"""Listens to a running vehicle for some seconds, as `streampetr check --live` wants it.

Whatever QoS a publisher offers is subscribed to, so that what the node would miss can be named.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosbags.interfaces import Qos, QosDurability, QosReliability
from rosgraph_msgs.msg import Clock

from streampetr_ros.core.source import SourceError
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.cdr import recorded_qos
from streampetr_ros.messages.standard import CAMERA_INFO, COMPRESSED, IMAGE, ODOMETRY, TF
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.ros.listen.listening import quiet_node
from streampetr_ros.ros.messages import types
from streampetr_ros.sources.bag.log import GRAPH, BagMessage, HeardRecording, TopicFacts
from streampetr_ros.sources.bag.topics import find_topics

_KINDS = (IMAGE, COMPRESSED, CAMERA_INFO, ODOMETRY, TF)
#: Nodes that publish this are ours; their overlays are no cameras.
_OWN_RESULTS = "streampetr_ros/msg/Object3DArray"
#: Of every node, so they tell nothing.
_COMMON = ("/rosout", "/parameter_events")
_NAME = "streampetr_check"
#: The graph counts as known when nothing has appeared for so long.
_QUIET_S = 1.0
#: Discovery ends at last.
_DISCOVERY_S = 5.0
#: Transforms are heard for so long before and after images, which need those around them.
_AROUND_S = 1.0
#: Pictures beyond this are counted but not kept, bytes.
_MOST_BYTES = 1 << 29
_TF_DEPTH = 1000
_IMAGE_DEPTH = 30


def listen(options: BagOptions, seconds: float) -> HeardRecording:
    """Find the topics of the graph and hear those that would be read.

    Args:
        options: what is given about them.
        seconds: to listen to images.

    Raises:
        SourceError: if nobody publishes anything.
    """
    with quiet_node(_NAME) as (node, spin):
        return _Listener(node, spin).record(options, seconds)


class _Listener:
    """Subscriptions, and what came through them.

    Args:
        node: that subscribes.
        spin: takes messages for some seconds.
    """

    def __init__(self, node: Node, spin: Callable[[float], None]) -> None:
        self._node = node
        self._spin = spin
        self._heard: list[BagMessage] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._bytes = 0
        self._clock_offset_ns: int | None = None
        self._listening = True
        self._last_ns = 0

    def record(self, options: BagOptions, seconds: float) -> HeardRecording:
        """Discover, hear transforms, then images too, then transforms that are later still."""
        topics = self._discovered()
        named = find_topics(topics, options, GRAPH).names()
        wanted = [topic for topic in topics if topic.name in named and topic.kind in _KINDS]
        pictures = [topic for topic in wanted if topic.kind in (IMAGE, COMPRESSED)]
        self._subscribe(topic for topic in wanted if topic not in pictures)
        if self._node.count_publishers("/clock"):
            profile = _profile([], _IMAGE_DEPTH, durable=False)
            self._node.create_subscription(Clock, "/clock", self._on_clock, profile)
        self._spin(_AROUND_S)
        self._subscribe(pictures)
        self._spin(seconds)
        self._listening = False
        self._last_ns = self._last_ns or time.time_ns()
        self._spin(_AROUND_S)
        counted = [replace(each, count=self._counts[each.name, each.kind]) for each in topics]
        return HeardRecording(counted, self._heard, seconds, self._clock_offset_ns)

    def _discovered(self) -> tuple[TopicFacts, ...]:
        """Wait until no more publishers appear; their messages are counted as one each."""
        end = time.monotonic() + _DISCOVERY_S
        known: tuple[TopicFacts, ...] = ()
        while True:
            self._spin(_QUIET_S)
            found = self._published()
            # Discovery itself takes a while, so nothing yet does not mean nothing at all.
            if (found and found == known) or time.monotonic() > end:
                break
            known = found
        if not found:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            raise SourceError(
                f"nobody publishes anything on the ROS graph of ROS_DOMAIN_ID {domain}; start the "
                "cameras, or set ROS_DOMAIN_ID and RMW_IMPLEMENTATION as where they run"
            )
        return found

    def _published(self) -> tuple[TopicFacts, ...]:
        graph = sorted(self._node.get_topic_names_and_types())
        offers = {name: self._node.get_publishers_info_by_topic(name) for name, _ in graph}
        ours = {
            _node_name(each)
            for infos in offers.values()
            for each in infos
            if each.topic_type == _OWN_RESULTS
        }
        facts = []
        for name, kinds in graph:
            for kind in kinds if name not in _COMMON else ():
                infos = [each for each in offers[name] if each.topic_type == kind]
                pictures = kind in (IMAGE, COMPRESSED)
                infos = [each for each in infos if not pictures or _node_name(each) not in ours]
                if infos:
                    facts.append(_facts(name, kind, infos))
        return tuple(facts)

    def _subscribe(self, topics: Iterable[TopicFacts]) -> None:
        for topic in topics:
            durable = {qos.durability == QosDurability.TRANSIENT_LOCAL for qos in topic.qos}
            depth = _TF_DEPTH if topic.kind == TF else _IMAGE_DEPTH
            take = partial(self._take, topic.name, topic.kind)
            # What was said once reaches late listeners only if they ask for it, and only from
            # publishers that keep it; the others are heard by a subscription of their own.
            for kept in durable:
                offered = [
                    qos
                    for qos in topic.qos
                    if (qos.durability == QosDurability.TRANSIENT_LOCAL) >= kept
                ]
                self._node.create_subscription(
                    types(topic.kind), topic.name, take, _profile(offered, depth, durable=kept)
                )

    def _take(self, topic: str, kind: str, message: Any) -> None:
        picture = kind in (IMAGE, COMPRESSED)
        if picture and not self._listening:
            return
        self._counts[topic, kind] += 1
        if picture:
            self._bytes += len(message.data)
            if self._bytes > _MOST_BYTES:
                self._last_ns = self._last_ns or time.time_ns()
                return
        # Cameras must not seem to be silent while only transforms are still kept.
        self._heard.append(BagMessage(topic, self._last_ns or time.time_ns(), message))

    def _on_clock(self, message: Clock) -> None:
        self._clock_offset_ns = stamp_ns_from(message.clock) - time.time_ns()


def _node_name(info: TopicEndpointInfo) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _facts(name: str, kind: str, infos: list[TopicEndpointInfo]) -> TopicFacts:
    # Bags and rclpy number the policies as the middleware does.
    offers = [
        recorded_qos(p.depth, QosReliability(int(p.reliability)), QosDurability(int(p.durability)))
        for p in (info.qos_profile for info in infos)
    ]
    publishers = tuple(sorted(map(_node_name, infos)))
    return TopicFacts(name=name, kind=kind, count=1, qos=tuple(offers), publishers=publishers)


def _profile(offered: list[Qos], depth: int, *, durable: bool) -> QoSProfile:
    """Return the strictest profile that all offers match; best effort if there are none."""
    reliable = bool(offered) and all(q.reliability == QosReliability.RELIABLE for q in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if durable else DurabilityPolicy.VOLATILE,
    )
