"""Play a bag with its own clock into the detector node.

Example::

    ros2 launch streampetr_ros replay.launch.py bag:=/data/drive weights:=/data/r50.safetensors

Everything else is passed on to streampetr.launch.py, such as rviz:=true or cameras:=front,rear.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

_NODE = Path(get_package_share_directory("streampetr_ros")) / "launch" / "streampetr.launch.py"

_ARGUMENTS = {
    "bag": (None, "rosbag2 folder or file to play"),
    "rate": ("1.0", "speed of playing"),
    "loop": ("false", "true starts the bag again at its end"),
    "delay": ("10.0", "seconds that the node gets to load its weights before the bag starts"),
    "rviz": ("false", "true starts RViz"),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, start the node on simulated time, then the bag."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in _ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(_NODE)),
        launch_arguments={"use_sim_time": "true", "rviz": LaunchConfiguration("rviz")}.items(),
    )
    return LaunchDescription([*declared, node, OpaqueFunction(function=_play)])


def _play(context: LaunchContext) -> list[TimerAction]:
    def chosen(name: str) -> str:
        return LaunchConfiguration(name).perform(context) or _ARGUMENTS[name][0] or ""

    command = ["ros2", "bag", "play", chosen("bag"), "--clock", "100", "--rate", chosen("rate")]
    if chosen("loop").lower() == "true":
        command.append("--loop")
    player = ExecuteProcess(cmd=command, output="screen")
    return [TimerAction(period=float(chosen("delay")), actions=[player])]
