"""The launch file turns its arguments into a node, where launch_ros is installed."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

launch = pytest.importorskip("launch", reason="needs an installed ROS 2")
pytest.importorskip("launch_ros", reason="needs an installed ROS 2")
index = pytest.importorskip("ament_index_python.packages")

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "streampetr.launch.py"


@pytest.fixture(name="launch_file")
def _launch_file() -> SimpleNamespace:
    try:
        index.get_package_share_directory("streampetr_ros")
    except LookupError:
        pytest.skip("needs the package in the ament index")
    return SimpleNamespace(**runpy.run_path(str(LAUNCH_FILE)))


def node_of(launch_file: SimpleNamespace, **arguments: str) -> Any:
    """Start nothing: declare the arguments and return the node action."""
    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    entities = launch_file.generate_launch_description().entities
    for entity in entities[:-1]:
        entity.visit(context)
    return entities[-1].visit(context)[0]


def test_arguments_have_descriptions(launch_file: SimpleNamespace) -> None:
    declared = launch_file.generate_launch_description().get_launch_arguments()
    assert {"cameras", "params_file", "model", "device", "use_sim_time"} <= {
        a.name for a in declared
    }
    assert all(argument.description for argument in declared)


def test_node_is_made_from_arguments(launch_file: SimpleNamespace) -> None:
    node = node_of(launch_file, cameras="1, on", device="cuda", namespace="roof")
    assert (node.node_package, node.node_executable) == ("streampetr_ros", "streampetr_node")


def test_texts_keep_their_type(launch_file: SimpleNamespace) -> None:
    assert launch_file._typed("1, on", list) == ["1", "on"]
    assert launch_file._typed("TRUE", bool) is True
    with pytest.raises(ValueError, match="neither 'true' nor 'false'"):
        launch_file._typed("maybe", bool)


def test_own_transport_profile_is_respected(
    launch_file: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "mine.xml")
    assert launch_file._image_transport() == {}
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE")
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    assert Path(launch_file._image_transport()["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
