"""Start, stop, wrong configurations, clocks: the node stays alive and says what it needs."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path

from drive import Drive
from geometry_msgs.msg import TransformStamped
from graph import Graph
from lifecycle_msgs.msg import Transition
from nav_msgs.msg import Odometry
from node_process import NodeProcess
from rosgraph_msgs.msg import Clock

from streampetr_ros.messages.standard import time_message
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types

StartNode = Callable[..., NodeProcess]


def test_transitions_without_autostart(graph: Graph, start_node: StartNode) -> None:
    node = start_node(autostart=False)
    assert graph.state() == "unconfigured"
    assert not graph.change(Transition.TRANSITION_ACTIVATE)
    assert graph.change(Transition.TRANSITION_CONFIGURE)
    assert graph.state() == "inactive"
    assert graph.change(Transition.TRANSITION_ACTIVATE)
    graph.wait_for_active_node()
    drive = Drive(graph, node)
    assert drive.good().reset_reason == "first_frame"
    assert drive.good().frames_since_reset == 1
    assert graph.change(Transition.TRANSITION_DEACTIVATE)
    assert not any(p.get_subscription_count() for p in graph.images.values())
    assert graph.change(Transition.TRANSITION_ACTIVATE)
    graph.wait_for_active_node()
    assert drive.good().reset_reason == "deactivated"
    assert graph.change(Transition.TRANSITION_DEACTIVATE)
    assert graph.change(Transition.TRANSITION_CLEANUP)
    assert graph.state() == "unconfigured"
    assert graph.change(Transition.TRANSITION_CONFIGURE)
    assert graph.change(Transition.TRANSITION_ACTIVATE)
    graph.wait_for_active_node()
    assert drive.good().reset_reason == "first_frame"
    assert not graph.change(Transition.TRANSITION_CONFIGURE)
    assert graph.state() == "active"


def test_wrong_parameters_leave_the_node_unconfigured(graph: Graph, start_node: StartNode) -> None:
    node = start_node(
        **{
            "model.wieghts": "x",
            "pose.timeout_s": 99.0,
            "sync.policy": "exactly",
            "cameras.depth": "many",
        }
    )
    line = node.wait_for_log("cannot configure")
    assert "unknown parameter 'model.wieghts'; did you mean 'model.weights'?" in line
    assert "'pose.timeout_s' is 99 but must be within 0 to 10" in line
    assert "'sync.policy' is 'exactly' but must be one of own, approximate, exact" in line
    assert "'cameras.depth' is 'many' but must have the type integer" in line
    assert graph.state() == "unconfigured"
    status = graph.wait_for(lambda: graph.health.get("node"), "diagnostics of the node")
    assert "model.wieghts" in status.message
    assert not graph.change(Transition.TRANSITION_CONFIGURE)
    assert node.is_alive


def test_weights_and_cross_checks(graph: Graph, start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(autostart=False)
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(b"\0" * 1000)

    def refused_with(name: str, wrong: object, right: object, says: str) -> None:
        assert graph.set_parameter(name, wrong).successful
        seen = len(node.log)
        assert not graph.change(Transition.TRANSITION_CONFIGURE)
        node.wait_for_log(f"cannot configure: .*{says}", seen)
        assert graph.set_parameter(name, right).successful

    refused_with("model.weights", "", "random:3", "'model.weights' is empty; name a")
    refused_with("model.weights", "/no/such.safetensors", "random:3", "does not exist; check")
    refused_with("model.weights", str(corrupt), "random:3", "not a complete safetensors file")
    refused_with("model.device", "cuda:77", "cpu", "cuda:77")
    refused_with("sync.offsets_s", [0.0, 0.1], [-1.0], "one time of at least 0 for each of the 6")
    refused_with("cameras.transports", ["raw", "raw"], ["raw"], "one for each of the 6 cameras")
    refused_with("cameras.image_topics", ["image"], ["{camera}/image_raw"], "write {camera} into")
    refused_with("cameras.image_topics", ["a b/{camera}"], ["{camera}/image_raw"], "no ROS name")
    assert graph.set_parameter("pose.source", "odometry").successful
    refused_with("pose.odometry_topic", "a b", "odometry", "'pose.odometry_topic' is no ROS name")
    assert graph.set_parameter("pose.source", "tf").successful
    refused_with("cameras.masks_file", "/no/masks.yaml", "", "cannot read cameras.masks_file")
    refused_with("detection.score_thresholds", [0.1, 0.2], [0.0], "each of the 10 classes")
    refused_with("memory.max_gap_s", 0.4, 5.0, "must be above the time between sets that enter")
    if importlib.util.find_spec("message_filters") is None:
        refused_with("sync.policy", "exact", "own", "message_filters is not installed; install")
    assert graph.state() == "unconfigured"
    assert graph.change(Transition.TRANSITION_CONFIGURE)


def odometry_of(transform: TransformStamped) -> Odometry:
    message = Odometry(header=transform.header, child_frame_id=transform.child_frame_id)
    move = transform.transform.translation
    message.pose.pose.position.x, message.pose.pose.position.y = move.x, move.y
    message.pose.pose.orientation = transform.transform.rotation
    return message


def test_pose_from_odometry_and_interrupt(graph: Graph, start_node: StartNode) -> None:
    node = start_node(**{"pose.source": "odometry"})
    graph.wait_for_active_node()
    odometry = graph.node.create_publisher(Odometry, "odometry", 10)
    graph.wait_for_subscribers([odometry])
    drive = Drive(graph, node)

    def answered() -> bool:
        messages = drive.messages()
        for transform in messages.poses.transforms:
            odometry.publish(odometry_of(transform))
        graph.send(messages, mountings=True, poses=False)
        return graph.is_answered(messages.stamp_ns, within=5.0)

    assert any(answered() for _ in range(5)), node.log
    graph.send(drive.messages())
    assert node.stop(signal.SIGINT) == 0
    graph.node.destroy_publisher(odometry)
    assert "Traceback" not in node.log


def test_clock_jump_and_late_calibration(graph: Graph, start_node: StartNode) -> None:
    node = start_node(**{"use_sim_time": True, "frames.model": "lidar_top"})
    graph.wait_for_active_node()
    clock = graph.node.create_publisher(Clock, "/clock", qos.transforms())
    graph.wait_for_subscribers([clock])
    drive = Drive(graph, node)
    messages = drive.messages()
    graph.tf_static.publish(messages.mountings)
    graph.tf.publish(messages.poses)
    for camera in messages.cameras:
        graph.images[camera.camera].publish(camera.image)
    line = node.wait_for_log("has no CameraInfo yet")
    assert "publish it on" in line
    clock.publish(Clock(clock=time_message(types, 10_000_000_000)))
    assert drive.good().reset_reason == "first_frame"
    clock.publish(Clock(clock=time_message(types, 20_000_000_000)))
    assert drive.good().frames_since_reset == 1
    clock.publish(Clock(clock=time_message(types, 5_000_000_000)))
    node.wait_for_log("the clock jumped")
    assert drive.good().reset_reason == "clock_jump"
    graph.node.destroy_publisher(clock)


def test_set_without_one_camera_where_allowed(graph: Graph, start_node: StartNode) -> None:
    node = start_node(**{"sync.min_cameras": 5, "sync.wait_s": 1.0})
    graph.wait_for_active_node()
    drive = Drive(graph, node)
    # A camera that never sent anything is not waited for, so the first sets may lack some.
    drive.connect()
    before = next(each for each in (drive.good() for _ in range(10)) if each.cameras_used == 6)
    messages = drive.messages()
    present = [camera for camera in messages.cameras if camera.camera != "CAM_BACK"]
    graph.tf.publish(messages.poses)
    for camera in present:
        graph.images[camera.camera].publish(camera.image)
    stamp_ns = max(camera.stamp_ns for camera in present)
    result = graph.result_of(stamp_ns)
    assert result.cameras_used == 5
    assert result.cameras_expected == 6
    assert "CAM_BACK" not in result.camera_names
    assert result.frames_since_reset == before.frames_since_reset + 1
    assert drive.good().frames_since_reset == before.frames_since_reset + 2
