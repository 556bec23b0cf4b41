"""Which topics of a bag are cameras, calibrations and transforms: found by type, or given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from streampetr_ros.ingest.assembly import CameraSettings
from streampetr_ros.messages.standard import CAMERA_INFO, COMPRESSED, IMAGE, ODOMETRY, TF
from streampetr_ros.nuscenes.car import nuscenes_order
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.log import BAG, Place, TopicFacts

_PACKED = "/compressed"
#: Last parts of image topics that do not name the camera.
_GENERIC = re.compile(r"^(image|compressed|rect|raw|color|rgb|mono)(_\w+)?$")
#: Pictures with boxes drawn on them, of the node and of replays, and the name of the node.
_OVERLAY = re.compile(r"(.*)/overlays/[^/]+/compressed")
_TOP_VIEW = "top_view/compressed"
#: Streams of video, which no image topic can be decoded from without its codec.
_VIDEO = re.compile(r"(CompressedVideo|FFMPEGPacket|theora_image_transport|H26\dPacket)", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraTopics:
    """Topics of one camera as they are in the bag.

    Attributes:
        settings: name and settings; `info_topic` is filled in.
        image_topic: topic of the images.
        packed: whether they are compressed.
    """

    settings: CameraSettings
    image_topic: str
    packed: bool

    @property
    def name(self) -> str:
        """Name of the camera."""
        return self.settings.name

    @property
    def info_topic(self) -> str:
        """Topic of its CameraInfo."""
        return self.settings.info_topic


@dataclass(frozen=True, slots=True, kw_only=True)
class BagTopics:
    """What is read of a bag.

    Attributes:
        cameras: in the order they are fed to the network.
        moving: topics of moving transforms.
        static: topics of static transforms.
        odometry: topic of the vehicle pose; empty takes it from TF.
        problems: sentences about what is missing; empty if the bag can be read.
    """

    cameras: tuple[CameraTopics, ...]
    moving: tuple[str, ...]
    static: tuple[str, ...]
    odometry: str
    problems: tuple[str, ...]

    @property
    def poses(self) -> tuple[str, ...]:
        """Topics of transforms and odometry."""
        return (*self.moving, *self.static, *filter(None, [self.odometry]))

    def names(self) -> tuple[str, ...]:
        """Return all topics that are read."""
        cameras = [(camera.image_topic, camera.info_topic) for camera in self.cameras]
        return (*(name for pair in cameras for name in pair), *self.poses)

    def lines(self) -> list[str]:
        """Say which topics are used."""
        cameras = [
            f"camera {each.name}: {each.image_topic}, {each.info_topic or 'no CameraInfo'}"
            + (" (rectified)" if each.settings.rectified else "")
            for each in self.cameras
        ]
        return [*cameras, f"transforms: {', '.join(self.poses) or 'none'}"]


def find_topics(topics: Sequence[TopicFacts], options: BagOptions, place: Place = BAG) -> BagTopics:
    """Choose the topics to read.

    Args:
        topics: of the bag or the ROS graph.
        options: what is given; cameras that are not are found by message type.
        place: where the topics are, for sentences about missing ones.
    """
    used = [topic for topic in topics if topic.count]
    wanted = options.cameras or _found_cameras(used)
    problems: list[str] = []
    cameras = [each for wiring in wanted if (each := _camera(wiring, used, place, problems))]
    if not wanted:
        problems.append(_no_cameras(topics, place))
    trees = [topic.name for topic in used if topic.kind == TF]
    static = tuple(name for name in trees if name.endswith("tf_static"))
    moving = tuple(name for name in trees if name not in static)
    odometry = _absolute(options.parameters.pose.odometry)
    found = BagTopics(
        cameras=tuple(cameras), moving=moving, static=static, odometry=odometry, problems=()
    )
    return replace(found, problems=(*problems, *_transform_problems(used, found, place)))


def camera_name(topic: str) -> str:
    """Name a camera after its image topic: /sensing/front/image_raw/compressed is "front"."""
    parts = [part for part in topic.split("/") if part]
    while len(parts) > 1 and _GENERIC.match(parts[-1]):
        parts.pop()
    return parts[-1]


def shows_colors(topic: TopicFacts) -> bool:
    """Tell whether a topic may be that of a camera; what drivers advertise for depth is not."""
    return topic.kind in (IMAGE, COMPRESSED) and not topic.name.endswith("/compressedDepth")


def _found_cameras(used: Sequence[TopicFacts]) -> tuple[CameraSettings, ...]:
    """Take every image topic for a camera; of raw and compressed ones of a camera, the raw.

    What was drawn on pictures of cameras is none.
    """
    drawn = _drawn(topic.name for topic in used)
    images = sorted(
        (topic for topic in used if shows_colors(topic) and topic.name not in drawn),
        key=lambda topic: (topic.kind != IMAGE, topic.name),
    )
    first: dict[str, str] = {}
    for topic in images:
        first.setdefault(camera_name(topic.name), topic.name)
    found = [
        CameraSettings(name=name, image_topic=topic, rectified="image_rect" in topic)
        for name, topic in first.items()
    ]
    return tuple(sorted(found, key=lambda camera: nuscenes_order(camera.name)))


def _drawn(names: Iterable[str]) -> set[str]:
    """Find the pictures that a node has drawn; it publishes them under its own name."""
    overlays = [found for name in names if (found := _OVERLAY.fullmatch(name))]
    return {each[0] for each in overlays} | {f"{each[1]}/{_TOP_VIEW}" for each in overlays}


def _camera(
    settings: CameraSettings, used: Sequence[TopicFacts], place: Place, problems: list[str]
) -> CameraTopics | None:
    kinds = {topic.name: topic.kind for topic in used if topic.kind in (IMAGE, COMPRESSED)}
    base = _absolute(settings.image_topic)
    candidates = _candidates(base, settings.transport)
    image_topic = next((name for name in candidates if name in kinds), "")
    if not image_topic:
        problems.append(
            f"camera '{settings.name}': {place.noun} has no images on "
            f"{' or '.join(repr(name) for name in candidates)}; {place.verb} them or name the "
            "topic with "
            f"--camera {settings.name}=TOPIC ({_listed('images are on', kinds)})"
        )
        return None
    info_topic = _info_topic(settings, image_topic, used)
    if not info_topic:
        problems.append(
            f"images on '{image_topic}' have no CameraInfo"
            + (f" on '{_absolute(settings.info_topic)}'" if settings.info_topic else " beside them")
            + f"; {place.verb} it too, or choose other cameras with "
            "--camera NAME=IMAGE_TOPIC,INFO_TOPIC"
        )
    return CameraTopics(
        settings=replace(settings, image_topic=base, info_topic=info_topic),
        image_topic=image_topic,
        packed=kinds[image_topic] == COMPRESSED,
    )


def _candidates(base: str, transport: str) -> tuple[str, ...]:
    """Return the topics that images may be on, as the node has it."""
    packed = base if base.endswith(_PACKED) else base + _PACKED
    return {"raw": (base,), "compressed": (packed,)}.get(transport, (base, packed))


def _info_topic(settings: CameraSettings, image_topic: str, used: Sequence[TopicFacts]) -> str:
    """Return the given CameraInfo topic, or the one in the nearest folder of the images'."""
    known = [topic.name for topic in used if topic.kind == CAMERA_INFO]
    if settings.info_topic:
        given = _absolute(settings.info_topic)
        return given if given in known else ""
    folder = image_topic
    while "/" in folder.strip("/"):
        folder = folder.rpartition("/")[0]
        if f"{folder}/camera_info" in known:
            return f"{folder}/camera_info"
    return ""


