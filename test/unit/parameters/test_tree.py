"""Values of parameters: types, ranges and lengths, told by name, as for the node so for bags."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

import pytest

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.parameter import RUN, parameter
from streampetr_ros.parameters.bag import bag_options
from streampetr_ros.parameters.node import NodeParameters, is_of_node
from streampetr_ros.parameters.tree import build, fitting, leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    rate: float = parameter(1.0, "How often", between=(0.5, 10.0), changes=RUN)
    place: tuple[float, float] = parameter((0.0, 0.0), "Where")
    names: tuple[str, ...] = parameter(("a",), "Who", choices=("a", "bee"))
    count: int = parameter(2, "How many")
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if self.count < len(self.names):
            raise ValueError("more names than there are")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    ready: bool = parameter(False, "Whether")
    group: Group = field(default_factory=Group)


def test_leaves_are_what_is_declared() -> None:
    found = leaves(Tree)
    assert [leaf.name for leaf in found] == [
        "ready",
        *("group.rate", "group.place", "group.names", "group.count"),
    ]
    assert [leaf.length for leaf in found] == [0, 0, 2, 0, 0]
    assert found[1].rule.changes == RUN


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("group.rate", 2, 2.0),
        ("group.place", array("d", [1.0, 2.0]), (1.0, 2.0)),
        ("group.place", [1, 2.5], (1.0, 2.5)),
        ("group.names", ["bee", "a"], ("bee", "a")),
        ("ready", True, True),
    ],
)
def test_values_take_the_type_of_the_parameter(name: str, value: object, held: object) -> None:
    leaf = next(leaf for leaf in leaves(Tree) if leaf.name == name)
    got = fitting(leaf, value)
    assert got == held
    assert type(got) is type(held)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("group.rate", "fast", "'group.rate' is 'fast' but must have the type double"),
        ("group.rate", True, "is True but must have the type double"),
        ("group.rate", [1.0], "must have the type double"),
        ("group.rate", 0.25, "is 0.25 but must be within 0.5 to 10"),
        ("group.rate", float("inf"), "must be a finite number"),
        ("group.place", 1.0, "must have the type list of double"),
        ("group.place", [1.0], r"holds 1 values but must hold 2: \[1.0\]"),
        ("group.names", [], "'group.names' is an empty list; give at least one value"),
        ("group.names", ["be"], "'be' but must be one of a, bee; nearest is 'bee'"),
        ("group.count", True, "is True but must have the type integer"),
        ("ready", 1, "is 1 but must have the type bool"),
    ],
)
def test_values_that_do_not_fit_are_told(name: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(Tree, {name: value})


def test_what_a_group_refuses_is_told_by_its_name() -> None:
    assert build(Tree, {"group.names": ["a", "bee"], "other.name": 3}).group.names == ("a", "bee")
    with pytest.raises(ConfigError, match="parameters 'group': more names than there are"):
        build(Tree, {"group.names": ["a", "bee"], "group.count": 1})


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("autostart", True),
        ("sync.window_s", True),
        ("sync.misspelt", True),
        ("use_sim_time", True),
        ("qos_overrides./tf.depth", True),
        ("sync", False),
        ("autostart.late", False),
        ("frame_rate", False),
        ("driver.gain", False),
    ],
)
def test_names_of_this_node(name: str, is_ours: bool) -> None:
    assert is_of_node(name) is is_ours


def test_what_frame_sets_of_a_bag_depend_on() -> None:
    plain = bag_options()
    same = {"detection.max_objects": 7, "model.threads": 3, "memory.max_gap_s": 9.0}
    assert bag_options(given=same).inputs == plain.inputs
    for name, value in (
        ("frames.base", "car"),
        ("pose.history_s", 5.0),
        ("sync.window_s", 0.01),
        ("cameras.names", ["a", "b"]),
        ("pose.odometry_topic", "/odom"),
    ):
        assert bag_options(given={name: value}).inputs != plain.inputs
    by_hand = bag_options(cameras=["front=/front/image,/front/info", "rear=/rear/image"])
    assert [camera.info_topic for camera in by_hand.cameras] == ["/front/info", ""]
    assert by_hand.parameters == replace(NodeParameters())
    assert by_hand.inputs != plain.inputs
