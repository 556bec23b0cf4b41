"""Calibrations from what cameras publish about themselves, checked before anything relies on them.

Convention (that of sensor_msgs/CameraInfo): k and d describe the raw picture at full resolution, p
the rectified one; r turns the physical camera into the frame that is named in the message; the
delivered picture is the region of interest, reduced by the binning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import CameraCalibration
from streampetr_ros.ingest.lens import source_share

#: Names of lens models, as published, and what this project calls them.
_MODELS = MappingProxyType(
    {
        "": "none",
        "none": "none",
        "plumb_bob": "plumb_bob",
        "radtan": "plumb_bob",
        "rational_polynomial": "rational_polynomial",
        "equidistant": "equidistant",
        "fisheye": "equidistant",
    }
)

#: Numbers of coefficients a model may have.
_COEFFICIENTS = MappingProxyType(
    {
        "plumb_bob": (4, 5),
        "rational_polynomial": (8, 12, 14),
        "equidistant": (4,),
    }
)

#: Focal lengths in picture widths: from a 160 degree fisheye to a 3 degree telephoto lens.
SHORTEST_FOCAL, LONGEST_FOCAL = 0.1, 20.0
#: Larger ratio of the focal lengths that is believed; sensors have nearly square pixels.
LARGEST_ASPECT = 2.0
#: Share of an undistorted picture that the raw one must show.
SMALLEST_SHARE = 0.5
#: Stereo baseline in metres that is believed.
LONGEST_BASELINE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RigTolerance:
    """Differences up to which two rigs are the same.

    Attributes:
        pixels: of entries of the camera matrix.
        widths: likewise, in widths of the picture; the larger one counts.
        coefficients: of the lens.
        metres: of a place.
        radians: of a direction.
    """

    pixels: float = 0.5
    widths: float = 0.0
    coefficients: float = 1e-3
    metres: float = 0.01
    radians: float = 0.002


#: What calibrating anew or reading a message again may change.
SAME = RigTolerance()


class CalibrationError(ValueError):
    """A calibration that cannot be used, naming the camera and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Part of the full resolution picture that is delivered; all zero means all of it."""

    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraInfo:
    """The fields of a sensor_msgs/CameraInfo, as plain values.

    Attributes:
        width: pixels at full resolution.
        height: pixels at full resolution.
        distortion_model: of the lens.
        d: its coefficients.
        k: (9,) camera matrix of the raw picture, row by row.
        r: (9,) rotation of the physical camera into the named frame; all zero means none.
        p: (12,) projection from the named frame into the rectified picture.
        binning_x: columns joined into one; 0 means 1.
        binning_y: rows joined into one.
        roi: delivered part.
    """

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    r: Sequence[float]
    p: Sequence[float]
    binning_x: int = 0
    binning_y: int = 0
    roi: Region = Region()


def build_calibration(
    name: str,
    info: CameraInfo,
    base_from_frame: Array,
    *,
    rectified: bool,
) -> CameraCalibration:
    """Build the calibration of a camera's delivered pictures.

    Args:
        name: of the camera.
        info: what it publishes about itself.
        base_from_frame: (4, 4) mounting of the frame its messages name.
        rectified: whether its pictures are rectified already (then p counts) or raw (k and d).

    Returns:
        Calibration of the delivered picture; distorted for raw pictures of a lens that distorts.

    Raises:
        CalibrationError: naming the camera, the value and the remedy.
    """
    where = f"calibration of camera '{name}'"
    _check_full_size(where, info)
    width, height = _delivered_size(where, info)
    _check_mounting(where, base_from_frame)
    if rectified:
        full, camera_in_frame = _rectified_camera(where, info)
        model, coefficients = "none", np.zeros(0)
    else:
        full, camera_in_frame = _raw_camera(where, info)
        model, coefficients = _distortion(where, info)
    _check_intrinsic(where, full, info)
    camera = CameraCalibration(
        name=name,
        width=width,
        height=height,
        intrinsic=_delivered_intrinsic(full, info),
        base_from_camera=base_from_frame @ camera_in_frame,
        distortion_model=model,
        distortion=coefficients,
    )
    _check_lens(where, camera)
    return camera


def rig_changed(
    before: Sequence[CameraCalibration],
    after: Sequence[CameraCalibration],
    tolerance: RigTolerance = SAME,
) -> str | None:
    """Say what changed between two rigs, None if nothing did.

    Cameras that only one of them has do not count: a set may lack cameras.
    """
    known = {camera.name: camera for camera in before}
    for camera in after:
        # Most rigs are the same objects from set to set.
        if known.get(camera.name, camera) is not camera:
            change = _change(known[camera.name], camera, tolerance)
            if change is not None:
                return f"camera '{camera.name}' {change}"
    return None


def _change(
    before: CameraCalibration, after: CameraCalibration, tolerance: RigTolerance
) -> str | None:
    sizes = [(camera.width, camera.height) for camera in (before, after)]
    if sizes[0] != sizes[1]:
        return "went from {}x{} to {}x{} pixels".format(*sizes[0], *sizes[1])
    pixels = float(np.abs(before.intrinsic - after.intrinsic).max())
    if not pixels <= max(tolerance.pixels, tolerance.widths * before.width):
        return f"has another camera matrix, by {pixels:.2f} pixels"
    is_same_lens = tolerance.coefficients == np.inf or (
        before.distortion_model == after.distortion_model
        and before.distortion.shape == after.distortion.shape
        and bool(np.all(np.abs(before.distortion - after.distortion) <= tolerance.coefficients))
    )
    if not is_same_lens:
        return "has other lens coefficients"
    return mounting_change(before.base_from_camera, after.base_from_camera, tolerance)


def mounting_change(before: Array, after: Array, tolerance: RigTolerance = SAME) -> str | None:
    """Say how far one (4, 4) mounting is from another, None if they are about the same."""
    if np.array_equal(before, after):
        return None
    before_from_after = geometry.inverse(before) @ after
    moved = float(np.linalg.norm(before_from_after[:3, 3]))
    if not moved <= tolerance.metres:
        return f"moved by {moved:.3f} m"
    turned = geometry.rotation_angle(before_from_after)
    if not turned <= tolerance.radians:
        return f"turned by {np.degrees(turned):.2f} degrees"
    return None


def _check_full_size(where: str, info: CameraInfo) -> None:
    if info.width <= 0 or info.height <= 0:
        raise CalibrationError(
            f"{where} has the size {info.width} x {info.height}; its driver must publish the full "
            f"resolution"
        )
    roi = info.roi
    if min(roi.x_offset, roi.y_offset, roi.width, roi.height) < 0:
        raise CalibrationError(f"{where} has a region of interest with negative values: {roi}")
    part = roi.width > 0 and roi.height > 0
    inside = roi.x_offset + roi.width <= info.width and roi.y_offset + roi.height <= info.height
    if not (inside if part else roi == Region()):
        raise CalibrationError(
            f"{where} has a region of interest that is no part of {info.width} x {info.height}: "
            f"{roi}"
        )


def _binning(info: CameraInfo) -> tuple[int, int]:
    return max(1, info.binning_x), max(1, info.binning_y)


def _delivered_size(where: str, info: CameraInfo) -> tuple[int, int]:
    columns, rows = _binning(info)
    width = (info.roi.width or info.width) // columns
    height = (info.roi.height or info.height) // rows
    if width == 0 or height == 0:
        raise CalibrationError(
            f"{where} has a binning of {columns} x {rows} that leaves no pixels; correct binning"
        )
    return width, height


def _delivered_intrinsic(full: Array, info: CameraInfo) -> Array:
    """Move the origin to the region of interest, then join pixels, as image_geometry does."""
    columns, rows = _binning(info)
    delivered_from_full = np.array(
        [
            [1 / columns, 0.0, -info.roi.x_offset / columns],
            [0.0, 1 / rows, -info.roi.y_offset / rows],
            [0.0, 0.0, 1.0],
        ]
    )
    return delivered_from_full @ full


def _matrix(where: str, letter: str, values: Sequence[float], columns: int) -> Array:
    try:
        flat = np.array(values, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{where} has {letter} with values that are no numbers") from error
    if flat.size != 3 * columns:
        raise CalibrationError(
            f"{where} has {flat.size} values in {letter} instead of {3 * columns}"
        )
    if not np.all(np.isfinite(flat)):
        raise CalibrationError(
            f"{where} has values in {letter} that are not finite; recalibrate it"
        )
    if letter in "kp" and flat[0] == 0:
        raise CalibrationError(
            f"{where} has {letter}[0] = 0, which means uncalibrated; calibrate the camera and let "
            f"its driver publish the result"
        )
    return flat.reshape(3, columns)


def _rectified_camera(where: str, info: CameraInfo) -> tuple[Array, Array]:
    """Return the camera matrix in p and the camera's pose in the named frame.

    The fourth column is not zero for the second camera of a stereo pair, whose messages name the
    frame of the first.
    """
    projection = _matrix(where, "p", info.p, 4)
    intrinsic = projection[:, :3]
    if intrinsic[1, 1] == 0:
        raise CalibrationError(f"{where} has p[5] = 0; let its driver publish a complete p")
    across = float(projection[0, 3]) / float(intrinsic[0, 0])
    down = float(projection[1, 3]) / float(intrinsic[1, 1])
    if not max(abs(across), abs(down)) <= LONGEST_BASELINE:
        raise CalibrationError(f"{where} has a stereo baseline of {across:.6g} m in p; correct p")
    return intrinsic, geometry.transform_from_parts([-across, -down, 0.0], np.eye(3))


def _raw_camera(where: str, info: CameraInfo) -> tuple[Array, Array]:
    """Return k and the physical camera's pose in the named frame."""
    intrinsic = _matrix(where, "k", info.k, 3)
    rotation = _matrix(where, "r", info.r, 3)
    if not np.any(rotation):
        rotation = np.eye(3)
    if not _is_rotation(rotation):
        raise CalibrationError(f"{where} has an r that is no rotation; recalibrate the camera")
    return intrinsic, geometry.transform_from_parts(np.zeros(3), rotation)


