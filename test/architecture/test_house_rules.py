"""Sizes, names and words that the house style rules out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from repository import PACKAGE, ROOT, tracked_files, tracked_python, tracked_text

LONGEST_FUNCTION = 60
LONGEST_FILE = 400
LARGEST_FILE = 500_000
HIDDEN = ("print", "sys.exit", "exit")
FORBIDDEN_NAMES = {"utils", "util", "misc", "common", "helpers"}

# Put together here so that this file does not contain what it looks for.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}\-/])/(" + "|".join(("work", "root", "tm" + "p")) + r")/")
#: Words have one spelling, that of the interfaces of ROS, OpenCV and NumPy.
SPELLING = re.compile("|".join(("col" + "our", "cent" + "re", r"\bgr" + r"ey\b")), re.IGNORECASE)
HOME_PATH = re.compile(r"(?<![\w.])/ho" + r"me/\w+")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def test_functions_and_files_are_short() -> None:
    long = [
        f"{relative(path)}: {function.name}: {length} lines"
        for path in tracked_python()
        for function in functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not long
    lines = {
        relative(path): path.read_text(encoding="utf-8").count("\n") for path in tracked_python()
    }
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_file_names_say_what_is_in_them() -> None:
    assert [relative(path) for path in tracked_python() if path.stem in FORBIDDEN_NAMES] == []


def library_files() -> list[Path]:
    return [path for path in tracked_python() if path.is_relative_to(ROOT / PACKAGE)]


def test_library_does_not_print_exit_or_hide_errors() -> None:
    wrong = []
    for path in library_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in HIDDEN:
                wrong.append(f"{relative(path)}:{node.lineno}: {ast.unparse(node.func)}")
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{relative(path)}:{node.lineno}: bare except")
    assert not wrong


def test_functions_are_annotated() -> None:
    bare = [
        f"{relative(path)}: {function.name}"
        for path in library_files()
        for function in functions(path)
        if function.returns is None or any(a.annotation is None for a in named_arguments(function))
    ]
    assert not bare


def named_arguments(function: Function) -> list[ast.arg]:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument for argument in every if argument.arg not in ("self", "cls")]


def test_files_are_small() -> None:
    large = [
        relative(path)
        for path in tracked_files()
        if path.stat().st_size > LARGEST_FILE and not path.is_relative_to(ROOT / "models")
    ]
    assert not large


def test_nothing_is_marked_unfinished() -> None:
    assert not [relative(path) for path, text in tracked_text() if UNFINISHED.search(text)]


def test_no_path_of_one_machine() -> None:
    found = []
    for path, text in tracked_text():
        for pattern in (MACHINE_PATH, HOME_PATH):
            found += [f"{relative(path)}: {match.group()}" for match in pattern.finditer(text)]
    assert not found


def test_words_have_one_spelling() -> None:
    found = []
    for path, text in tracked_text():
        if not path.is_relative_to(ROOT / "stand_ins"):
            found += [f"{relative(path)}: {match.group()}" for match in SPELLING.finditer(text)]
    assert not found


def public_names(path: Path) -> Iterator[str]:
    """Name what a module defines for others: classes, functions, constants, types."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        names = [getattr(target, "id", getattr(target, "name", "_")) for target in targets]
        yield from (name for name in names if name[0] != "_" and name != "T")


def test_one_public_name_means_one_thing() -> None:
    """Verbs are named as on the command line."""
    places: dict[str, list[str]] = {}
    for path in library_files():
        if path.parent.name != "verbs":
            for name in public_names(path):
                places.setdefault(name, []).append(relative(path))
    twice = {name for name, found in places.items() if len(found) > 1} - {"main", "types"}
    assert {name: places[name] for name in twice} == {}


def test_test_modules_have_different_names() -> None:
    names = [path.name for path in tracked_python() if path.is_relative_to(ROOT / "test")]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= {"conftest.py", "__init__.py"}, "pytest imports them by name alone"
