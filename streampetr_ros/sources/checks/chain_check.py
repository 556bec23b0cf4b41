"""Which transforms between the cameras, the vehicle and the fixed frame are missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median_low

from streampetr_ros.ingest.messages import (
    stamp_ns_from,
    transform_from,
    transform_from_odometry,
)
from streampetr_ros.ingest.transforms.tree import (
    StampedTransform,
    TransformError,
    TransformTree,
    TransformUnavailable,
)
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.sources.bag.log import BagMessage, Place, Recording
from streampetr_ros.sources.bag.topics import BagTopics, CameraTopics

#: Transforms may come this much later than the image they are for.
_PATIENCE_NS = 2_000_000_000
#: Images and transforms that are farther apart are not of one clock.
_CLOCKS_APART_S = 30.0


@dataclass(slots=True, eq=False)
class Transforms:
    """Recorded transforms.

    Attributes:
        tree: all of them.
        newest_ns: newest stamp of a moving one; 0 if there is none.
    """

    tree: TransformTree
    newest_ns: int = 0

    def enter(self, transform: StampedTransform) -> None:
        """Add a transform."""
        # What is unusable is named by the trial of the first frame sets.
        with suppress(TransformError):
            self.tree.insert(*transform)
            self.newest_ns = max(self.newest_ns, transform.stamp_ns or 0)


def missing_links(
    transforms: Transforms,
    images: Mapping[str, BagMessage],
    topics: BagTopics,
    options: BagOptions,
    place: Place,
) -> list[str]:
    """Look up every transform that the first images need; return a sentence per missing one.

    Args:
        transforms: about these images.
        images: one of each camera, by name.
        topics: to read.
        options: frames.
        place: where the messages are.
    """
    if not images:
        return []
    frames = options.parameters.frames
    remedy = f"{place.verb} this transform, or name the frames with --fixed-frame and --base-frame"
    wanted = {
        f"camera {camera.name}": (frames.base, optical_name(camera, images[camera.name]))
        for camera in topics.cameras
        if camera.name in images
    }
    # Without any topic of it there is nothing to add to what is said about topics.
    if topics.moving or topics.odometry:
        wanted = {"the vehicle": (frames.fixed, frames.base), **wanted}
    # One camera with a wrong clock says nothing about the others.
    stamp_ns = median_low(stamp_ns_from(image.content.header.stamp) for image in images.values())
    apart = _other_clock(transforms, stamp_ns)
    if apart:
        del wanted["the vehicle"]
    return [
        *apart,
        *(
            f"no pose of {who}: {gap}; {remedy}"
            for who, (target, source) in wanted.items()
            if (gap := _gap(transforms.tree, target, source, stamp_ns))
        ),
    ]


def _other_clock(transforms: Transforms, stamp_ns: int) -> list[str]:
    """Say whether images and transforms were stamped by clocks that have nothing in common."""
    ahead_s = (stamp_ns - transforms.newest_ns) * 1e-9
    if not transforms.newest_ns or abs(ahead_s) <= _CLOCKS_APART_S:
        return []
    return [
        f"stamps of images are {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} "
        "those of transforms; they come from different clocks, so set use_sim_time for all "
        "publishers or for none, and synchronise the machines"
    ]


def optical_name(camera: CameraTopics, image: BagMessage) -> str:
    """Return the name of a camera's optical frame as given or as in its image; may be empty."""
    return (camera.settings.frame_id or image.content.header.frame_id).lstrip("/")


def _gap(tree: TransformTree, target: str, source: str, stamp_ns: int) -> str:
    if not source:
        return "its images name no frame"
    try:
        tree.lookup(target, source, stamp_ns)
    except TransformUnavailable as error:
        return str(error)
    return ""


def transforms_about(
    recording: Recording, topics: BagTopics, images: Collection[BagMessage]
) -> Transforms:
    """Return the transforms that were recorded until a while after some images."""
    until_ns = max((image.recorded_ns for image in images), default=0) + _PATIENCE_NS
    found = Transforms(TransformTree(until_ns, 0, until_ns))
    for message in recording.messages(topics.static):
        for each in message.content.transforms:
            found.enter(transform_from(each, static=True))
    for message in recording.messages({*topics.moving, topics.odometry}):
        if message.recorded_ns > until_ns:
            break
        if message.topic == topics.odometry:
            found.enter(transform_from_odometry(message.content))
            continue
        for each in message.content.transforms:
            found.enter(transform_from(each))
    return found
