"""Calibrations from CameraInfo values, and detection of a changed rig."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.ingest.rig import (
    CalibrationError,
    CameraInfo,
    Region,
    RigTolerance,
    build_calibration,
    rig_changed,
)

WIDTH, HEIGHT = 1600, 900
K = (1000.0, 0.0, 810.0, 0.0, 1010.0, 440.0, 0.0, 0.0, 1.0)
P = (900.0, 0.0, 805.0, 0.0, 0.0, 905.0, 445.0, 0.0, 0.0, 0.0, 1.0, 0.0)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
BASE_FROM_FRAME = geometry.transform_from_parts(
    [1.7, 0.1, 1.5], euler2mat(-np.pi / 2, 0.01, -np.pi / 2)
)
PLUMB_BOB = (-0.3, 0.1, 0.001, -0.0005, -0.02)
EQUIDISTANT = (0.05, -0.01, 0.003, -0.0006)

INFO = CameraInfo(
    width=WIDTH, height=HEIGHT, distortion_model="plumb_bob", d=[0.0] * 5, k=K, r=IDENTITY, p=P
)


def build(rectified: bool = False, **changes: object):
    info = replace(INFO, **changes)
    return build_calibration("front", info, BASE_FROM_FRAME, rectified=rectified)


class TestBuild:
    def test_raw_pictures_follow_k(self):
        found = build()
        assert np.array_equal(found.intrinsic.ravel(), K)
        assert np.array_equal(found.base_from_camera, BASE_FROM_FRAME)
        assert (found.name, found.width, found.height) == ("front", WIDTH, HEIGHT)
        assert found.distortion_model == "none"

    def test_rectified_pictures_follow_p(self):
        found = build(rectified=True, d=PLUMB_BOB, k=[0.0] * 9)
        assert np.array_equal(found.intrinsic, np.reshape(P, (3, 4))[:, :3])
        assert found.distortion_model == "none"

    def test_second_camera_of_a_stereo_pair_sits_beside_the_named_frame(self):
        p = list(P)
        p[3] = -900.0 * 0.12
        found = build(rectified=True, p=p)
        point = np.array([0.5, -0.2, 8.0])
        direct = np.reshape(p, (3, 4)) @ np.append(point, 1.0)
        camera_from_frame = geometry.inverse(found.base_from_camera) @ BASE_FROM_FRAME
        through = found.intrinsic @ geometry.transform_points(camera_from_frame, point)
        assert np.allclose(direct, through)

    def test_rotation_of_the_raw_camera_against_the_named_frame(self):
        rotation = euler2mat(0.02, -0.01, 0.03)
        found = build(r=rotation.ravel())
        assert np.allclose(found.base_from_camera[:3, :3], BASE_FROM_FRAME[:3, :3] @ rotation)
        assert np.array_equal(build(r=[0.0] * 9).base_from_camera, BASE_FROM_FRAME)

    @pytest.mark.parametrize("rectified", [False, True])
    def test_binning_and_region(self, rectified):
        """A point lands at (full - offset) / binning, whatever is delivered."""
        region = Region(x_offset=200, y_offset=100, width=1200, height=600)
        full = build(rectified)
        part = build(rectified, binning_x=2, binning_y=4, roi=region)
        point = np.array([0.3, -0.1, 2.0])
        pixel = (full.intrinsic @ point)[:2] / 2.0
        found = (part.intrinsic @ point)[:2] / 2.0
        assert np.allclose(found, (pixel - [200, 100]) / [2, 4])
        assert (part.width, part.height) == (600, 150)

    @pytest.mark.parametrize(
        ("model", "d", "expected"),
        [
            ("plumb_bob", PLUMB_BOB, "plumb_bob"),
            ("radtan", PLUMB_BOB[:4], "plumb_bob"),
            ("plumb_bob", (), "none"),
            ("", (), "none"),
            ("none", (), "none"),
            ("rational_polynomial", (0.1,) * 8, "rational_polynomial"),
            ("rational_polynomial", (0.0,) * 8, "none"),
            ("equidistant", EQUIDISTANT, "equidistant"),
            ("Equidistant", (0.0,) * 4, "equidistant"),
            ("fisheye", EQUIDISTANT, "equidistant"),
        ],
    )
    def test_lens_models(self, model, d, expected):
        found = build(distortion_model=model, d=d)
        assert found.distortion_model == expected
        assert found.distortion.tolist() == ([] if expected == "none" else list(d))


def with_entry(values: tuple[float, ...], index: int, value: float) -> tuple[float, ...]:
    return (*values[:index], value, *values[index + 1 :])


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"k": (0.0,) * 9}, r"k\[0\] = 0, which means uncalibrated"),
            ({"k": with_entry(K, 4, np.nan)}, "k that are not finite"),
            ({"k": with_entry(K, 0, -1000.0)}, "implausible"),
            ({"k": with_entry(K, 0, 1.0)}, "implausible"),
            ({"k": with_entry(K, 0, 1e9)}, "implausible"),
            ({"k": with_entry(K, 0, 5000.0)}, "different"),
            ({"k": with_entry(K, 2, -1.0)}, "principal point"),
            ({"k": with_entry(K, 5, 901.0)}, "principal point"),
            ({"k": with_entry(K, 8, 0.0)}, "triangular"),
            ({"k": with_entry(K, 3, 5.0)}, "triangular"),
            ({"k": K[:8]}, "8 values in k instead of 9"),
            ({"k": ("a",) * 9}, "no numbers"),
            ({"r": (1.0,) * 9}, "no rotation"),
            ({"r": (-1.0, 0, 0, 0, -1, 0, 0, 0, -1)}, "no rotation"),
            ({"width": 0}, "size 0 x 900"),
            ({"roi": Region(x_offset=1000, width=1000, height=100)}, "region of interest"),
            ({"roi": Region(x_offset=10)}, "region of interest"),
            ({"roi": Region(width=-5, height=5)}, "negative"),
            ({"binning_x": 5000}, "binning"),
            ({"distortion_model": "omni"}, "'omni'; supported are plumb_bob"),
            ({"d": (0.1, 0.2)}, "2 lens coefficients"),
            ({"d": with_entry(PLUMB_BOB, 1, np.inf)}, "d that are not finite"),
            ({"distortion_model": "none", "d": PLUMB_BOB}, "5 lens coefficients"),
            ({"distortion_model": "equidistant", "d": ()}, "0 lens coefficients"),
        ],
    )
    def test_raw(self, changes, word):
        with pytest.raises(CalibrationError, match=word) as caught:
            build(**changes)
        assert "camera 'front'" in str(caught.value)

    @pytest.mark.parametrize(
        ("p", "word"),
        [
            ((0.0,) * 12, r"p\[0\] = 0"),
            (with_entry(P, 5, 0.0), r"p\[5\] = 0"),
            (with_entry(P, 3, 1e6), "baseline"),
            (with_entry(P, 2, 2000.0), "principal point"),
            (P[:9], "9 values in p instead of 12"),
        ],
    )
    def test_rectified(self, p, word):
        with pytest.raises(CalibrationError, match=word):
            build(rectified=True, p=p)

    @pytest.mark.parametrize(
        "mounting", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan), 2 * np.eye(4)]
    )
    def test_mounting(self, mounting):
        with pytest.raises(CalibrationError, match="mounting"):
            build_calibration("front", INFO, mounting, rectified=False)

    def test_principal_point_outside_of_a_region_is_fine(self):
        assert build(roi=Region(width=400, height=400)).intrinsic[0, 2] == 810


class TestRigChanged:
    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"width": 800}, "1600x900 to 800x900"),
            ({"width": 3200}, "1600x900 to 3200x900"),
            ({"intrinsic": build().intrinsic + 0.6}, "camera matrix, by 0.60 pixels"),
            ({"intrinsic": np.full((3, 3), np.nan)}, "camera matrix"),
            ({"distortion_model": "equidistant"}, "lens"),
            ({"distortion": np.ones(5)}, "lens"),
        ],
    )
    def test_of_a_camera(self, change, word):
        before = build()
        reason = rig_changed([before], [replace(before, **change)])
        assert reason is not None
        assert reason.startswith("camera 'front'")
        assert word in reason

    @pytest.mark.parametrize(("metres", "word"), [(0.009, None), (0.02, "moved by 0.020 m")])
    def test_position(self, metres, word):
        moved = geometry.transform_from_parts([0, metres, 0], np.eye(3)) @ BASE_FROM_FRAME
        reason = rig_changed([build()], [replace(build(), base_from_camera=moved)])
        assert reason is None if word is None else word in reason

    @pytest.mark.parametrize(("radians", "word"), [(0.0019, None), (0.01, "turned by 0.57")])
    def test_direction(self, radians, word):
        turn = geometry.transform_from_parts(np.zeros(3), geometry.rotation_about_z(radians))
        reason = rig_changed([build()], [replace(build(), base_from_camera=BASE_FROM_FRAME @ turn)])
        assert reason is None if word is None else word in reason

    def test_a_missing_camera_is_no_change(self):
        front, back = build(), replace(build(), name="back")
        assert rig_changed([front, back], [front]) is None
        assert rig_changed([front], [back, front]) is None


class TestLimits:
    """What lies exactly on a limit is taken, one step beyond it is not."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"k": with_entry(with_entry(K, 0, 160.0), 4, 160.0)},
            {"k": with_entry(with_entry(K, 0, 32000.0), 4, 32000.0)},
            {"k": with_entry(with_entry(K, 0, 1000.0), 4, 2000.0)},
            {"k": with_entry(K, 1, 100.0)},
            {"k": with_entry(K, 1, -100.0)},
            {"k": with_entry(with_entry(K, 2, 0.0), 5, 0.0)},
            {"k": with_entry(with_entry(K, 2, 1600.0), 5, 900.0)},
            {"roi": Region(x_offset=600, y_offset=300, width=1000, height=600)},
            {"binning_x": 1600, "binning_y": 900},
        ],
    )
    def test_taken(self, changes):
        assert build(**changes).distortion_model == "none"

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"k": with_entry(with_entry(K, 0, 159.0), 4, 159.0)}, "implausible"),
            ({"k": with_entry(K, 4, 159.0)}, "implausible"),
            ({"k": with_entry(K, 4, 2001.0)}, "different"),
            ({"k": with_entry(K, 1, -101.0)}, "triangular"),
            ({"k": with_entry(K, 6, 1.0)}, "triangular"),
            ({"k": with_entry(K, 2, 1601.0)}, "principal point"),
            ({"k": with_entry(K, 5, -1.0)}, "principal point"),
            ({"height": 0}, "size 1600 x 0"),
            ({"height": -1}, "size 1600 x -1"),
            ({"roi": Region(x_offset=601, width=1000, height=600)}, "no part of"),
            ({"roi": Region(y_offset=301, width=1000, height=600)}, "no part of"),
            ({"roi": Region(width=1000)}, "no part of"),
            ({"roi": Region(height=600)}, "no part of"),
            ({"roi": Region(y_offset=-1)}, "negative"),
            ({"binning_y": 901}, "leaves no pixels"),
            ({"r": with_entry(IDENTITY, 8, -1.0)}, "no rotation"),
            ({"r": (0.0, 3.0, *IDENTITY[2:])}, "no rotation"),
        ],
    )
    def test_refused(self, changes, word):
        with pytest.raises(CalibrationError, match=word):
            build(**changes)

    @pytest.mark.parametrize(("index", "focal"), [(3, P[0]), (7, P[5])])
    def test_stereo_baseline_of_either_direction(self, index, focal):
        found = build(rectified=True, p=with_entry(P, index, 10.0 * focal))
        assert abs(geometry.inverse(BASE_FROM_FRAME) @ found.base_from_camera)[:3, 3].max() == (
            pytest.approx(10.0)
        )
        for metres in (10.1, -10.1):
            with pytest.raises(CalibrationError, match="baseline"):
                build(rectified=True, p=with_entry(P, index, metres * focal))

    def test_stereo_camera_sits_below_by_the_second_row(self):
        found = build(rectified=True, p=with_entry(P, 7, -P[5] * 0.3))
        frame_from_camera = geometry.inverse(BASE_FROM_FRAME) @ found.base_from_camera
        assert np.allclose(frame_from_camera[:3, 3], [0.0, 0.3, 0.0])

    def test_mounting_with_another_last_row(self):
        mounting = BASE_FROM_FRAME.copy()
        mounting[3, 0] = 0.5
        with pytest.raises(CalibrationError, match="mounting"):
            build_calibration("front", INFO, mounting, rectified=False)

    @pytest.mark.parametrize(("tolerance", "changed"), [(0.5, False), (0.49, True)])
    def test_differences_up_to_the_tolerance_are_none(self, tolerance, changed):
        before = build(d=PLUMB_BOB)
        matrix = replace(before, intrinsic=before.intrinsic + 0.5)
        lens = replace(before, distortion=before.distortion + 0.5 * np.eye(5)[1])
        pixels = RigTolerance(pixels=tolerance)
        widths = RigTolerance(pixels=0.0, widths=tolerance / WIDTH)
        coefficients = RigTolerance(coefficients=tolerance + 1e-12)
        assert (rig_changed([before], [matrix], pixels) is not None) == changed
        assert (rig_changed([before], [matrix], widths) is not None) == changed
        assert (rig_changed([before], [lens], coefficients) is not None) == changed

    def test_lens_does_not_count_where_any_coefficients_are_taken(self):
        tolerance = RigTolerance(coefficients=np.inf)
        assert rig_changed([build()], [build(d=PLUMB_BOB)], tolerance) is None
        assert "lens" in str(rig_changed([build()], [build(d=PLUMB_BOB)]))
