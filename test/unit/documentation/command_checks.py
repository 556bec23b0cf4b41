"""What can be known about a command without running it: the real parsers read its arguments."""

from __future__ import annotations

import argparse
import ast
import os
import re
import runpy
import shlex
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
import typer
from repository import PACKAGE, ROOT, project
from test_launch_and_parameters import launch_overrides
from test_package_files import declared_distributions, executables
from torch.distributed.run import get_args_parser

from streampetr_ros.core.parameter import Value
from streampetr_ros.model.config import MODEL_NAMES
from streampetr_ros.parameters import node as params
from streampetr_ros.parameters.tree import build, leaves
from streampetr_ros.tools.cli import VERBS, build_app

OF_THE_PROJECT = re.compile(r"(?:config|docs|launch|models|requirements|scripts|studies|test)/")
ASSIGNMENT = re.compile(r"[A-Z_]+=")
ROS_MODULES = {"rclpy", "diagnostic_msgs"}

#: Scripts of ours that take no arguments.
PLAIN = (
    *(
        f"scripts/{name}"
        for name in (
            "bill_of_materials",
            "docs",
            "environment.sh",
            "generate",
            "lint",
            "mutate",
            "setup",
        )
    ),
    "studies/size_table.py",
)

#: Programs of others, which are taken as they are.
FOREIGN = ("cd", "export", ".", "git clone", "rosdep install", "colcon build")
FOREIGN_ROS = (
    "bag play",
    "bag record",
    "run tf2_tools",
    "security create_keystore",
    "security create_enclave",
    "security create_permission",
    "topic echo",
)


def check_command(text: str, complete: bool = True) -> None:
    """Check programs, options and files of a command.

    Args:
        text: as a shell takes it.
        complete: False where arguments may be left out or be placeholders.

    Raises:
        AssertionError: if something does not exist; a usage error if a parser refuses it.
    """
    words = shlex.split(text)
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        check_simple(words[:end], complete)
        words = words[end + 1 :]


def check_simple(words: list[str], complete: bool) -> None:
    while ASSIGNMENT.match(words[0]):
        words = words[1:]
    for word in words:
        assert not OF_THE_PROJECT.match(word) or (ROOT / word).exists(), f"there is no {word}"
    program, *arguments = words
    if Path(program).name == "streampetr":
        check_verb(arguments, complete)
    elif program.startswith("scripts/"):
        check_script(program, arguments, complete)
    elif program in ("python", "python3"):
        check_python(arguments, complete)
    elif program == "pip":
        check_pip(arguments)
    elif program == "torchrun":
        check_torchrun(arguments)
    elif program == "ros2":
        check_ros(arguments, complete)
    else:
        assert program in FOREIGN or " ".join(words[:2]) in FOREIGN, f"unknown program {program}"


@cache
def verb_parser(verb: str) -> typer.core.TyperCommand:
    return typer.main.get_command(build_app({verb})).commands[verb]


def check_verb(words: list[str], complete: bool) -> None:
    verb, *options = words
    assert verb in VERBS, f"streampetr has no verb '{verb}'"
    parser = verb_parser(verb)
    if complete:
        parser.make_context(verb, list(options))
    known = {"--help"}
    for parameter in parser.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    unknown = {word for word in options if word.startswith("-")} - known
    assert not unknown, f"streampetr {verb} has no option {unknown}"
    for option, value in pairwise(options):
        named = option == "--model" and not value.isupper()
        assert not named or value in MODEL_NAMES, f"there is no model {value}"


class Captured(BaseException):
    """Carries the parser of a script out of it."""


def capture(parser: argparse.ArgumentParser, *_: object) -> None:
    raise Captured(parser)


def complain(_: argparse.ArgumentParser, message: str) -> None:
    raise AssertionError(message)


@cache
def script_parser(script: str) -> argparse.ArgumentParser:
    """Start a script up to where it reads its command line."""
    parse_args = mock.patch.object(argparse.ArgumentParser, "parse_args", capture)
    with parse_args, mock.patch.dict(os.environ), mock.patch.object(sys, "argv", [script]):
        try:
            if script == "scripts/demo":
                runpy.run_module(f"{PACKAGE}.ros.demo.demo", run_name="__main__")
            else:
                runpy.run_path(str(ROOT / script), run_name="__main__")
        except Captured as captured:
            return captured.args[0]
        except ModuleNotFoundError as error:
            if error.name not in ROS_MODULES:
                raise
            pytest.skip(f"{script} needs {error.name}")
    raise AssertionError(f"{script} reads no command line")


