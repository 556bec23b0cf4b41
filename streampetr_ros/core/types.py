"""Data that crosses a stage: frozen, stamped in integer nanoseconds, every frame named.

Frames: *fixed* is the odometry frame that does not move with the vehicle, *base* the vehicle frame
(REP-105 ``base_link``: x forward, y left, z up), *model* the frame the network predicts in (for
nuScenes weights the roof LiDAR: x right, y forward, z up).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array

RowIndex = NDArray[np.int64] | NDArray[np.bool_]
_C = TypeVar("_C", bound="Columns")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Parallel arrays: row i of every array field belongs to the same thing.

    Fields that are columns themselves take part; any other holds for all rows.
    """

    def selected(self: _C, index: RowIndex) -> _C:
        """Return the rows at an integer or boolean index."""
        chosen = {
            name: column.selected(index) if isinstance(column, Columns) else column[index]
            for name, column in self._columns()
        }
        return replace(self, **chosen)

    def joined(self: _C, other: _C) -> _C:
        """Return the rows of both."""
        joined = {}
        for name, column in self._columns():
            more = getattr(other, name)
            nested = isinstance(column, Columns)
            joined[name] = column.joined(more) if nested else np.concatenate([column, more])
        return replace(self, **joined)

    def _columns(self) -> list[tuple[str, Any]]:
        values = [(each.name, getattr(self, each.name)) for each in fields(self)]
        return [each for each in values if isinstance(each[1], (Columns, np.ndarray))]


