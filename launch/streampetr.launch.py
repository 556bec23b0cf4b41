"""Start the detector node on a rig of cameras.

Every argument left empty keeps the value of the parameter file, or its own default if it has one.
Example::

    ros2 launch streampetr_ros streampetr.launch.py weights:=/data/r50.safetensors device:=cuda \
        cameras:=front,front_right,front_left,rear 'image_topic:=/sensing/{camera}/image_raw' \
        rviz:=true
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from streampetr_ros.parameters.files import read_parameter_file
from streampetr_ros.ros.viewers.viewers import Rig, rviz_configuration

_SHARE = Path(get_package_share_directory("streampetr_ros"))

#: Launch argument -> parameter it overrides, its type, meaning.
_OVERRIDES: dict[str, tuple[str, type, str]] = {
    "model": ("model.name", str, "model name or its YAML file, for example stream_petr_r50_428q"),
    "weights": ("model.weights", str, "weights file, folder of exported graphs or random:SEED"),
    "backend": ("model.backend", str, "torch, onnxruntime, tensorrt, tensorrt_rtx or auto"),
    "precision": ("model.precision", str, "auto, fp32, bf16 or fp16; exported graphs keep theirs"),
    "device": ("model.device", str, "device: cpu, cuda, cuda:1"),
    "build_only": ("model.build_only", bool, "true builds missing engines, says so and ends"),
    "cameras": ("cameras.names", list, "camera names, separated by commas"),
    "image_topic": ("cameras.image_topics", list, "image topic; {camera} stands for the name"),
    "info_topic": ("cameras.info_topics", list, "CameraInfo topic; {camera} stands for the name"),
    "transport": ("cameras.transports", list, "images: raw, compressed or auto"),
    "fixed_frame": ("frames.fixed", str, "frame that does not move with the vehicle"),
    "base_frame": ("frames.base", str, "vehicle frame of the published boxes"),
    "autostart": ("autostart", bool, "false leaves the life cycle to a manager"),
    "use_sim_time": ("use_sim_time", bool, "true follows /clock"),
}

_PLAIN_ARGUMENTS = {
    "params_file": (str(_SHARE / "config" / "streampetr.yaml"), "parameter file of the node"),
    "namespace": ("", "namespace of the node and of relative topics"),
    "name": ("streampetr", "name of the node"),
    "rviz": ("false", "true starts rviz2 with cameras, boxes, tracks and TF"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node with them."""
    plain = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in _PLAIN_ARGUMENTS.items()
    ]
    overrides = [
        DeclareLaunchArgument(name, default_value="", description=meaning)
        for name, (_, _, meaning) in _OVERRIDES.items()
    ]
    return LaunchDescription([*plain, *overrides, OpaqueFunction(function=_start_node)])


def _start_node(context: LaunchContext) -> list[Node]:
    def chosen(name: str) -> str:
        default, _ = _PLAIN_ARGUMENTS.get(name, ("", ""))
        return LaunchConfiguration(name).perform(context) or default

    overrides = {
        parameter: _typed(chosen(argument), kind)
        for argument, (parameter, kind, _) in _OVERRIDES.items()
        if chosen(argument)
    }
    pushed = context.launch_configurations.get("ros_namespace", "")
    name = _full_name(pushed, chosen("namespace"), chosen("name"))
    wants_rviz = _typed(chosen("rviz"), bool)
    rviz = [_rviz(chosen("params_file"), overrides, name)] if wants_rviz else []
    return [
        *rviz,
        Node(
            package="streampetr_ros",
            executable="streampetr_node",
            name=chosen("name"),
            namespace=chosen("namespace"),
            parameters=[chosen("params_file"), *([overrides] if overrides else [])],
            ros_arguments=["--log-level", chosen("log_level")],
            additional_env=_image_transport(),
            output="screen",
            emulate_tty=True,
        ),
    ]


def _full_name(pushed: str, namespace: str, name: str) -> str:
    """Join names as launch_ros does: a pushed namespace comes before one that is relative."""
    before = [] if namespace.startswith("/") else pushed.split("/")
    parts = [*before, *namespace.split("/"), name]
    return "/" + "/".join(part for part in parts if part)


def _rviz(params_file: str, overrides: dict[str, Any], node: str) -> Node:
    """Start RViz on the clock of the node."""
    simulated = {"use_sim_time": overrides.get("use_sim_time", False)}
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", _rviz_file(params_file, overrides, node)],
        parameters=[simulated],
        output="log",
    )


def _rviz_file(params_file: str, overrides: dict[str, Any], node: str) -> str:
    """Write the shipped RViz configuration, fitted to cameras and frames; return its path."""
    shipped = _SHARE / "config"
    files = (shipped / "streampetr.yaml", Path(params_file))
    values = {**read_parameter_file(files[0]), **read_parameter_file(files[1]), **overrides}
    rig = Rig(
        node=node,
        cameras=tuple(values["cameras.names"]),
        fixed_frame=values["frames.fixed"],
        base_frame=values["frames.base"],
    )
    with tempfile.NamedTemporaryFile(
        "w", prefix="streampetr_", suffix=".rviz", delete=False, encoding="utf-8"
    ) as file:
        file.write(rviz_configuration(shipped / "streampetr.rviz", rig))
    return file.name


def _typed(text: str, kind: type) -> str | bool | list[str]:
    """Make the value of a parameter from the text of an argument.

    Raises:
        ValueError: if an argument that is true or false is neither.
    """
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"launch argument value '{text}' is neither 'true' nor 'false'")
        return text.lower() == "true"
    return text


def _image_transport() -> dict[str, str]:
    """Give images room in shared memory unless the user has a Fast DDS profile."""
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in names):
        return {}
    # Fast DDS 2 (up to Jazzy) reads the first, Fast DDS 3 (from Kilted on) the second.
    return dict.fromkeys(names, str(_SHARE / "config" / "fastdds_shm.xml"))
