"""Every folder of the package with what belongs there, for the page about the architecture."""

from __future__ import annotations

import ast
from pathlib import Path

from studies.topics import table

PACKAGE = Path(__file__).resolve().parents[1] / "streampetr_ros"

#: Rooms from what stands on nothing to what stands on all others.
_ORDER = (
    *("core", "ingest", "preprocess", "model", "backends", "pipeline", "track"),
    *("parameters", "messages", "viz", "sources", "nuscenes", "synth"),
    *("training", "evaluation", "export", "tools", "ros"),
)


def architecture_page() -> str:
    """Write the table of docs/architecture.md: rooms, and the folders in them.

    Raises:
        ValueError: if there is a room that the order does not know.
    """
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    if rooms != set(_ORDER):
        raise ValueError(f"give {', '.join(rooms ^ set(_ORDER))} a place in studies/rooms.py")
    rows = []
    for room in _ORDER:
        for path in sorted((PACKAGE / room).rglob("__init__.py")):
            rows.append((f"`{path.parent.relative_to(PACKAGE)}`", summary(path)))
    return table(("folder", "what belongs there"), rows)


def summary(path: Path) -> str:
    """Return the first paragraph that a module or folder says about itself."""
    described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(described.partition("\n\n")[0].split())