def _no_distortion() -> Array:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraCalibration:
    """Intrinsics and mounting of one camera.

    Attributes:
        name: unique within the rig.
        width: image width in pixels that `intrinsic` refers to.
        height: image height in pixels.
        intrinsic: (3, 3) float64 camera matrix, pixels.
        base_from_camera: (4, 4) float64, optical frame to base frame.
        distortion_model: "none", "plumb_bob", "rational_polynomial" or "equidistant"
            (names of sensor_msgs/CameraInfo).
        distortion: (k,) float64 coefficients of that model; empty for "none".
        reduction: how many times narrower the pictures are than those the camera delivers.
    """

    name: str
    width: int
    height: int
    intrinsic: Array
    base_from_camera: Array
    distortion_model: str = "none"
    distortion: Array = field(default_factory=_no_distortion)
    reduction: int = 1

    def has_lens_of(self, other: CameraCalibration) -> bool:
        """Tell whether both show the world alike, however they are mounted."""
        return (
            (self.width, self.height, self.distortion_model)
            == (other.width, other.height, other.distortion_model)
            and np.array_equal(self.intrinsic, other.intrinsic)
            and np.array_equal(self.distortion, other.distortion)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraFrame:
    """One decoded image with all that places it in space and time.

    Attributes:
        calibration: of the camera that took it.
        stamp_ns: exposure time, integer nanoseconds.
        pixels: (height, width, 3) uint8, RGB.
        fixed_from_base: (4, 4) float64 vehicle pose at `stamp_ns`, not at the set's reference time.
    """

    calibration: CameraCalibration
    stamp_ns: int
    pixels: NDArray[np.uint8]
    fixed_from_base: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes(Columns):
    """Upright 3D boxes in one frame.

    Attributes:
        centers: (n, 3) float64 gravity centers, metres.
        sizes: (n, 3) float64 length (along heading), width, height, metres.
        yaws: (n,) float64 heading about +z from +x, counter-clockwise, radians.
        velocities: (n, 2) float64 ground velocity along this frame's x and y, m/s; NaN unknown.
    """

    centers: Array
    sizes: Array
    yaws: Array
    velocities: Array

    def __len__(self) -> int:
        return len(self.centers)

    def transformed(self, target_from_source: Array) -> Boxes:
        """Express the boxes in another frame; boxes stay upright in the target frame.

        Args:
            target_from_source: (4, 4) from the present frame to the wanted one.
        """
        return Boxes(
            centers=geometry.transform_points(target_from_source, self.centers),
            sizes=self.sizes,
            yaws=geometry.rotate_yaws(target_from_source, self.yaws),
            velocities=geometry.rotate_planar(target_from_source, self.velocities),
        )

    def corners(self) -> Array:
        """Return the (n, 8, 3) corners, ordered as `geometry.CORNER_SIGNS`."""
        return geometry.box_corners(self.centers, self.sizes, self.yaws)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """Annotated objects of a frame set, in the base frame at the set's reference time.

    Attributes:
        boxes: (n) boxes.
        class_names: n names.
        instance_ids: (n,) int64, the same number for the same object over time; -1 unknown.
        visibilities: (n,) float64 visible share in [0, 1]; NaN unknown.
    """

    boxes: Boxes
    class_names: tuple[str, ...]
    instance_ids: NDArray[np.int64]
    visibilities: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameSet:
    """The images of one exposure cycle, complete with geometry: the input of a pipeline step.

    Attributes:
        stamp_ns: reference time of the set; boxes are predicted for it.
        cameras: images present; a set may lack cameras of the rig.
        fixed_from_base: (4, 4) float64 vehicle pose at `stamp_ns`.
        base_from_model: (4, 4) float64 mounting of the model frame.
        sequence: recording or scene this set belongs to; a change restarts the memory.
        token: sample token of a data set, else empty.
        truth: annotations when the source has them.
    """

    stamp_ns: int
    cameras: tuple[CameraFrame, ...]
    fixed_from_base: Array
    base_from_model: Array
    sequence: str = ""
    token: str = ""
    truth: Truth | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections(Columns):
    """Scored boxes of one frame set, best first.

    Attributes:
        stamp_ns: reference time of the set.
        boxes: (n) boxes in the frame named by `frame`.
        scores: (n,) float64 in [0, 1], descending.
        labels: (n,) int64 indices into `class_names`.
        class_names: names of the label space.
        frame: "model", "base" or "fixed".
        track_ids: (n,) int64 identity of the track each belongs to, 0 without one; None when
            objects are not followed.
        query_ids: (n,) int64 identity of the query that found each, kept as long as the memory
            hands the query on; None when unknown.
    """

    stamp_ns: int
    boxes: Boxes
    scores: Array
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    frame: str
    track_ids: NDArray[np.int64] | None = None
    query_ids: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def transformed(self, target_from_source: Array, frame: str) -> Detections:
        """Express the detections in another frame, named `frame`."""
        return replace(self, boxes=self.boxes.transformed(target_from_source), frame=frame)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks(Columns):
    """Objects followed over time, most certain first.

    Attributes:
        stamp_ns: time the boxes hold for.
        boxes: (n) filtered boxes in the frame named by `frame`.
        scores: (n,) float64 probability in [0, 1] that the object exists, descending.
        labels: (n,) int64 indices into `class_names`.
        ids: (n,) int64, positive; kept for the life of a track and never used twice.
        ages: (n,) float64 seconds since the first detection.
        unseen: (n,) float64 seconds since the last detection; 0 for objects seen just now.
        covariances: (n, 6, 6) float64 of x, y, z (m), yaw (rad) and the velocity along x and y
            (m/s), along the axes of `frame`.
        sources: (n,) int64 index of the detection of the last step seen as this object; -1 none.
        class_names: names of the label space.
        frame: "fixed" or "base".
    """

    stamp_ns: int
    boxes: Boxes
    scores: Array
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]
    ages: Array
    unseen: Array
    covariances: Array
    sources: NDArray[np.int64]
    class_names: tuple[str, ...]
    frame: str

    def __len__(self) -> int:
        return len(self.scores)

    def transformed(self, target_from_source: Array, frame: str) -> Tracks:
        """Express the tracks in another frame, named `frame`; angles keep their variance."""
        rotation = np.eye(6)
        rotation[:3, :3] = target_from_source[:3, :3]
        rotation[4:, 4:] = target_from_source[:2, :2]
        return replace(
            self,
            boxes=self.boxes.transformed(target_from_source),
            covariances=rotation @ self.covariances @ rotation.T,
            frame=frame,
        )
