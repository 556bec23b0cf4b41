"""Count the package: files, lines of code, the fullest folder, by room.

A line of code holds code: blank lines, comments and docstrings do not count.

    python studies/size_table.py
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "streampetr_ros"
_SILENT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


def lines_of_code(path: Path) -> int:
    """Return the number of lines of a Python file that hold code."""
    text = path.read_text(encoding="utf-8")
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, described) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            prose.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - prose)


def main() -> None:
    """Print the table."""
    files, lines, folders = Counter[str](), Counter[str](), Counter[str]()
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        room = inside.parts[0] if len(inside.parts) > 1 else "."
        files[room] += 1
        lines[room] += lines_of_code(path)
        folders[str(inside.parent)] += path.name != "__init__.py"
    print("| room | files | lines of code |\n|---|---|---|")
    for room in sorted(files):
        print(f"| {room} | {files[room]} | {lines[room]} |")
    print(f"| **all** | {files.total()} | {lines.total()} |")
    folder, count = folders.most_common(1)[0]
    print(f"\nThe fullest folder is {folder} with {count} files beside its `__init__.py`.")


if __name__ == "__main__":
    main()
