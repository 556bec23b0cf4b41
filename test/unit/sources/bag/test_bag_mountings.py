"""A bag holds the mounting of every camera that is in it, and only one of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rigs import frame_set, without

from streampetr_ros.parameters.bag import bag_options
from streampetr_ros.sources import SourceError
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.sources.bag.writer import write_bag


def drive(first: int = 0):
    return [frame_set(first + i, size=(32, 18)) for i in range(3)]


def raised(matrix, metres: float):
    higher = matrix.copy()
    higher[2, 3] += metres
    return higher


def with_raised_cameras(original, metres: float):
    cameras = tuple(
        replace(
            frame,
            calibration=replace(
                frame.calibration,
                base_from_camera=raised(frame.calibration.base_from_camera, metres),
            ),
        )
        for frame in original.cameras
    )
    return replace(original, cameras=cameras)


def test_drives_of_different_vehicles_are_refused(tmp_path: Path):
    sets = [*drive(), *(with_raised_cameras(each, 1.0) for each in drive(10))]
    says = "mounting of 'CAM_FRONT_optical_frame' at .* record each drive by itself"
    with pytest.raises(SourceError, match=says):
        write_bag(sets, tmp_path / "bag")
    assert not list(tmp_path.iterdir())


def test_another_model_frame_is_refused(tmp_path: Path):
    other = [replace(each, base_from_model=raised(each.base_from_model, 0.1)) for each in drive(10)]
    with pytest.raises(SourceError, match="mounting of 'lidar_top'"):
        write_bag([*drive(), *other], tmp_path / "bag")


def test_drives_of_one_vehicle_share_a_bag(tmp_path: Path):
    sets = [*drive(), *(with_raised_cameras(each, 1e-3) for each in drive(10))]
    assert write_bag(sets, tmp_path / "bag") == 6


def test_a_camera_that_comes_later_is_mounted_too(tmp_path: Path):
    whole = drive()
    write_bag([without(whole[0], "CAM_BACK"), *whole[1:]], tmp_path / "bag", encoding="png")
    source = BagSource(tmp_path / "bag", bag_options(given={"sync.min_cameras": 5}))
    got = list(source)
    assert [len(each.cameras) for each in got] == [5, 6, 6]
    assert not source.problems
    for mine, wanted in zip(got[-1].cameras, whole[-1].cameras, strict=True):
        np.testing.assert_allclose(
            mine.calibration.base_from_camera, wanted.calibration.base_from_camera, atol=1e-9
        )
