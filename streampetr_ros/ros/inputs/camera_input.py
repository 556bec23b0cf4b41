"""One camera's topics: image callbacks only note stamp and bytes, decoding comes later."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from streampetr_ros.core.problems import Problem, ProblemLog
from streampetr_ros.ingest.assembly import CameraSettings, ImageMessage
from streampetr_ros.ingest.pictures.pixels import Pixels
from streampetr_ros.parameters.inputs import CameraParameters
from streampetr_ros.preprocess.pixel_path import PictureAhead
from streampetr_ros.ros import qos
from streampetr_ros.ros.executor import serve

_SUFFIX = "/compressed"

#: Publishers of CameraInfo that came before are looked for this often while there is none, seconds.
_LOOK_S = 0.5


@dataclass(slots=True, eq=False)
class ReceivedImage(ImageMessage):
    """An image as it arrived, and what has been made of it so far.

    Attributes:
        arrival: `time.perf_counter` at its arrival.
        decoded: the picture; None before that has begun.
        decode_ms: how long decoding took, milliseconds; there before `decoded` is done.
        prepared: what the network image is made of, there before `decoded` is done if it is made
            ahead at all.
    """

    arrival: float
    decoded: Future[Pixels] | None = None
    decode_ms: float = 0.0
    prepared: Future[PictureAhead[Any]] | None = None


#: Takes camera name and image; must return quickly.
Deliver = Callable[[str, ReceivedImage], None]


class CameraInput:
    """Subscriptions of one camera.

    Args:
        node: that subscribes.
        settings: topics and transport.
        cameras: QoS.
        deliver: receives every image.
        problems: hears of publishers that do not match.

    Attributes:
        settings: as given.
        info: newest CameraInfo.
        received: images so far.
        mismatch: QoS policy that keeps a publisher's messages away; empty if none is known.
    """

    def __init__(
        self,
        node: Node,
        settings: CameraSettings,
        cameras: CameraParameters,
        deliver: Deliver,
        problems: ProblemLog,
    ) -> None:
        self.settings = settings
        self.info: CameraInfo | None = None
        self.received = 0
        self.mismatch = ""
        self._node = node
        self._deliver = deliver
        self._problems = problems
        self._profile = qos.images(cameras.reliability, cameras.depth)
        self._info = self._subscribe(CameraInfo, settings.info_topic, self._on_info)
        self._latched: Subscription | None = None
        self._look_at_s = 0.0
        self._images: dict[str, Subscription] = {}
        for kind, topic in self._candidates():
            self._images[topic] = self._subscribe(kind, topic, partial(self._on_image, topic))

    @property
    def image_topics(self) -> str:
        """Topics images may come from, in words; one when the transport is known."""
        return " or ".join(sorted(self._images))

    def report_silence(self) -> None:
        """Say why no image has come, as far as the ROS graph tells."""
        found = {
            topic: self._node.get_publishers_info_by_topic(topic) for _, topic in self._candidates()
        }
        senders = [
            f"{p.node_namespace.rstrip('/')}/{p.node_name}" for ps in found.values() for p in ps
        ]
        types = {topic: {p.topic_type for p in ps} for topic, ps in found.items() if ps}
        wanted = {topic: kind for kind, topic in self._candidates()}
        wrong = [
            f"'{topic}' carries {', '.join(sorted(kinds))}"
            for topic, kinds in types.items()
            if not any(kind.endswith(f"/{wanted[topic].__name__}") for kind in kinds)
        ]
        if not senders:
            reason = "nobody publishes there; start the driver, or correct cameras.image_topics"
        elif len(wrong) == len(types):
            reason = f"{'; '.join(wrong)}; correct cameras.image_topics or cameras.transports"
        elif self.mismatch:
            reason = f"a publisher offers an incompatible QoS ({self.mismatch})"
        else:
            reason = f"{', '.join(sorted(set(senders)))} sends nothing; check driver and network"
        self._problems.report(
            Problem.NO_IMAGE,
            self.settings.name,
            f"camera '{self.settings.name}' has sent no image on {self.image_topics}: {reason}",
        )

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in (self._info, *self._images.values()):
            self._node.destroy_subscription(subscription)
        self._images.clear()
        self._forget_latched()

    def _candidates(self) -> list[tuple[type, str]]:
        """Return message type and topic of each transport that may be used."""
        base = self._node.resolve_topic_name(self.settings.image_topic)
        packed = base if base.endswith(_SUFFIX) else base + _SUFFIX
        transport = self.settings.transport
        if base == packed and transport == "auto":
            transport = "compressed"
        options = {"raw": (Image, base), "compressed": (CompressedImage, packed)}
        return list(options.values()) if transport == "auto" else [options[transport]]

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Subscription:
        return self._node.create_subscription(
            kind,
            topic,
            callback,
            self._profile,
            event_callbacks=qos.mismatch_events(partial(self._on_mismatch, topic)),
        )

    def _on_info(self, message: CameraInfo) -> None:
        self.info = message
        self._forget_latched()

    def _look_for_latched(self) -> None:
        """Ask for the CameraInfo that was published once, before anybody listened.

        Only where a publisher keeps it: all others would warn of a subscription they cannot serve.
        """
        now_s = time.monotonic()
        if self._latched is not None or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_S
        topic = self.settings.info_topic
        publishers = self._node.get_publishers_info_by_topic(topic)
        if any(qos.is_latched(publisher.qos_profile) for publisher in publishers):
            self._latched = self._node.create_subscription(
                CameraInfo, topic, self._on_info, qos.latched()
            )

    def _forget_latched(self) -> None:
        if self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None

    def _on_image(self, topic: str, message: Image | CompressedImage) -> None:
        self.received += 1
        # What was sent before the image may have come after the executor looked for it.
        while serve(self._info):
            continue
        if self.info is None:
            self._look_for_latched()
        if len(self._images) > 1:
            self._settle_on(topic)
        self._deliver(self.settings.name, ReceivedImage(message, topic, time.perf_counter()))

    def _settle_on(self, topic: str) -> None:
        """Keep the transport that delivered first."""
        for other in [name for name in self._images if name != topic]:
            self._node.destroy_subscription(self._images.pop(other))

    def _on_mismatch(self, topic: str, policy: str) -> None:
        self.mismatch = policy
        self._problems.report(
            Problem.QOS,
            topic,
            f"a publisher of '{topic}' offers an incompatible QoS ({policy}), so none of its "
            "messages arrive; set parameter cameras.reliability to best_effort or change it there",
        )
