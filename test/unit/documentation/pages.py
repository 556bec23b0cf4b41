"""Commands that the documents show: in blocks of their own and in the middle of sentences."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from repository import ROOT, tracked_files

BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
PROGRAM = re.compile(r"(?:[A-Z_]+=\S+ )*(?:streampetr |scripts/\w|ros2 |python3? |pip |torchrun )")

#: What a block may call itself; only commands of the first are run.
LANGUAGES = ("bash", "python", "yaml", "text")


def pages() -> list[Path]:
    """Return README and documents, in the order of their names."""
    return [path for path in tracked_files() if path.suffix == ".md"]


def page_text(name: str) -> str:
    """Return the text of a page by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the contents of the blocks of one language."""
    return [content for kind, content in BLOCK.findall(text) if kind == language]


def block_commands(text: str) -> list[str]:
    """Return the commands of shell blocks; continued lines are joined, comments dropped."""
    lines = [
        line.removeprefix("$ ")
        for block in blocks(text, "bash")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    commands = (" ".join(shlex.split(line, comments=True, posix=False)) for line in lines)
    return [command for command in commands if command]


def mentioned_commands(text: str) -> list[str]:
    """Return the commands that sentences mention; they may leave arguments out."""
    spans = (" ".join(span.split()) for span in INLINE.findall(BLOCK.sub("", text)))
    return [span for span in spans if PROGRAM.match(span)]
