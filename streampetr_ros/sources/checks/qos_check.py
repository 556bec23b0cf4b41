"""Whether the node's subscriptions match what the publishers of its topics offer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rosbags.interfaces import Qos, QosDurability, QosReliability

from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.log import TopicFacts
from streampetr_ros.sources.bag.topics import BagTopics

_RELIABILITY = {QosReliability.RELIABLE: "reliable", QosReliability.BEST_EFFORT: "best effort"}
_DURABILITY = {QosDurability.TRANSIENT_LOCAL: "transient local", QosDurability.VOLATILE: "volatile"}


def qos_facts(topics: Sequence[TopicFacts], used: BagTopics) -> list[str]:
    """Say what the publishers of the topics that are read offer, one line per kind of offer."""
    names = set(used.names())
    offers: dict[str, list[str]] = {}
    for topic in topics:
        if topic.name in names:
            text = " and ".join(sorted({_words(qos) for qos in topic.qos})) or "not recorded"
            offers.setdefault(text, []).append(topic.name)
    return [f"QoS {text}: {', '.join(sorted(named))}" for text, named in offers.items()]


def qos_problems(topics: Sequence[TopicFacts], used: BagTopics, options: BagOptions) -> list[str]:
    """Name publishers whose messages the node would not receive.

    Args:
        topics: with the QoS that their publishers offer.
        used: what is read.
        options: with the QoS that the node asks of cameras.
    """
    by_name = {topic.name: topic for topic in topics}
    cameras = [name for each in used.cameras for name in (each.image_topic, each.info_topic)]
    found = []
    if options.parameters.cameras.reliability == "reliable":
        found += [
            f"'{topic.name}' is offered best effort but parameter cameras.reliability asks for "
            "reliable, so none of its messages arrive; set it to best_effort"
            for topic in _named(by_name, cameras)
            if _offers(topic, QosReliability.BEST_EFFORT)
        ]
    found += [
        f"'{topic.name}' is offered best effort{_by(topic)} but the node, like every listener of "
        "tf2, asks for reliable, so none of its messages arrive; publish it reliable"
        for topic in _named(by_name, used.poses)
        if _offers(topic, QosReliability.BEST_EFFORT)
    ]
    found += [
        f"'{topic.name}' is offered volatile{_by(topic)} but the node, like every listener of tf2, "
        "asks for transient local, so none of its messages arrive; publish it with a static "
        "broadcaster"
        for topic in _named(by_name, used.static)
        if any(qos.durability == QosDurability.VOLATILE for qos in topic.qos)
    ]
    return found


def doubled_publishers(topics: Sequence[TopicFacts], used: BagTopics) -> list[str]:
    """Name topics of cameras and odometry that several nodes publish at once."""
    names = {*used.names()} - {*used.moving, *used.static}
    return [
        f"'{topic.name}' has {len(topic.publishers)} publishers ({', '.join(topic.publishers)}), "
        "whose messages would be mixed; stop all but one"
        for topic in topics
        if topic.name in names and len(topic.publishers) > 1
    ]


def _named(by_name: dict[str, TopicFacts], names: Sequence[str]) -> Iterator[TopicFacts]:
    return (by_name[name] for name in names if name in by_name)


def _offers(topic: TopicFacts, reliability: QosReliability) -> bool:
    return any(qos.reliability == reliability for qos in topic.qos)


def _by(topic: TopicFacts) -> str:
    return f" by {', '.join(topic.publishers)}" if topic.publishers else ""


def _words(qos: Qos) -> str:
    reliability = _RELIABILITY.get(qos.reliability, "of unknown reliability")
    return f"{reliability}, {_DURABILITY.get(qos.durability, 'of unknown durability')}"
