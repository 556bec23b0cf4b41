"""Parameters: one declaration gives names, checks, descriptors and documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

import rclpy
from graph import Graph
from rclpy.node import Node
from rclpy.parameter import Parameter

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.errors import UserError
from streampetr_ros.parameters import settings
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.tree import build, leaves
from streampetr_ros.ros.node.parameter_server import ParameterServer
from streampetr_ros.track import TrackingConfig

MakeServer = Callable[..., ParameterServer]


class Owner:
    """Stands in for the node: knows whether it is configured, remembers what was applied."""

    def __init__(self) -> None:
        self.configured = False
        self.applied: list[NodeParameters] = []


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def make_server(graph: Graph, owner: Owner) -> Iterator[MakeServer]:
    assert graph
    nodes: list[Node] = []

    def make(**overrides: object) -> ParameterServer:
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(rclpy.create_node("parameters_under_test", parameter_overrides=given))
        server = ParameterServer(nodes[-1], lambda: owner.configured, owner.applied.append)
        server.node = nodes[-1]
        return server

    yield make
    for node in nodes:
        node.destroy_node()


def change(server: ParameterServer, name: str, value: object) -> tuple[bool, str]:
    result = server.node.set_parameters([Parameter(name, value=value)])[0]
    return result.successful, result.reason


def test_defaults_are_valid(make_server: MakeServer) -> None:
    parameters = make_server().read()
    assert parameters == NodeParameters()
    assert len(parameters.cameras.settings()) == 6
    assert parameters.sync_config().offsets_ns is None
    assert settings.pipeline_config(parameters).filters.score_thresholds == (0.3,)


def test_overrides_are_read_and_whole_numbers_are_doubles(make_server: MakeServer) -> None:
    server = make_server(**{"pose.timeout_s": 1, "frames.model_xyz": [1, 0, 2], "cameras.depth": 3})
    parameters = server.read()
    assert parameters.pose.timeout_s == 1.0
    assert parameters.frames.model_xyz == (1.0, 0.0, 2.0)
    assert parameters.cameras.depth == 3


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("modle.name", "x", "did you mean 'model.name'"),
        ("detection.score_thresholds", [0.5, 1.5], "1.5 but must be within 0 to 1"),
        ("detection.score_thresholds", "high", "must have the type list of double"),
        ("pose.source", "tf2", "one of tf, odometry; nearest is 'tf'"),
        ("pose.buffer", "own", "'pose.buffer' was removed in 0.2.0; delete it from the file"),
        ("cameras.resize", "exact", "'cameras.resize' was removed in 0.2.0; delete it"),
        ("pose.timeout_s", float("nan"), "must be a finite number"),
        ("model.threads", 0.5, "must have the type integer"),
        ("frames.model_rpy", [0.0, 0.0], "holds 2 values but must hold 3"),
        ("frames.base", "odom", "must be two frame names"),
        ("sync.min_cameras", 7, "only 6 cameras"),
        ("cameras.names", ["a", "a"], "must be different"),
        ("cameras.reductions", [3], "holds 3 but must be one of 1, 2, 4, 8"),
        ("cameras.reductions", [1, 2], "one for each of the 6 cameras"),
        ("detection.range_min", [0.0, 0.0, 10.0], "must be below"),
    ],
)
def test_wrong_values_refuse_configuration(
    make_server: MakeServer, name: str, value: object, says: str
) -> None:
    server = make_server(**{name: value})
    with pytest.raises(ConfigError, match=says):
        server.read()


def test_wrong_override_can_be_corrected(make_server: MakeServer) -> None:
    server = make_server(**{"pose.timeout_s": 99.0})
    with pytest.raises(ConfigError):
        server.read()
    assert change(server, "pose.timeout_s", 0.2)[0]
    assert server.read().pose.timeout_s == 0.2


def test_changes_while_configured(make_server: MakeServer, owner: Owner) -> None:
    server = make_server()
    assert change(server, "sync.policy", "exact")[0]
    owner.configured = True
    accepted, reason = change(server, "sync.policy", "own")
    assert not accepted
    assert "clean up the node" in reason
    assert change(server, "pose.timeout_s", 0.5)[0]
    assert owner.applied[-1].pose.timeout_s == 0.5
    accepted, reason = change(server, "autostart", False)
    assert not accepted
    assert "read-only" in reason


def test_refusal_by_the_owner_is_passed_on(make_server: MakeServer, owner: Owner) -> None:
    def refuse(_: NodeParameters) -> None:
        raise ValueError("does not fit the classes")

    owner.applied = type("Refusing", (), {"append": staticmethod(refuse)})()
    server = make_server()
    owner.configured = True
    assert change(server, "detection.score_thresholds", [0.1]) == (
        False,
        "does not fit the classes",
    )


def test_descriptors_tell_meaning_and_range(make_server: MakeServer) -> None:
    node = make_server().node
    timeout = node.describe_parameter("pose.timeout_s")
    assert timeout.floating_point_range[0].to_value == 10.0
    assert "wait" in timeout.description
    assert "at any time" in timeout.additional_constraints
    assert node.describe_parameter("autostart").read_only
    assert node.describe_parameter("cameras.depth").integer_range[0].from_value == 1


def test_every_parameter_is_documented() -> None:
    for leaf in leaves(NodeParameters):
        assert leaf.rule.description
        assert not leaf.rule.description.endswith(".")
        assert not isinstance(leaf.default, tuple) or leaf.default


def test_own_topics_and_masks(tmp_path: Path) -> None:
    masks = tmp_path / "masks.yaml"
    masks.write_text("left: [[[0, 0.9], [1, 0.9], [1, 1]]]\n")
    parameters = build(
        NodeParameters,
        {
            "cameras.names": ("left", "right"),
            "cameras.image_topics": ("/roof/{camera}/image",),
            "cameras.info_topics": ("/l/info", "/r/info"),
            "cameras.masks_file": str(masks),
            "sync.offsets_s": (0.0, 0.02),
        },
    )
    left, right = parameters.cameras.settings()
    assert (left.image_topic, left.info_topic) == ("/roof/left/image", "/l/info")
    assert (right.image_topic, right.info_topic) == ("/roof/right/image", "/r/info")
    assert parameters.sync_config().offsets_ns == {"left": 0, "right": 20_000_000}
    mask = settings.pipeline_config(parameters).masks[0]
    assert (mask.camera, mask.polygon[0]) == ("left", (0.0, 0.9))


def test_tracking_settings(tmp_path: Path) -> None:
    file = tmp_path / "tracking.yaml"
    file.write_text("max_gap: 1.5\nvehicle: {gate: 6.0}\n")

    def config(**values: object) -> TrackingConfig | None:
        named = {f"tracking.{name}": value for name, value in values.items()}
        return settings.pipeline_config(build(NodeParameters, named)).tracking

    assert config() == TrackingConfig()
    assert config(enabled=False) is None
    read = config(config_file=str(file))
    assert (read.max_gap, read.vehicle.gate) == (1.5, 6.0)
    file.write_text("max_gpa: 1.5\n")
    with pytest.raises(ValueError, match="did you mean 'max_gap'"):
        config(config_file=str(file))
    with pytest.raises(ValueError, match="cannot read configuration"):
        config(config_file=str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    "text", ["[1, 2]", "front: []\nleft: 3", "left: [[[0, 0], [1, 1]]]", "left: {", "left: [[a]]"]
)
def test_wrong_masks(tmp_path: Path, text: str) -> None:
    masks = tmp_path / "masks.yaml"
    masks.write_text(text)
    with pytest.raises(UserError, match=r"masks\.yaml"):
        settings.read_masks(masks, ("left",))


@pytest.mark.parametrize("topic", ["{camara}/image", "{camera", "{}"])
def test_topics_with_other_braces(topic: str) -> None:
    with pytest.raises(ConfigError, match="brace"):
        build(NodeParameters, {"cameras.names": ("a",), "cameras.image_topics": (topic,)})
