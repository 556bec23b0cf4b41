"""Which transforms between the cameras, the vehicle and the fixed frame are missing."""

from __future__ import annotations

from contextlib import suppress

from streampetr_ros.ingest.messages import (
    StampedTransform,
    stamp_ns_from,
    transform_from,
    transform_from_odometry,
)
from streampetr_ros.ingest.poses import TransformError, TransformTree, TransformUnavailable
from streampetr_ros.sources.bag_options import BagOptions
from streampetr_ros.sources.bag_topics import BagTopics
from streampetr_ros.sources.recorded import BagMessage, Recording

#: Transforms may come this much later than the image they are for.
_PATIENCE_NS = 2_000_000_000
#: What is read of a recording to see an image of each camera.
_MOST_IMAGES = 200


def missing_links(recording: Recording, topics: BagTopics, options: BagOptions) -> list[str]:
    """Look up every transform that the first images need; return a sentence per missing one.

    Args:
        recording: where the messages are.
        topics: to read.
        options: frames.
    """
    images = _first_images(recording, topics)
    if not images:
        return []
    last_ns = max(image.recorded_ns for image in images.values())
    tree = _tree(recording, topics, last_ns + _PATIENCE_NS)
    place = recording.place
    remedy = f"{place.verb} this transform, or name the frames with --fixed-frame and --base-frame"
    wanted = {"the vehicle": (options.fixed_frame, options.base_frame)}
    wanted |= {
        f"camera {camera.name}": (
            options.base_frame,
            camera.wiring.frame_id or images[camera.name].content.header.frame_id.lstrip("/"),
        )
        for camera in topics.cameras
        if camera.name in images
    }
    stamp_ns = max(stamp_ns_from(image.content.header.stamp) for image in images.values())
    found = {who: _gap(tree, target, source, stamp_ns) for who, (target, source) in wanted.items()}
    return [f"no pose of {who}: {gap}; {remedy}" for who, gap in found.items() if gap]


def _gap(tree: TransformTree, target: str, source: str, stamp_ns: int) -> str:
    if not source:
        return "its images name no frame"
    try:
        tree.lookup(target, source, stamp_ns)
    except TransformUnavailable as error:
        return str(error)
    return ""


def _first_images(recording: Recording, topics: BagTopics) -> dict[str, BagMessage]:
    """Return an image of each camera, all of about the same time."""
    names = {camera.image_topic: camera.name for camera in topics.cameras}
    found: dict[str, BagMessage] = {}
    for count, message in enumerate(recording.messages(names)):
        if len(found) == len(names) or count == _MOST_IMAGES:
            break
        found.setdefault(names[message.topic], message)
    return found


def _tree(recording: Recording, topics: BagTopics, until_ns: int) -> TransformTree:
    tree = TransformTree(until_ns, 0, until_ns)
    for message in recording.messages(topics.static):
        for t in map(transform_from, message.content.transforms):
            _enter(tree, t, static=True)
    odometry = (topics.odometry,) if topics.odometry else ()
    for message in recording.messages((*topics.moving, *odometry)):
        if message.recorded_ns > until_ns:
            break
        if message.topic == topics.odometry:
            _enter(tree, transform_from_odometry(message.content), static=False)
            continue
        for t in map(transform_from, message.content.transforms):
            _enter(tree, t, static=False)
    return tree


def _enter(tree: TransformTree, t: StampedTransform, *, static: bool) -> None:
    # What is unusable has been named by the trial that came before.
    with suppress(TransformError):
        if static:
            tree.insert_static(t.parent, t.child, t.translation, t.quaternion_wxyz)
        else:
            tree.insert(t.parent, t.child, t.stamp_ns, t.translation, t.quaternion_wxyz)