def _transform_problems(used: Sequence[TopicFacts], found: BagTopics, place: Place) -> list[str]:
    problems = []
    poses = [topic.name for topic in used if topic.kind == ODOMETRY]
    if found.odometry and found.odometry not in poses:
        problems.append(
            f"{place.noun} has no odometry on '{found.odometry}'; {place.verb} it or leave the "
            f"option out ({_listed('odometry is on', poses)})"
        )
    if not found.odometry and not found.moving:
        remedy = f"give --odometry {poses[0]}" if poses else f"{place.verb} /tf"
        problems.append(f"{place.noun} has no moving transforms on '/tf'; {remedy}")
    if not found.static and not found.moving:
        problems.append(
            f"{place.noun} has no transforms on '/tf_static', so that the mounting of the cameras "
            f"is unknown; {place.verb} /tf_static"
        )
    return problems


def _no_cameras(topics: Sequence[TopicFacts], place: Place) -> str:
    videos = [topic for topic in topics if _VIDEO.search(topic.kind)]
    if videos:
        return (
            f"'{videos[0].name}' holds video of type {videos[0].kind}, which is not read; "
            f"{place.verb} sensor_msgs/msg/Image or CompressedImage instead"
        )
    empty = [topic.name for topic in topics if topic.kind in (IMAGE, COMPRESSED)]
    if empty:
        return (
            f"image topic '{empty[0]}' of {place.noun} has no messages; {place.verb} with cameras "
            "running"
        )
    kinds = sorted({topic.kind for topic in topics})
    return (
        f"{place.noun} has no topic of type sensor_msgs/msg/Image or CompressedImage; "
        f"{place.verb} the cameras ({_listed('its types are', kinds)})"
    )


def _listed(words: str, names: Iterable[str]) -> str:
    return f"{words} {', '.join(sorted(names)[:12]) or 'none'}"


def _absolute(topic: str) -> str:
    return f"/{topic}" if topic and not topic.startswith("/") else topic
