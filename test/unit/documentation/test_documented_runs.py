"""Commands of the documents run, shortened where the shown form would take long."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_checks import check_command
from pages import blocks, page_text
from repository import ROOT
from test_cli import run as run_verb
from ways import WAYS, Run

from streampetr_ros.core import geometry
from streampetr_ros.core.types import FrameSet, Truth
from streampetr_ros.nuscenes.export import ExportOptions, export_nuscenes
from streampetr_ros.nuscenes.results import detection_records, write_results
from streampetr_ros.tools.benchmark.run import measure_case
from studies.drives import synthetic_drive
from studies.noisy_detector import NoisyDetector

SHELL = ("scripts/setup", "scripts/test")
WRITTEN = ("--json", "--out", "--output")


def to_run(page: str) -> list[str]:
    """Return what is run of a page, in the order shown."""
    ways = WAYS[page].items()
    return [way.instead or command for command, way in ways if isinstance(way, Run)]


def in_python(page: str) -> list[str]:
    return [command for command in to_run(page) if not command.startswith(SHELL)]


PAGES = [page for page in WAYS if in_python(page)]
SCRIPTS = [command for page in WAYS for command in to_run(page) if command.startswith(SHELL)]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A checkout with trained weights, and with the data that commands read."""
    for name in ("config", "models", "scripts", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    trained = tmp_path / "out" / "train" / "tiny_synthetic"
    trained.mkdir(parents=True)
    shutil.copy(ROOT / "models" / "tiny_synthetic.safetensors", trained / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    # A process of its own only separates the memory that is measured.
    monkeypatch.setattr("streampetr_ros.tools.verbs.benchmark._in_own_process", measure_case)
    return tmp_path


def short_drive(*_: object) -> list[FrameSet]:
    """Seconds with cars alone, since the devkit takes its time with every class."""
    return [replace(each, truth=cars(each.truth)) for each in synthetic_drive(0, duration=2.0)]


def cars(truth: Truth) -> Truth:
    index = np.flatnonzero(np.array(truth.class_names) == "car")
    return Truth(
        boxes=truth.boxes.selected(index),
        class_names=("car",) * len(index),
        instance_ids=truth.instance_ids[index],
        visibilities=truth.visibilities[index],
    )


@pytest.fixture
def drive(folder):
    """A short drive: tables of a data set, and what a detector found on them."""
    frame_sets = short_drive()
    export_nuscenes(frame_sets, folder, ExportOptions(version="v1.0-trainval"))
    detector = NoisyDetector(1)
    found = [(frame_set, detector.step(frame_set)) for frame_set in frame_sets]
    records = {f.token: detection_records(detections, f) for f, detections in found}
    write_results(records, folder / "results_nusc.json", {"use_camera": True})
    return found


def run_script(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a Python script of ours in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", words)
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as ended:
        return int(bool(ended.code))
    return 0


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("folder", "drive")
def test_commands_of_a_page_run_in_the_order_shown(page, monkeypatch, capsys):
    # One short drive stands for those of the table of trackers, two numbers of cameras for eight.
    monkeypatch.setattr("studies.drives.synthetic_drive", short_drive)
    monkeypatch.setattr("streampetr_ros.tools.benchmark.sweep._CAMERAS", (1, 2))
    for command in in_python(page):
        check_command(command)
        words = shlex.split(command)
        if Path(words[0]).name == "streampetr":
            code, text = run_verb(*words[1:])
        else:
            code = run_script(words[1:], monkeypatch)
            text = capsys.readouterr().out
        assert code == 0, (command, text)
        assert text, command
        for option, value in pairwise(words):
            assert option not in WRITTEN or Path(value).exists(), command


@pytest.mark.parametrize("command", SCRIPTS)
def test_scripts_run(command):
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("would set up an environment beside the one in use")
    words = shlex.split(command)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_on_the_page_about_tracking_runs(drive):
    (code,) = blocks(page_text("docs/tracking.md"), "python")
    names: dict[str, object] = {"results": drive, "geometry": geometry}
    exec(code, names)
    found = SimpleNamespace(**names)
    assert found.tracks_base.frame == "base"
    assert len(found.tracks_base.boxes.centers) > 0


def test_all_stages_are_trained(tmp_path):
    """The script for the small model hands real recipes and its options to the real command."""
    scripts, programs = tmp_path / "scripts", tmp_path / "programs"
    programs.mkdir()
    scripts.mkdir()
    shutil.copy(ROOT / "scripts" / "train_tiny", scripts)
    for path in (scripts / "setup", scripts / "environment.sh", programs / "torchrun"):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    torchrun = '#!/bin/sh\necho "torchrun $@" >>called\necho training complete\n'
    (programs / "torchrun").write_text(torchrun)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    command = [scripts / "train_tiny", "--max-minutes", "9"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    called = (tmp_path / "called").read_text().splitlines()
    for line in called:
        check_command(line)
        assert line.endswith("--resume --max-minutes 9")
    stages = [re.search(r"config/train/(\w+)\.yaml", line).group(1) for line in called]
    assert stages[-1] == "tiny_synthetic"
    assert len(stages) > 1
