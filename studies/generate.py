"""Write anew what is made from the code: files in config, tables of the documents.

    scripts/generate

Tables of the documents lie between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streampetr_ros.core.parameter import Value
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.tree import change_text, constraint_text, leaves, type_name
from studies import rooms, topics
from studies.security_policy import security_policy

ROOT = Path(__file__).resolve().parents[1]
_HEAD = """\
# Parameters of the node for a six-camera rig: every one with its default.
# Written by scripts/generate.
/**:
  ros__parameters:
"""


def parameter_file() -> str:
    """Write a parameter file with every default, each with its description as a comment."""
    lines: list[str] = []
    group = ""
    for leaf in leaves(NodeParameters):
        before, group = group, leaf.name.rpartition(".")[0]
        if group not in (before, ""):
            lines.append(f"    {group}:")
        indent = "      " if group else "    "
        notes = [leaf.rule.description, constraint_text(leaf.rule), change_text(leaf.rule)]
        lines.append(f"{indent}# {'; '.join(note for note in notes if note)}.")
        lines.append(f"{indent}{leaf.name.rpartition('.')[2]}: {_yaml_value(leaf.default)}")
    return _HEAD + "\n".join(lines) + "\n"


def parameter_table() -> str:
    """Write a row for every parameter."""
    head = ("Parameter", "Type", "Default", "Allowed", "Changes", "Meaning")
    rows = [
        (
            f"`{leaf.name}`",
            type_name(leaf),
            f"`{_yaml_value(leaf.default)}`",
            constraint_text(leaf.rule),
            change_text(leaf.rule),
            leaf.rule.description,
        )
        for leaf in leaves(NodeParameters)
    ]
    return topics.table(head, rows)


def artefacts() -> dict[str, str]:
    """Make everything: names of files, and what they should hold."""
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    pages = {
        "README.md": {"topics": topics.front_page()},
        "docs/node.md": {"topics": topics.node_page(), "parameters": parameter_table()},
        "docs/messages.md": {"topics": topics.messages_page()},
        "docs/architecture.md": {
            "rooms": rooms.folders(),
            # Which files they are only a running node can tell: studies/frame_path.py.
            "frame": rooms.files(rooms.named_files(architecture)),
        },
    }
    return {
        "config/streampetr.yaml": parameter_file(),
        "config/sros2_policy.xml": security_policy(),
        **{
            name: with_tables((ROOT / name).read_text(encoding="utf-8"), tables)
            for name, tables in pages.items()
        },
    }


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """Put tables between their markers.

    Raises:
        ValueError: if there is no place for one.
    """
    for name, content in tables.items():
        marker = f"<!-- generated: {name} -->\n"
        before, found, rest = page.partition(marker)
        _, end, after = rest.partition("<!-- end -->")
        if not found or not end:
            raise ValueError(f"a page has no '{marker.strip()}' that ends with '<!-- end -->'")
        page = before + found + content + end + after
    return page


def _yaml_value(value: Value) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml_value(element) for element in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def main() -> None:
    """Write what has changed and name it."""
    for name, content in artefacts().items():
        if (ROOT / name).read_text(encoding="utf-8") != content:
            (ROOT / name).write_text(content, encoding="utf-8")
            print(f"{name} is new")


if __name__ == "__main__":
    main()
