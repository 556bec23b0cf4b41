"""A check of a bag that is broken in several ways names each of them, with what helps."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from rigs import frame_set
from typer.testing import CliRunner

from streampetr_ros.core.source import SourceError
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.sources.bag.writer import BagWriter, write_frame_set
from streampetr_ros.tools.cli import build_app

PERIOD_S = 0.1
SETS = 14


def check(bag: Path, *options: str) -> tuple[int, list[str]]:
    """Return the exit code and the problems."""
    result = CliRunner().invoke(build_app({"check"}), ["check", str(bag), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    lines = result.output.splitlines()
    return result.exit_code, [line for line in lines if line.startswith("problem: ")]


class Tampering(BagWriter):
    """Writes what `change` makes of each message: topic, message, time and number within the topic.

    It returns a list of topic, message and time of recording.
    """

    def __init__(self, path: Path, change) -> None:
        super().__init__(path)
        self._change = change
        self._numbers: dict[str, int] = {}

    def write(self, topic, message, recorded_ns):
        number = self._numbers[topic] = self._numbers.get(topic, -1) + 1
        for changed in self._change(topic, message, recorded_ns, number):
            super().write(*changed)


def write(path: Path, change) -> Path:
    with Tampering(path, change) as bag:
        for index in range(SETS):
            write_frame_set(
                bag, frame_set(index, PERIOD_S, size=(176, 99)), "png", first=index == 0
            )
    return path


def shifted(message, nanoseconds: int):
    """The message with another stamp."""
    later = copy.deepcopy(message)
    total = later.header.stamp.sec * 10**9 + later.header.stamp.nanosec + nanoseconds
    later.header.stamp.sec, later.header.stamp.nanosec = divmod(total, 10**9)
    return later


def images_of(camera: str) -> str:
    return f"/{camera}/image_raw/compressed"


def frozen(camera: str, first: int, last: int):
    """A camera that repeats its picture number `first` until number `last`."""
    seen = {}

    def change(topic, message, recorded_ns, number):
        if topic == images_of(camera) and first <= number <= last:
            message.data = seen.setdefault("data", message.data)
        return [(topic, message, recorded_ns)]

    return change


def late_clock(camera: str, seconds: float, *, only: int | None = None):
    """A camera whose clock, or one stamp, is ahead by some seconds."""

    def change(topic, message, recorded_ns, number):
        if topic == images_of(camera) and only in (None, number):
            message = shifted(message, round(seconds * 1e9))
        return [(topic, message, recorded_ns)]

    return change


def reordered(camera: str):
    """A camera whose pictures number 6 and 7 are recorded in the other order."""
    held = []

    def change(topic, message, recorded_ns, number):
        if topic == images_of(camera) and number == 6:
            held.append(message)
            return []
        if topic == images_of(camera) and number == 7:
            return [(topic, message, recorded_ns), (topic, held[0], recorded_ns + 1)]
        return [(topic, message, recorded_ns)]

    return change


def swapped(one: str, other: str):
    """Two cameras plugged into each other's socket: image topics exchanged, CameraInfo not."""
    exchanged = {images_of(one): images_of(other), images_of(other): images_of(one)}

    def change(topic, message, recorded_ns, _number):
        return [(exchanged.get(topic, topic), message, recorded_ns)]

    return change


def uncalibrated(camera: str):
    def change(topic, message, recorded_ns, _number):
        if topic == f"/{camera}/camera_info":
            message.k = np.zeros(9)
        return [(topic, message, recorded_ns)]

    return change


def without(*topics: str):
    def change(topic, message, recorded_ns, _number):
        return [] if topic in topics else [(topic, message, recorded_ns)]

    return change


def mounted_as(camera: str, other: str):
    """A mounting that is the copy of another camera's."""

    def change(topic, message, recorded_ns, _number):
        if topic == "/tf_static":
            mountings = {each.child_frame_id: each for each in message.transforms}
            mountings[f"{camera}_optical_frame"].transform = mountings[
                f"{other}_optical_frame"
            ].transform
        return [(topic, message, recorded_ns)]

    return change


def all_of(*changes):
    """Several faults one after the other; no two of one message."""

    def change(topic, message, recorded_ns, number):
        found = [(topic, message, recorded_ns)]
        for each in changes:
            found = [result for one in found for result in each(*one, number)]
        return found

    return change


def test_a_bag_broken_in_many_ways_is_told_all_of_them(tmp_path: Path):
    bag = write(
        tmp_path / "bag",
        all_of(
            swapped("CAM_FRONT", "CAM_BACK"),
            frozen("CAM_FRONT_RIGHT", 4, SETS),
            late_clock("CAM_FRONT_LEFT", 0.7),
            reordered("CAM_BACK_LEFT"),
            without("/CAM_BACK_LEFT/camera_info"),
            uncalibrated("CAM_BACK_RIGHT"),
        ),
    )
    code, problems = check(bag)
    text = "\n".join(problems)
    assert code == 1
    assert "'/CAM_FRONT/image_raw/compressed' at 0.990000000 has frame 'CAM_BACK_op" in text
    assert "cameras or calibrations are swapped" in text
    assert "images are not usable, frozen picture: the camera repeats one picture; rest" in text
    assert "CAM_FRONT_LEFT on '/CAM_FRONT_LEFT/image_raw/compressed': clock skew" in text
    assert "1 of 14 images come after newer ones" in text
    assert "images on '/CAM_BACK_LEFT/image_raw/compressed' have no CameraInfo" in text
    assert "CameraInfo on '/CAM_BACK_RIGHT/camera_info' cannot be used" in text
    assert all(";" in problem for problem in problems), "each names a remedy"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (frozen("CAM_FRONT", 5, 6), "1 of 14 images show the same picture as the one before"),
        (late_clock("CAM_FRONT", 3600.0), "clock skew: stamps are 3600."),
        (late_clock("CAM_FRONT", 3600.0, only=5), "1 of 14 images are not usable, implausible"),
        (mounted_as("CAM_BACK", "CAM_FRONT"), "CAM_BACK looks straight ahead by its transform"),
        (mounted_as("CAM_BACK", "CAM_FRONT"), "CAM_FRONT and CAM_BACK have the same calibration"),
    ],
)
def test_a_single_fault_is_named(tmp_path: Path, change, expected: str):
    code, problems = check(write(tmp_path / "bag", change))
    assert code == 1
    assert any(expected in problem for problem in problems), problems


def test_clocks_of_images_and_transforms_that_have_nothing_in_common_are_named(tmp_path: Path):
    year_ns = 365 * 86_400 * 10**9

    def change(topic, message, recorded_ns, _number):
        if topic.endswith("compressed"):
            message = shifted(message, year_ns)
        return [(topic, message, recorded_ns)]

    code, problems = check(write(tmp_path / "bag", change))
    assert code == 1
    assert "s ahead of those of transforms; they come from different clocks" in problems[0]
    assert len(problems) == 1


def test_only_the_wanted_part_of_a_bag_is_looked_at(tmp_path: Path):
    bag = write(tmp_path / "bag", frozen("CAM_FRONT", 9, SETS))
    assert check(bag)[0] == 1
    assert check(bag, "--seconds", "0.7", "--sets", "3")[0] == 0


def test_sets_of_swapped_cameras_are_skipped_as_by_the_node(tmp_path: Path):
    bag = write(tmp_path / "bag", swapped("CAM_FRONT", "CAM_BACK"))
    with pytest.raises(SourceError, match="cameras or calibrations are swapped"):
        list(BagSource(bag))
