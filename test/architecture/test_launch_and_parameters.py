"""The launch file fits the node's parameters."""

from __future__ import annotations

import ast

import pytest
from repository import ROOT

LAUNCH_FILE = ROOT / "launch" / "streampetr.launch.py"
TYPES = {"str": str, "list": tuple, "bool": bool}


def launch_overrides() -> dict[str, tuple[str, str]]:
    """Return launch argument -> (parameter, name of its type) without importing launch."""
    tree = ast.parse(LAUNCH_FILE.read_text(encoding="utf-8"))
    table = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_OVERRIDES"
    )
    assert isinstance(table, ast.Dict)
    rows = [row for row in table.values if isinstance(row, ast.Tuple)]
    names = [ast.literal_eval(key) for key in table.keys if key]
    return {
        name: (ast.literal_eval(row.elts[0]), ast.unparse(row.elts[1]))
        for name, row in zip(names, rows, strict=True)
    }


def test_launch_arguments_override_existing_parameters() -> None:
    params = pytest.importorskip("streampetr_ros.parameters.node")
    tree = pytest.importorskip("streampetr_ros.parameters.tree")
    defaults = {leaf.name: leaf.default for leaf in tree.leaves(params.NodeParameters)}
    defaults["use_sim_time"] = False
    for argument, (parameter, kind) in launch_overrides().items():
        assert parameter in defaults, f"argument '{argument}' overrides no parameter"
        assert isinstance(defaults[parameter], TYPES[kind]), argument


def test_what_runs_the_network_is_chosen_at_launch_as_on_the_command_line() -> None:
    chosen = {argument: parameter for argument, (parameter, _) in launch_overrides().items()}
    assert chosen["model"] == "model.name"
    for argument in ("weights", "backend", "precision", "device", "build_only"):
        assert chosen[argument] == f"model.{argument}"
