"""Results as vision_msgs: boxes with class names, identities as text, and the label space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
)

from streampetr_ros.core.types import Detections, Tracks
from streampetr_ros.messages.standard import header
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs.objects import pose_covariance, set_upright_pose
from streampetr_ros.ros.outputs.output import Output

_LABEL_TOPIC = "~/vision/label_info"


class VisionOutput(Output):
    """``~/vision/detections``, ``~/vision/tracks`` and, latched, ``~/vision/label_info``."""

    _is_active = False

    def open(self) -> None:
        """Offer the topics."""
        self.offer(_LABEL_TOPIC, LabelInfo, profile=qos.latched(), keeps_awake=False)
        self.offer_detections("~/vision/detections", Detection3DArray, detections_to_vision)
        self.offer_tracks("~/vision/tracks", Detection3DArray, tracks_to_vision)

    def start(self) -> None:
        """Publish the label space."""
        self._is_active = True
        self._publish_labels()

    def stop(self) -> None:
        """Say nothing more about the label space."""
        self._is_active = False

    def apply(self, parameters: NodeParameters) -> None:
        """Publish the label space again if its threshold changed."""
        before = self._threshold
        super().apply(parameters)
        if self._is_active and self._threshold != before:
            self._publish_labels()

    @property
    def _threshold(self) -> float:
        return min(self.parameters.detection.score_thresholds)

    def _publish_labels(self) -> None:
        now_ns = self.node.get_clock().now().nanoseconds
        self.say(_LABEL_TOPIC, label_info(self.class_names, self._threshold, now_ns))


def detections_to_vision(detections_base: Detections, base_frame: str) -> Detection3DArray:
    """Write detections; `id` is the identity of the track, empty without one.

    Args:
        detections_base: boxes in the base frame.
        base_frame: TF name of that frame.
    """
    track_ids = detections_base.track_ids
    if track_ids is None:
        track_ids = np.zeros(len(detections_base), dtype=np.int64)
    return _array(detections_base, track_ids, base_frame)


def tracks_to_vision(tracks_base: Tracks, base_frame: str) -> Detection3DArray:
    """Write tracks with the covariance of position and heading.

    Args:
        tracks_base: in the base frame.
        base_frame: TF name of that frame.
    """
    message = _array(tracks_base, tracks_base.ids, base_frame)
    for found, covariance in zip(message.detections, tracks_base.covariances, strict=True):
        found.results[0].pose.covariance = pose_covariance(covariance)
    return message


def label_info(class_names: Sequence[str], threshold: float, stamp_ns: int) -> LabelInfo:
    """Write the label space: numbers of the classes and the names that messages carry.

    Args:
        class_names: of the model, in its order.
        threshold: lowest score that is published for any class.
        stamp_ns: node time.
    """
    classes = [VisionClass(class_id=i, class_name=name) for i, name in enumerate(class_names)]
    return LabelInfo(header=header(types, stamp_ns, ""), class_map=classes, threshold=threshold)


def _array(
    items: Detections | Tracks, identities: NDArray[np.int64], base_frame: str
) -> Detection3DArray:
    head = header(types, items.stamp_ns, base_frame)
    boxes = items.boxes
    rows = zip(
        boxes.centers.tolist(),
        boxes.sizes.tolist(),
        boxes.yaws.tolist(),
        items.scores.tolist(),
        items.labels.tolist(),
        identities.tolist(),
        strict=True,
    )
    found = []
    for center, size, yaw, score, label, identity in rows:
        each = _detection(head, center, size, yaw)
        each.results[0].hypothesis.class_id = items.class_names[label]
        each.results[0].hypothesis.score = score
        each.id = str(identity) if identity else ""
        found.append(each)
    return Detection3DArray(header=head, detections=found)


def _detection(head: Header, center: list[float], size: list[float], yaw: float) -> Detection3D:
    detection = Detection3D(header=head, results=[ObjectHypothesisWithPose()])
    for pose in (detection.results[0].pose.pose, detection.bbox.center):
        set_upright_pose(pose, center, yaw)
    detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = size
    return detection