def check_script(script: str, arguments: list[str], complete: bool) -> None:
    path = ROOT / script
    assert path.suffix == ".py" or os.access(path, os.X_OK), f"{script} is not executable"
    if script == "scripts/train_tiny":
        check_verb(["train", "config/train/tiny_synthetic.yaml", *arguments], complete)
    elif script == "scripts/test":
        assert all(word == "--cov" or word.startswith("test/") for word in arguments)
    elif script in PLAIN:
        assert not arguments
    else:
        parser = script_parser(script)
        with mock.patch.object(argparse.ArgumentParser, "error", complain):
            if complete:
                parser.parse_args(arguments)
        shown = {word for word in arguments if word.startswith("--")}
        assert shown <= set(parser._option_string_actions), f"{script} has no such option"


def check_python(arguments: list[str], complete: bool) -> None:
    if arguments[:2] == ["-m", "pip"]:
        check_pip(arguments[2:])
    elif arguments[:2] == ["-m", PACKAGE]:
        check_verb(arguments[2:], complete)
    elif arguments[:2] == ["-m", "pytest"]:
        assert arguments[2].startswith("test/"), "say which tests"
    else:
        check_script(arguments[0], arguments[1:], complete)


def check_pip(arguments: list[str]) -> None:
    """Check what is installed: requirements of ours, extras of ours, packages that we name."""
    assert arguments[0] == "install"
    extras = project()["optional-dependencies"]
    if arguments[1] == ".":
        return
    if arguments[1] == "-r":
        _, _, below = arguments[2].partition("requirements/")
        assert (ROOT / "requirements" / below).is_file(), f"there is no {arguments[2]}"
    elif match := re.fullmatch(rf"{PACKAGE}\[([\w-]+)\]", arguments[1]):
        assert match.group(1) in extras, f"pyproject.toml offers no {match.group(1)}"
    elif arguments[1] != ".":
        assert arguments[1] in declared_distributions(), (
            f"pyproject.toml does not name {arguments[1]}"
        )


def check_torchrun(arguments: list[str]) -> None:
    given = get_args_parser().parse_args(arguments)
    assert given.module
    assert given.training_script == PACKAGE
    check_verb(given.training_script_args, complete=True)


def check_ros(arguments: list[str], complete: bool) -> None:
    if arguments[:2] == ["launch", PACKAGE]:
        check_launch(arguments[2], arguments[3:])
    elif arguments[:2] == ["run", PACKAGE]:
        assert arguments[2] in executables(), f"there is no executable {arguments[2]}"
        check_parameters(arguments)
    else:
        named = " ".join(arguments[:2])
        known = FOREIGN_ROS if complete else " ".join(FOREIGN_ROS)
        assert named in known, f"unknown ros2 {named}"


def check_parameters(arguments: list[str]) -> None:
    """Check names of parameters given as ``-p name:=value``."""
    names = {leaf.name for leaf in leaves(params.NodeParameters)} | {"use_sim_time"}
    for option, value in pairwise(arguments):
        assert option != "-p" or value.partition(":=")[0] in names, f"no parameter {value}"


def check_launch(file: str, arguments: list[str]) -> None:
    """Check that arguments are declared and that the node takes their values."""
    overrides = launch_overrides()
    known = {*overrides, *declared(file), *declared("streampetr.launch.py")}
    values: dict[str, Value] = {}
    for name, given, text in (word.partition(":=") for word in arguments):
        assert given, f"'{name}' is no launch argument"
        assert name in known, f"{file} has no argument '{name}'"
        if name in overrides and name != "use_sim_time":
            parameter, kind = overrides[name]
            values[parameter] = typed(text, kind)
    build(params.NodeParameters, values)


def typed(text: str, kind: str) -> Value:
    if kind == "list":
        return tuple(text.split(","))
    return text == "true" if kind == "bool" else text


@cache
def declared(file: str) -> frozenset[str]:
    """Return the arguments in the tables of a launch file, which is not imported."""
    tree = ast.parse((ROOT / "launch" / file).read_text(encoding="utf-8"))
    tables = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("ARGUMENTS")
    ]
    assert tables
    keys = [key for table in tables if isinstance(table, ast.Dict) for key in table.keys]
    return frozenset(ast.literal_eval(key) for key in keys if key)
