"""Folders and files with what they say about themselves, for the page about the architecture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from studies.topics import table

PACKAGE = Path(__file__).resolve().parents[1] / "streampetr_ros"

#: Rooms from what stands on nothing to what stands on all others.
_ORDER = (
    *("core", "ingest", "preprocess", "model", "backends", "pipeline", "track"),
    *("parameters", "messages", "viz", "sources", "nuscenes", "synth"),
    *("training", "evaluation", "export", "tools", "ros"),
)


def folders() -> str:
    """Write the table of rooms and the folders in them.

    Raises:
        ValueError: if there is a room that the order does not know.
    """
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    if rooms != set(_ORDER):
        raise ValueError(f"give {', '.join(rooms ^ set(_ORDER))} a place in studies/rooms.py")
    rows = []
    for room in _ORDER:
        for path in sorted((PACKAGE / room).rglob("__init__.py")):
            rows.append((f"`{path.parent.relative_to(PACKAGE)}`", _summary(path)))
    return table(("folder", "what belongs there"), rows)


def files(names: Iterable[str]) -> str:
    """Write the table of some files, by paths in the package; those that are gone drop out."""
    rows = [(f"`{name}`", _summary(PACKAGE / name)) for name in names if (PACKAGE / name).is_file()]
    return table(("file", "what it does"), rows)


def named_files(page: str) -> list[str]:
    """Return the files that a page about the architecture names in its table of a frame's way."""
    own = page.partition("<!-- generated: frame -->")[2].partition("<!-- end -->")[0]
    return re.findall(r"^\| `(.+?\.py)` \|", own, flags=re.MULTILINE)


def _summary(path: Path) -> str:
    """Return the first paragraph that a module or folder says about itself."""
    described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(described.partition("\n\n")[0].split())
