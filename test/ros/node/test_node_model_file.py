"""The node runs a model that a file describes, as well as one that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from streampetr_ros.ros.node.node import StreamPetrNode

PARAMETERS = {"model.weights": "random:0"}
MODEL = """
backbone: resnet_tiny
image: {height: 64, width: 160}
class_names: [car, pedestrian]
embed_dims: 32
num_heads: 2
num_queries: 300
"""


def configured(node: StreamPetrNode, path: Path) -> TransitionCallbackReturn:
    node.set_parameters([Parameter("model.name", value=str(path))])
    result: TransitionCallbackReturn = node.trigger_configure()
    return result


def test_a_file_describes_the_model(node: StreamPetrNode, tmp_path: Path) -> None:
    path = tmp_path / "my_rig.yaml"
    assert configured(node, path) == TransitionCallbackReturn.FAILURE
    path.write_text(MODEL + "num_layers: 0")
    assert configured(node, path) == TransitionCallbackReturn.FAILURE
    path.write_text(MODEL)
    assert configured(node, path) == TransitionCallbackReturn.SUCCESS
    config = node._session.backend.config
    assert (config.name, config.class_names) == ("my_rig", ("car", "pedestrian"))
