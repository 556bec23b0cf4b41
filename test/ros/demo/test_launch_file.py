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

ROOT = Path(__file__).resolve().parents[3]
LAUNCH_FILE = ROOT / "launch" / "streampetr.launch.py"
PARAMETER_FILE = ROOT / "config" / "streampetr.yaml"


@pytest.fixture(name="launch_file")
def _launch_file() -> SimpleNamespace:
    try:
        index.get_package_share_directory("streampetr_ros")
    except LookupError:
        pytest.skip("needs the package in the ament index")
    return SimpleNamespace(**runpy.run_path(str(LAUNCH_FILE)))


def node_of(launch_file: SimpleNamespace, **arguments: str) -> Any:
    """Start nothing: declare the arguments and return the node action."""
    return nodes_of(launch_file, **arguments)[-1]


def nodes_of(launch_file: SimpleNamespace, **arguments: str) -> list[Any]:
    """Start nothing: declare the arguments and return all node actions."""
    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    entities = launch_file.generate_launch_description().entities
    for entity in entities[:-1]:
        entity.visit(context)
    return entities[-1].visit(context)


def test_arguments_have_descriptions(launch_file: SimpleNamespace) -> None:
    declared = launch_file.generate_launch_description().get_launch_arguments()
    assert {"cameras", "params_file", "model", "device", "use_sim_time"} <= {
        a.name for a in declared
    }
    assert all(argument.description for argument in declared)


def test_node_is_made_from_arguments(launch_file: SimpleNamespace) -> None:
    node = node_of(launch_file, cameras="1, on", device="cuda", namespace="roof")
    assert (node.node_package, node.node_executable) == ("streampetr_ros", "streampetr_node")


def test_rviz_is_started_with_the_cameras_of_the_vehicle(launch_file: SimpleNamespace) -> None:
    assert len(nodes_of(launch_file)) == 1
    arguments = {"rviz": "true", "cameras": "left,right", "namespace": "roof", "base_frame": "car"}
    rviz = nodes_of(launch_file, **arguments)[0]
    assert (rviz.node_package, rviz.node_executable) == ("rviz2", "rviz2")
    values = {"cameras.names": ["left", "right"], "frames.base": "car"}
    file = Path(launch_file._rviz_file(str(PARAMETER_FILE), values, "/roof/streampetr"))
    text = file.read_text(encoding="utf-8")
    file.unlink()
    assert "/roof/streampetr/overlays/right/compressed" in text
    assert "Target Frame: car" in text
    assert "Fixed Frame: odom" in text
    assert "CAM_FRONT" not in text


def test_full_name_of_the_node(launch_file: SimpleNamespace) -> None:
    named = launch_file._full_name
    assert named("", "", "streampetr") == "/streampetr"
    assert named("", "/roof/front/", "seer") == "/roof/front/seer"
    assert named("/robot", "", "streampetr") == "/robot/streampetr"
    assert named("/robot", "roof", "streampetr") == "/robot/roof/streampetr"
    assert named("/robot", "/roof", "streampetr") == "/roof/streampetr"


@pytest.mark.parametrize(
    ("namespace", "topic"), [("", "/robot/streampetr"), ("/roof", "/roof/streampetr")]
)
def test_rviz_shows_the_node_in_a_pushed_namespace(
    launch_file: SimpleNamespace, namespace: str, topic: str
) -> None:
    arguments = {"rviz": "true", "ros_namespace": "/robot", "namespace": namespace}
    (word,) = nodes_of(launch_file, **arguments)[0].cmd[2]
    file = Path(word.text)
    text = file.read_text(encoding="utf-8")
    file.unlink()
    assert f"{topic}/markers" in text
    assert ": /streampetr/" not in text


def test_arguments_left_empty_mean_their_defaults(launch_file: SimpleNamespace) -> None:
    empty = dict.fromkeys(("params_file", "namespace", "name", "rviz", "log_level"), "")
    (node,) = nodes_of(launch_file, **empty)
    node._perform_substitutions(launch.LaunchContext())
    words = [getattr(part, "text", "") for word in node.cmd for part in word]
    assert node.node_name == "/streampetr"
    assert words[words.index("--log-level") + 1] == "info"
    rviz = nodes_of(launch_file, params_file="", rviz="true")[0]
    file = Path(rviz.cmd[2][0].text)
    assert "CAM_FRONT" in file.read_text(encoding="utf-8")
    file.unlink()


def test_texts_keep_their_type(launch_file: SimpleNamespace) -> None:
    assert launch_file._typed("1, on", list) == ["1", "on"]
    assert launch_file._typed("TRUE", bool) is True
    with pytest.raises(ValueError, match="neither 'true' nor 'false'"):
        launch_file._typed("maybe", bool)


def test_own_transport_profile_is_respected(
    launch_file: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    for mine in both:
        for name in both:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(mine, "mine.xml")
        assert launch_file._image_transport() == {}
    monkeypatch.delenv(both[1])
    given = launch_file._image_transport()
    assert set(given) == set(both), "releases read one or the other"
    assert all(Path(file).is_file() for file in given.values())


def test_a_bag_is_played_with_its_clock_into_the_node() -> None:
    play = SimpleNamespace(**runpy.run_path(str(LAUNCH_FILE.with_name("replay.launch.py"))))
    description = play.generate_launch_description()
    declared = {each.name: each for each in description.get_launch_arguments()}
    assert not declared["bag"].default_value, "a bag must be named"
    assert {"weights", "cameras", "rviz", "rate", "loop"} <= set(declared)
    context = launch.LaunchContext()
    chosen = {"bag": "/data/drive", "rate": "0.5", "loop": "true", "delay": "2.5"}
    context.launch_configurations.update(chosen)
    (timer,) = play._play(context)
    (player,) = timer.actions
    words = ["".join(part.perform(context) for part in word) for word in player.cmd]
    assert words == [
        *("ros2", "bag", "play", "/data/drive"),
        *("--clock", "100", "--rate", "0.5", "--loop"),
    ]
    assert timer.period == 2.5
    context.launch_configurations.update(dict.fromkeys(("rate", "loop", "delay"), ""))
    (timer,) = play._play(context)
    assert timer.period == 10.0
    words = ["".join(part.perform(context) for part in word) for word in timer.actions[0].cmd]
    assert words[-2:] == ["--rate", "1.0"]
