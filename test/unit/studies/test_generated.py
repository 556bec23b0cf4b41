"""Files that are made from the code are those that the code makes."""

import re

import pytest
import yaml

from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.tree import build, leaves
from studies import generate, rooms


@pytest.mark.parametrize("name", generate.artefacts())
def test_nothing_waits_to_be_generated(name):
    text = (generate.ROOT / name).read_text(encoding="utf-8")
    assert text == generate.artefacts()[name], "run scripts/generate"


def test_the_parameter_file_means_the_defaults():
    groups = yaml.safe_load(generate.parameter_file())["/**"]["ros__parameters"]
    values = {"autostart": groups.pop("autostart")}
    for group, content in groups.items():
        for name, value in content.items():
            values[f"{group}.{name}"] = tuple(value) if isinstance(value, list) else value
    assert set(values) == {leaf.name for leaf in leaves(NodeParameters)}
    assert build(NodeParameters, values) == NodeParameters()


def test_a_table_without_a_place_is_named():
    with pytest.raises(ValueError, match="generated: topics"):
        generate.with_tables("no markers", {"topics": "| a |"})


def test_the_way_of_a_frame_names_files_by_what_they_say_of_themselves():
    page = (generate.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("<!-- generated: frame -->")[2].partition("<!-- end -->")[0]
    rows = dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", table, flags=re.MULTILINE))
    assert len(rows) > 20
    said = {name: rooms.summary(rooms.PACKAGE / name) for name in rows}
    assert rows == said, "run python studies/frame_path.py --write"
