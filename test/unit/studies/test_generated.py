"""Files that are made from the code are those that the code makes."""

import pytest
import yaml

from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.tree import build, leaves
from studies import generate


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
