"""Every script in studies/ shows how it is run, and takes what it shows."""

import ast
import re

import pytest
from command_checks import check_command
from repository import ROOT

TEXTS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "studies").glob("*.py")}
SCRIPTS = {name: text for name, text in TEXTS.items() if '__name__ == "__main__"' in text}


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"generate.py"}))
def test_commands_of_scripts_are_taken(name):
    shown = (ast.get_docstring(ast.parse(SCRIPTS[name])) or "").replace("\\\n", "")
    commands = [line.strip() for line in shown.splitlines() if line.startswith("    ")]
    own = [command for command in commands if f"python studies/{name}" in command]
    assert own, f"{name} does not say how it is run"
    for command in own:
        check_command(re.sub(r" > \S+$", "", command))


def test_modules_are_for_scripts_or_scripts():
    shared = TEXTS.keys() - SCRIPTS.keys() - {"__init__.py"}
    used = "\n".join(TEXTS.values())
    assert [name for name in sorted(shared) if f"studies.{name[:-3]} import" not in used] == []
