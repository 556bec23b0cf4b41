"""Results as autoware_perception_msgs, where that package is installed.

Twists are in the axes of the object, as Autoware has them, poses in the frame of the header.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
from unique_identifier_msgs.msg import UUID

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, Detections, Tracks
from streampetr_ros.messages.standard import header
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs.objects import pose_covariance, set_upright_pose
from streampetr_ros.ros.outputs.output import Output

_PACKAGE = "autoware_perception_msgs.msg"

#: Class names of nuScenes to constants of ObjectClassification.
_LABELS = {
    "car": "CAR",
    "truck": "TRUCK",
    "construction_vehicle": "TRUCK",
    "bus": "BUS",
    "trailer": "TRAILER",
    "motorcycle": "MOTORCYCLE",
    "bicycle": "BICYCLE",
    "pedestrian": "PEDESTRIAN",
    "animal": "ANIMAL",
    "traffic_cone": "HAZARD",
    "barrier": "HAZARD",
}
#: Objects that look alike from front and back, or from all sides; all others have a heading.
_ORIENTATIONS = {"barrier": "SIGN_UNKNOWN", "traffic_cone": "UNAVAILABLE"}
#: Slower objects are reported as stationary, m/s.
_STATIONARY = 0.5


class AutowareOutput(Output):
    """``~/autoware/detections`` and ``~/autoware/tracks``."""

    def open(self) -> None:
        """Offer the topics."""
        kinds = importlib.import_module(_PACKAGE)
        writer = AutowareWriter(kinds)
        self.offer_detections(
            "~/autoware/detections", kinds.DetectedObjects, writer.detected_objects
        )
        self.offer_tracks("~/autoware/tracks", kinds.TrackedObjects, writer.tracked_objects)


def autoware_messages(choice: str) -> ModuleType | None:
    """Return the package of the messages; None if they are not wanted.

    Args:
        choice: "on", "off", or "auto" for where the messages are installed.

    Raises:
        ConfigError: if they are wanted but not installed.
    """
    if choice == "off":
        return None
    try:
        return importlib.import_module(_PACKAGE)
    except ImportError as error:
        if choice == "auto":
            return None
        raise ConfigError(
            "parameter 'outputs.autoware' is on but the package autoware_perception_msgs is not "
            "installed; install and source it, or choose auto or off"
        ) from error


class AutowareWriter:
    """Writes messages of one run of the node.

    Args:
        messages: the module ``autoware_perception_msgs.msg``.
        run: 8 bytes that tell the identities of this run from those of others; None draws them.

    Attributes:
        messages: that module.
    """

    def __init__(self, messages: ModuleType, run: bytes | None = None) -> None:
        # The package may be missing where types are checked.
        self.messages: Any = messages
        self._run = os.urandom(8) if run is None else run

    def detected_objects(self, detections_base: Detections, base_frame: str) -> Any:
        """Write detections as DetectedObjects.

        Args:
            detections_base: boxes in the base frame.
            base_frame: TF name of that frame.
        """
        message = self.messages.DetectedObjects(
            header=header(types, detections_base.stamp_ns, base_frame)
        )
        known = np.isfinite(detections_base.boxes.velocities).all(axis=1)
        for row in range(len(detections_base)):
            each = self.messages.DetectedObject()
            self._describe(each, detections_base, row)
            each.kinematics.has_twist = bool(known[row])
            message.objects.append(each)
        return message

    def tracked_objects(self, tracks_base: Tracks, base_frame: str) -> Any:
        """Write tracks as TrackedObjects, with covariances.

        Args:
            tracks_base: in the base frame.
            base_frame: TF name of that frame.
        """
        message = self.messages.TrackedObjects(
            header=header(types, tracks_base.stamp_ns, base_frame)
        )
        speeds = np.linalg.norm(tracks_base.boxes.velocities, axis=1)
        for row, identity in enumerate(tracks_base.ids.tolist()):
            each = self.messages.TrackedObject(object_id=self._uuid(identity))
            self._describe(each, tracks_base, row)
            each.kinematics.is_stationary = bool(speeds[row] < _STATIONARY)
            covariance = tracks_base.covariances[row]
            each.kinematics.pose_with_covariance.covariance = pose_covariance(covariance)
            each.kinematics.twist_with_covariance.covariance = _twist_covariance(
                covariance, float(tracks_base.boxes.yaws[row])
            )
            message.objects.append(each)
        return message

    def _describe(self, target: Any, items: Detections | Tracks, row: int) -> None:
        """Fill what both kinds of objects have."""
        boxes, name = items.boxes, items.class_names[items.labels[row]]
        target.existence_probability = float(items.scores[row])
        target.classification = [self._classification(name)]
        kinematics = target.kinematics
        kinematics.orientation_availability = getattr(
            type(kinematics), _ORIENTATIONS.get(name, "AVAILABLE")
        )
        pose = kinematics.pose_with_covariance.pose
        set_upright_pose(pose, boxes.centers[row].tolist(), float(boxes.yaws[row]))
        linear = kinematics.twist_with_covariance.twist.linear
        linear.x, linear.y = _along_object(boxes, row)
        target.shape.type = self.messages.Shape.BOUNDING_BOX
        size = target.shape.dimensions
        size.x, size.y, size.z = boxes.sizes[row].tolist()

    def _classification(self, name: str) -> Any:
        """Name the class; that the object is of it if it exists is all the network says."""
        kind = self.messages.ObjectClassification
        # Older releases know no hazards.
        label = getattr(kind, _LABELS.get(name, "UNKNOWN"), kind.UNKNOWN)
        return kind(label=label, probability=1.0)

    def _uuid(self, identity: int) -> UUID:
        octets = self._run + identity.to_bytes(8, "big")
        return UUID(uuid=np.frombuffer(octets, dtype=np.uint8))


def _along_object(boxes: Boxes, row: int) -> tuple[float, float]:
    """Turn a velocity into the axes of its object; zero where it is not known."""
    velocity = boxes.velocities[row]
    if not np.isfinite(velocity).all():
        return 0.0, 0.0
    x, y = (_object_from_header(float(boxes.yaws[row])) @ velocity).tolist()
    return x, y


def _twist_covariance(covariance: Array, yaw: float) -> Array:
    """Return the 36 values of the covariance of a planar velocity in the axes of its object."""
    rotation = _object_from_header(yaw)
    table = np.zeros((6, 6))
    table[:2, :2] = rotation @ covariance[4:, 4:] @ rotation.T
    return table.ravel()


def _object_from_header(yaw: float) -> Array:
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, sine], [-sine, cosine]])
