"""The commands of documentation pages run one after the other."""

from __future__ import annotations

import shlex
from pathlib import Path

from test_cli import run

DOCS = Path(__file__).resolve().parents[3] / "docs"


def run_commands(page: str) -> list[str]:
    """Run what a page shows in the present folder; return the verbs."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    shown = [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/streampetr")]
    # A running vehicle is among the tests with ROS.
    commands = [command for command in shown if "--live" not in command]
    for command in commands:
        code, text = run(*command)
        assert code == 0, text
    return [command[0] for command in commands]


def test_bags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_commands("bags.md") == ["record", "check", "replay"]
    written = {path.name for path in (tmp_path / "out" / "result").iterdir()}
    wanted = {"detections.jsonl", "summary.json", "cameras", "top_view", "video.mp4", "results"}
    assert wanted <= written


def test_own_car(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_commands("own_car.md") == ["record", "check", "overlay"]
    assert len(list((tmp_path / "out" / "overlay").iterdir())) == 1
