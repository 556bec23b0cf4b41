"""The commands of docs/bags.md run one after the other."""

from __future__ import annotations

import shlex
from pathlib import Path

from test_cli import run

PAGE = Path(__file__).resolve().parents[3] / "docs" / "bags.md"


def test_the_commands_of_the_page_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/streampetr")]
    assert [command[0] for command in commands] == ["record", "check", "replay"]
    for command in commands:
        code, text = run(*command)
        assert code == 0, text
    written = {path.name for path in (tmp_path / "out" / "result").iterdir()}
    wanted = {"detections.jsonl", "summary.json", "cameras", "top_view", "video.mp4", "results"}
    assert wanted <= written
