"""Rings on the ground lie where their distance says."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rigs import frame_set
from typer.testing import CliRunner

from streampetr_ros.core import geometry
from streampetr_ros.tools.cli import build_app
from streampetr_ros.viz.ground import RINGS, draw_ground
from streampetr_ros.viz.overlay import image_from_base


@pytest.fixture
def still():
    """A standing vehicle: all cameras in the frame of the reference time, black images."""
    one = frame_set(0, size=(640, 360))
    cameras = tuple(
        replace(camera, fixed_from_base=one.fixed_from_base, pixels=np.zeros_like(camera.pixels))
        for camera in one.cameras
    )
    return replace(one, cameras=cameras)


@pytest.mark.parametrize("height", [0.0, -0.4])
def test_rings_pass_through_points_of_their_radius(still, height):
    camera = still.cameras[0]
    painted = draw_ground(camera, still, height).pixels
    away = np.radians(12.0)  # beside the labels and the axis, inside the image
    for radius in RINGS[1:3]:
        point = np.array([[radius * np.cos(away), radius * np.sin(away), height]])
        u, v, depth = geometry.transform_points(image_from_base(camera, still), point)[0]
        column = painted[:, int(u / depth)].sum(axis=1).astype(int)
        row = int(v / depth)
        assert column[row - 1 : row + 2].max() > 300
        assert column[row + 6] == 0, f"something else is painted below the {radius} m ring"


def test_the_image_given_is_left_alone(still):
    draw_ground(still.cameras[0], still)
    assert not still.cameras[0].pixels.any()


def test_a_camera_that_looks_straight_down_gets_no_labels(still):
    calibration = still.cameras[0].calibration
    down = geometry.transform_from_parts([0, 0, 30.0], np.diag([1.0, -1.0, -1.0]))
    camera = replace(still.cameras[0], calibration=replace(calibration, base_from_camera=down))
    assert draw_ground(camera, still).pixels.any()


def test_the_verb_writes_as_many_pictures_as_asked_for(tmp_path):
    arguments = ["overlay", "synthetic:3", "--out", str(tmp_path), "--width", "640"]
    result = CliRunner().invoke(build_app({"overlay"}), arguments)
    assert result.exit_code == 0, result.output
    assert "rings at 5, 10, 20, 30, 50 m" in result.output
    (path,) = tmp_path.iterdir()
    assert Image.open(path).width == 640
