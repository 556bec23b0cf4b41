"""Commands shown in the documents exist, with the options and files they are shown with."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest
from command_checks import check_command
from pages import BLOCK, LANGUAGES, block_commands, mentioned_commands, page_text, pages
from repository import ROOT
from ways import WAYS, RunBy

NAMES = [str(path.relative_to(ROOT)) for path in pages()]


def shown(find: Callable[[str], list[str]]) -> list[Any]:
    return [
        pytest.param(command, id=f"{name}: {command}")
        for name in NAMES
        for command in dict.fromkeys(find(page_text(name)))
    ]


@pytest.mark.parametrize("command", shown(block_commands))
def test_command_is_accepted(command: str) -> None:
    check_command(command)


@pytest.mark.parametrize("command", shown(mentioned_commands))
def test_mentioned_command_is_known(command: str) -> None:
    check_command(command, complete=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_tried_in_some_way(name: str) -> None:
    assert block_commands(page_text(name)) == list(WAYS.get(name, {})), "say how in ways.py"


@pytest.mark.parametrize("name", NAMES)
def test_every_block_says_what_it_is(name: str) -> None:
    assert {language for language, _ in BLOCK.findall(page_text(name))} <= set(LANGUAGES)


def test_tests_that_run_commands_exist() -> None:
    named = {way.test for page in WAYS.values() for way in page.values() if isinstance(way, RunBy)}
    for path, _, function in (test.partition("::") for test in named):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert function in names, f"{path} has no {function}"


@pytest.mark.parametrize(
    "wrong",
    [
        "streampetr replays synthetic:1",
        "streampetr replay synthetic:1 --model tiny --out out/a --bogus 3",
        "streampetr replay synthetic:1 --out out/a",
        "streampetr benchmark --model huge",
        "streampetr benchmark --frames many",
        "python studies/absent.py --drive synthetic:0",
        "python studies/tracking_table.py --drives synthetic:0",
        "python studies/ship_weights.py out/run",
        "scripts/train_tiny --minutes 9",
        "torchrun -m streampetr_ros train config/train/absent.yaml",
        "pip install 'streampetr_ros[absent]'",
        "ros2 launch streampetr_ros absent.launch.py",
        "ros2 launch streampetr_ros streampetr.launch.py bag:=out/drive",
        "ros2 launch streampetr_ros streampetr.launch.py backend:=absent",
        "ros2 run streampetr_ros absent",
        "ros2 run streampetr_ros streampetr_node --ros-args -p model.absent:=1",
        "cd out && unknown_program",
    ],
)
def test_wrong_commands_are_noticed(wrong: str) -> None:
    with pytest.raises(Exception, match=r"."):
        check_command(wrong)


def test_commands_are_read_from_blocks_and_sentences() -> None:
    text = "```bash\n$ scripts/demo --a \\\n  b  # why\n```\n```python\nx\n```\n`ros2\nrun` `x y`\n"
    assert block_commands(text) == ["scripts/demo --a b"]
    assert mentioned_commands(text) == ["ros2 run"]
