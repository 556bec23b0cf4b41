"""The check says all that is wrong with a broken bag, and nothing about a good one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rigs import frame_set
from typer.testing import CliRunner

from streampetr_ros.sources.bag_options import read_parameters
from streampetr_ros.sources.bag_writer import BagWriter, write_bag, write_frame_set
from streampetr_ros.tools.cli import build_app


def run(*arguments: object) -> tuple[int, str]:
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(build_app({words[0]}), words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.output.split())


def drive():
    return [frame_set(i, size=(176, 99)) for i in range(6)]


class Broken(BagWriter):
    """One camera without CameraInfo, one with lost images, no vehicle pose, one uncalibrated."""

    def write(self, topic, message, recorded_ns):
        lost = topic.startswith("/CAM_BACK_LEFT/image") and recorded_ns > 2_000_000_000
        if topic in ("/CAM_BACK/camera_info", "/tf") or lost:
            return
        super().write(topic, message, recorded_ns)


class Uncalibrated(BagWriter):
    def write(self, topic, message, recorded_ns):
        if topic == "/CAM_FRONT/camera_info":
            message.k = np.zeros(9)
        super().write(topic, message, recorded_ns)


def write(writer: BagWriter) -> None:
    with writer as bag:
        for index, each in enumerate(drive()):
            write_frame_set(bag, each, "png", first=index == 0)


def test_a_good_bag_lacks_nothing_and_gives_a_parameter_file(tmp_path: Path):
    write_bag(drive(), tmp_path / "bag", encoding="png")
    file = tmp_path / "rig.yaml"
    code, text = run("check", tmp_path / "bag", "--write-params", file)
    assert code == 0, text
    assert "nothing is missing" in text
    assert "a frame set every 0.500 s" in text
    assert [camera.name for camera in read_parameters(file).cameras][:2] == [
        "CAM_FRONT",
        "CAM_FRONT_RIGHT",
    ]
    assert run("check", tmp_path / "bag", "--params", file)[0] == 0


def test_everything_that_is_missing_is_named(tmp_path: Path):
    write(Broken(tmp_path / "bag"))
    code, text = run("check", tmp_path / "bag")
    assert code == 1
    assert "problem: images on '/CAM_BACK/image_raw/compressed' have no CameraInfo" in text
    assert "problem: the bag has no moving transforms on '/tf'; record /tf" in text
    assert "'/CAM_BACK_LEFT/image_raw/compressed' has 3 images where other cameras have 6" in text


def test_an_uncalibrated_camera_is_named(tmp_path: Path):
    write(Uncalibrated(tmp_path / "bag"))
    code, text = run("check", tmp_path / "bag")
    assert code == 1
    assert "CameraInfo on '/CAM_FRONT/camera_info' cannot be used" in text
    assert "k[0] = 0, which means uncalibrated" in text


def test_wrong_frames_are_named(tmp_path: Path):
    write_bag(drive(), tmp_path / "bag", encoding="png")
    code, text = run("check", tmp_path / "bag", "--fixed-frame", "map")
    assert code == 1
    assert "frame 'map' is unknown, known are" in text
