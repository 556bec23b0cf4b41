"""Commands shown in the documentation exist, with the options they are shown with."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from repository import PACKAGE, ROOT, tracked_files

BLOCK = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Split the shell blocks of a document into commands; continued lines are joined."""
    lines = []
    for block in BLOCK.findall(text):
        lines += block.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [command for command in words if command]


def shown_commands() -> list[Any]:
    documents = [path for path in tracked_files() if path.suffix == ".md"]
    return [
        pytest.param(command, id=f"{path.relative_to(ROOT)}: {' '.join(command)}")
        for path in documents
        for command in commands(path.read_text(encoding="utf-8"))
    ]


def check_script(command: list[str]) -> None:
    script = ROOT / command[0]
    assert os.access(script, os.X_OK), f"{command[0]} is not an executable file"


def check_verb(arguments: list[str]) -> None:
    typer = pytest.importorskip("typer")
    cli = pytest.importorskip("streampetr_ros.tools.cli")
    verbs = typer.main.get_command(cli.app).commands
    if not arguments or arguments[0].startswith("-"):
        return
    assert arguments[0] in verbs, f"streampetr has no verb '{arguments[0]}'"
    known = {name for parameter in verbs[arguments[0]].params for name in parameter.opts}
    known |= {n for parameter in verbs[arguments[0]].params for n in parameter.secondary_opts}
    shown = {word.split("=")[0] for word in arguments if word.startswith("-")}
    assert shown <= known | {"--help"}


def check_python(command: list[str]) -> None:
    if len(command) < 3 or command[1] != "-m" or not command[2].startswith(PACKAGE):
        return
    assert importlib.util.find_spec(command[2]), f"no module {command[2]}"
    if command[2] == PACKAGE:
        check_verb(command[3:])


def check_launch(command: list[str]) -> None:
    if command[1:3] != ["launch", PACKAGE]:
        return
    launch_file = ROOT / "launch" / command[3]
    assert launch_file.is_file()
    text = launch_file.read_text(encoding="utf-8")
    for argument in (word.split(":=")[0] for word in command[4:] if ":=" in word):
        assert f'"{argument}"' in text, f"{command[3]} has no argument '{argument}'"


@pytest.mark.parametrize("command", shown_commands())
def test_documented_command_exists(command: list[str]) -> None:
    program = Path(command[0]).name
    if command[0].startswith(("scripts/", ".ci/")):
        check_script(command)
    elif program == "streampetr":
        check_verb(command[1:])
    elif program in ("python", "python3"):
        check_python(command)
    elif command[0] == "ros2":
        check_launch(command)


def test_commands_are_read_from_shell_blocks() -> None:
    text = "```bash\n$ scripts/demo --a \\\n  b  # why\n```\n```python\nx\n```\n"
    assert commands(text) == [["scripts/demo", "--a", "b"]]
