"""What the architecture tests look at: tracked files and the imports of modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "streampetr_ros"


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git tracks and that exists; all files but build products without git."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    names = listing.stdout.split("\0") if listing.returncode == 0 else _names_on_disk()
    return tuple(ROOT / name for name in names if name and (ROOT / name).is_file())


def _names_on_disk() -> list[str]:
    products = {".git", ".venv", ".venv-docs", "build", "install", "log", "out", "__pycache__"}
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
    return [str(path) for path in paths if not products & set(path.parts)]


@cache
def tracked_text() -> list[tuple[Path, str]]:
    """Return tracked files that are text, with their text."""
    texts = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            texts.append((path, content.decode("utf-8", errors="replace")))
    return texts


def tracked_python() -> list[Path]:
    """Return tracked Python files."""
    return [path for path in tracked_files() if path.suffix == ".py"]


@cache
def project() -> dict[str, Any]:
    """Return what pyproject.toml says of the package."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@cache
def modules() -> dict[str, Path]:
    """Return the package's modules by name below the package, such as "ingest.sync"."""
    found = {}
    for path in tracked_files():
        if path.suffix == ".py" and path.is_relative_to(ROOT / PACKAGE):
            parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the absolute names of everything a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= _imported_names(node)
    return frozenset(names)


def _imported_names(node: ast.ImportFrom) -> set[str]:
    """Name modules taken from a package of ours in full: ``from streampetr_ros import types``."""
    base = node.module or ""
    candidates = {f"{base}.{alias.name}" for alias in node.names}
    if base.split(".")[0] != PACKAGE:
        return {base}
    return {name if name.removeprefix(f"{PACKAGE}.") in modules() else base for name in candidates}