def _is_rotation(matrix: Array) -> bool:
    # Limits the products below: values beyond are no rotation anyway.
    if not np.all(np.abs(matrix) <= 2.0):
        return False
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and np.linalg.det(matrix) > 0


def _check_mounting(where: str, base_from_frame: Array) -> None:
    mounting = np.asarray(base_from_frame, dtype=np.float64)
    fits = mounting.shape == (4, 4) and np.all(np.isfinite(mounting))
    if not fits or not _is_rotation(mounting[:3, :3]) or np.any(mounting[3] != (0, 0, 0, 1)):
        raise CalibrationError(
            f"{where} comes with a mounting that is no rigid transform; check the transform from "
            f"the base frame to the camera"
        )


def _distortion(where: str, info: CameraInfo) -> tuple[str, Array]:
    """Return the lens model and its coefficients; a lens that does nothing is none."""
    model = _MODELS.get(str(info.distortion_model).strip().lower())
    if model is None:
        raise CalibrationError(
            f"{where} has the lens model '{info.distortion_model}'; supported are "
            f"{', '.join(_COEFFICIENTS)}; rectify the pictures first"
        )
    try:
        coefficients = np.array(list(info.d), dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{where} has d with values that are no numbers") from error
    if not np.all(np.isfinite(coefficients)):
        raise CalibrationError(f"{where} has values in d that are not finite; recalibrate it")
    # Zero coefficients leave a pinhole camera in every model but this one.
    if model != "equidistant" and not np.any(coefficients):
        return "none", np.zeros(0)
    if coefficients.size not in _COEFFICIENTS.get(model, ()):
        expected = " or ".join(str(n) for n in _COEFFICIENTS.get(model, (0,)))
        raise CalibrationError(
            f"{where} has {coefficients.size} lens coefficients, '{info.distortion_model}' has "
            f"{expected}; recalibrate the camera"
        )
    return model, coefficients


def _check_lens(where: str, camera: CameraCalibration) -> None:
    """Refuse lens models that leave little of the picture when they are undone."""
    if camera.distortion_model == "none":
        return
    share = source_share(camera)
    if share < SMALLEST_SHARE:
        raise CalibrationError(
            f"{where} has lens coefficients that leave {share:.0%} of the undistorted picture, the "
            "rest is folded or black; recalibrate the camera or publish rectified pictures"
        )


def _check_intrinsic(where: str, intrinsic: Array, info: CameraInfo) -> None:
    """Refuse camera matrices no camera has; at full resolution, where the center is inside."""
    (fx, skew, cx), (zero, fy, cy), last = intrinsic
    if zero != 0 or tuple(last) != (0.0, 0.0, 1.0) or abs(skew) > 0.1 * abs(fx):
        raise CalibrationError(f"{where} has a camera matrix that is not upper triangular")
    lengths = (fx / info.width, fy / info.width)
    if not all(SHORTEST_FOCAL <= length <= LONGEST_FOCAL for length in lengths):
        raise CalibrationError(
            f"{where} has focal lengths of {fx:.6g} and {fy:.6g} pixels, implausible for "
            f"{info.width} columns; recalibrate it at this resolution"
        )
    if max(lengths) > LARGEST_ASPECT * min(lengths):
        raise CalibrationError(
            f"{where} has focal lengths as different as {fx:.6g} and {fy:.6g} pixels; "
            f"recalibrate it"
        )
    if not (0 <= cx <= info.width and 0 <= cy <= info.height):
        raise CalibrationError(
            f"{where} has its principal point ({cx:.6g}, {cy:.6g}) outside of the {info.width} x "
            f"{info.height} picture; recalibrate it at this resolution"
        )
