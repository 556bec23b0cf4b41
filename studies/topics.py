"""Every topic and service of the node, for the tables of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRow:
    """One topic or service.

    Attributes:
        way: "in", "out" or "service", as the node sees it.
        name: by default; {camera} and STAGE stand for names, `~` for the node's own.
        kind: type of its messages, without "msg/" or "srv/".
        qos: what the node asks for or offers.
        depends: parameters that name it or switch it; empty: it is always there.
        front: what the front page says about it; empty leaves it out there.
    """

    way: str
    name: str
    kind: str
    qos: str = "reliable, depth 1"
    depends: str = ""
    front: str = ""


_IMAGES = "`cameras.reliability` (best effort), depth `cameras.depth`"
_LATCHED = "reliable, transient local"

TOPICS = (
    TopicRow(
        way="in",
        name="{camera}/image_raw",
        kind="sensor_msgs/Image",
        qos=_IMAGES,
        depends="`cameras.image_topics`, `cameras.transports`",
        front="best effort; stamp = exposure; or `…/compressed`",
    ),
    TopicRow(
        way="in",
        name="{camera}/image_raw/compressed",
        kind="sensor_msgs/CompressedImage",
        qos=_IMAGES,
        depends="`cameras.image_topics`, `cameras.transports`",
    ),
    TopicRow(
        way="in",
        name="{camera}/camera_info",
        kind="sensor_msgs/CameraInfo",
        qos=_IMAGES,
        depends="`cameras.info_topics`",
        front="K and D for raw images, P for rectified ones",
    ),
    TopicRow(
        way="in",
        name="/tf",
        kind="tf2_msgs/TFMessage",
        qos="reliable, depth 100",
        front="`odom`→`base_link` at camera stamps",
    ),
    TopicRow(
        way="in",
        name="/tf_static",
        kind="tf2_msgs/TFMessage",
        qos=f"{_LATCHED}, depth 100",
        front="`base_link`→cameras",
    ),
    TopicRow(
        way="in",
        name="odometry",
        kind="nav_msgs/Odometry",
        qos="reliable, depth 100",
        depends="`pose.source`, `pose.odometry_topic`",
    ),
    TopicRow(
        way="out",
        name="~/detections",
        kind="streampetr_ros/Object3DArray",
        front="`base_link`, at the stamp of the newest image of the set",
    ),
    TopicRow(
        way="out",
        name="~/tracks",
        kind="streampetr_ros/Object3DArray",
        depends="`tracking.enabled`",
        front="objects with identity, filtered state, covariance",
    ),
    TopicRow(
        way="out",
        name="~/vision/detections",
        kind="vision_msgs/Detection3DArray",
        depends="`outputs.vision`",
        front="with `~/vision/tracks` and `~/vision/label_info`",
    ),
    TopicRow(
        way="out",
        name="~/vision/tracks",
        kind="vision_msgs/Detection3DArray",
        depends="`outputs.vision`, `tracking.enabled`",
    ),
    TopicRow(
        way="out",
        name="~/vision/label_info",
        kind="vision_msgs/LabelInfo",
        qos=f"{_LATCHED}, depth 1",
        depends="`outputs.vision`",
    ),
    TopicRow(
        way="out",
        name="~/autoware/detections",
        kind="autoware_perception_msgs/DetectedObjects",
        depends="`outputs.autoware`",
        front="where that package is installed; with `~/autoware/tracks`",
    ),
    TopicRow(
        way="out",
        name="~/autoware/tracks",
        kind="autoware_perception_msgs/TrackedObjects",
        depends="`outputs.autoware`, `tracking.enabled`",
    ),
    TopicRow(
        way="out",
        name="~/markers",
        kind="visualization_msgs/MarkerArray",
        depends="`outputs.markers`",
        front="boxes, headings, velocities, text",
    ),
    TopicRow(
        way="out",
        name="~/track_markers",
        kind="visualization_msgs/MarkerArray",
        depends="`outputs.markers`, `tracking.enabled`",
        front="the same of tracks, and trails",
    ),
    TopicRow(
        way="out",
        name="~/overlays/CAMERA/compressed",
        kind="sensor_msgs/CompressedImage",
        depends="`outputs.overlays`",
        front="boxes drawn, while somebody looks; with `~/top_view/compressed`",
    ),
    TopicRow(
        way="out",
        name="~/top_view/compressed",
        kind="sensor_msgs/CompressedImage",
        depends="`outputs.overlays`",
    ),
    TopicRow(way="out", name="~/latency/STAGE_ms", kind="std_msgs/Float64"),
    TopicRow(
        way="out",
        name="/diagnostics",
        kind="diagnostic_msgs/DiagnosticArray",
        front="cameras, synchroniser, transforms, memory, latency",
    ),
    TopicRow(
        way="service",
        name="~/reset",
        kind="std_srvs/Trigger",
        qos="",
        front="empties the object memory, ends all tracks",
    ),
)


def front_page() -> str:
    """Write the table of README.md: what most users need."""
    rows = [(each.way, _code(each.name), _code(each.kind), each.front) for each in TOPICS]
    return table(("", "topic", "type", "frame, note"), [row for row in rows if row[-1]])


def node_page() -> str:
    """Write the table of docs/node.md: everything."""
    rows = [
        (each.way, _code(each.name), _code(each.kind), each.qos, each.depends) for each in TOPICS
    ]
    return table(("", "name", "type", "QoS", "named or switched by"), rows)


def messages_page() -> str:
    """Write the table of docs/messages.md: what the node publishes."""
    rows = [
        (_code(each.name), _code(each.kind), each.qos, each.depends or "always there")
        for each in TOPICS
        if each.way == "out"
    ]
    return table(("topic", "type", "QoS", "switched by"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of Markdown."""
    top, *lines = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return "".join([top, f"|{'---|' * len(head)}\n", *lines])


def _code(text: str) -> str:
    return f"`{text}`"
