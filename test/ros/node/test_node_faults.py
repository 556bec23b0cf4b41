"""Faults of a drive, over real topics: each has its expected result, and detection goes on.

What single images, calibrations and transforms can have is in test_node_survival. Set
STREAMPETR_FAULT_TABLE to a file to have every fault appended to it for studies/fault_table.py.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from builtin_interfaces.msg import Time
from drive import PACKED, Drive, Tamper
from fault_rows import shortened, write_row
from graph import NAMES, NODE, RELIABLE, Graph
from lifecycle_msgs.msg import Transition
from node_process import NodeProcess
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from streampetr_ros.msg import Object3DArray

from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.standard import time_message
from streampetr_ros.messages.vehicle import CameraMessages
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types

#: Resets after which stamps may start again.
_RESTARTS = {"backward_stamp", "clock_jump", "first_frame"}


@pytest.fixture(scope="module")
def drive(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """One node for all faults, with a network that only takes its time."""
    log = tmp_path_factory.mktemp("faults") / "node.log"
    parameters = {
        "model.weights": "stand_in:5",
        "use_sim_time": True,
        "sync.frozen_after": 3,
        "cameras.transports": ["compressed" if name == PACKED else "raw" for name in NAMES],
    }
    node = NodeProcess(log, parameters)
    try:
        wait_for_active_node(graph)
        started = Drive(graph, node, packed=True)
        started.good()
        yield started
        assert node.is_alive
    finally:
        exit_code = node.stop()
    assert exit_code == 0
    assert "Traceback" not in node.log
    graph.forget_node()


def wait_for_active_node(graph: Graph) -> None:
    """Wait until the node listens to the topics this drive publishes."""
    images = {**graph.images, PACKED: graph.compressed[PACKED]}
    graph.wait_for_subscribers([*images.values(), *graph.infos.values()])
    graph.wait_for_subscribers([graph.tf, graph.tf_static])
    graph.wait_for_results_topic()


class Fault:
    """One fault: says what is expected, notes what was seen."""

    def __init__(self, drive: Drive, name: str) -> None:
        self.drive = drive
        self.expected = self.seen = ""
        self._name = name
        self._start = len(drive.node.log)

    def expect(self, text: str) -> None:
        self.expected = text

    def logged(self, pattern: str) -> str:
        """Wait for the line that names the fault."""
        line = self.drive.node.wait_for_log(pattern, self._start)
        self.note("log: " + shortened(line.partition("]: ")[2]))
        return line

    def note(self, text: str) -> None:
        self.seen = f"{self.seen}; {text}" if self.seen else text

    def write(self) -> None:
        write_row(self._name, self.expected, self.seen)


@pytest.fixture
def fault(drive: Drive, request: pytest.FixtureRequest) -> Iterator[Fault]:
    """After the fault detection resumes, and stamps only go back where a reset says so."""
    drive.graph.results.clear()
    drive.good()
    made = Fault(drive, request.node.name.removeprefix("test_").replace("_", " "))
    yield made
    after = drive.good()
    assert drive.node.is_alive
    assert_monotonic(list(drive.graph.results))
    made.note(f"resumes, {after.frames_since_reset} sets after the last reset")
    made.write()


def assert_monotonic(results: list[Object3DArray]) -> None:
    for before, after in pairwise(results):
        later = stamp_ns_from(after.header.stamp) > stamp_ns_from(before.header.stamp)
        assert later or after.reset_reason in _RESTARTS


def test_publisher_of_one_camera_killed_and_restarted(drive: Drive, fault: Fault) -> None:
    fault.expect("cycles without the camera give no set; memory goes on when it is back")
    graph, name = drive.graph, "CAM_FRONT"
    graph.node.destroy_publisher(graph.images[name])
    for _ in range(2):
        messages = drive.messages()
        graph.tf.publish(messages.poses)
        for camera in messages.cameras:
            if camera.camera == PACKED:
                graph.compressed[PACKED].publish(camera.image)
            elif camera.camera != name:
                graph.images[camera.camera].publish(camera.image)
    graph.images[name] = graph.node.create_publisher(Image, f"{name}/image_raw", RELIABLE)
    graph.wait_for_subscribers([graph.images[name]])
    result = drive.good()
    assert result.reset_reason == ""
    fault.logged("dropped: cycle incomplete")


def test_frozen_camera(drive: Drive, fault: Fault) -> None:
    fault.expect("images of the frozen camera are dropped and the camera is named")
    picture = drive.messages().cameras[0]

    def freeze(camera: CameraMessages) -> None:
        camera.image.data = picture.image.data

    for _ in range(5):
        drive.graph.send(drive.messages(freeze, picture.camera))
    fault.logged(f"camera '{picture.camera}' .*dropped: frozen picture")


def zero_calibration(camera: CameraMessages) -> None:
    camera.info.k = [0.0] * 9


def not_a_number_calibration(camera: CameraMessages) -> None:
    camera.info.k = [math.nan] * 9


def corrupt_jpeg(camera: CameraMessages) -> None:
    camera.image.data = camera.image.data[: len(camera.image.data) // 2]


def random_bytes(camera: CameraMessages) -> None:
    camera.image.data = random.Random(0).randbytes(5000)


@pytest.mark.parametrize(
    ("tamper", "camera", "says"),
    [
        (zero_calibration, "CAM_FRONT", "CAM_FRONT/camera_info.*uncalibrated"),
        (not_a_number_calibration, "CAM_FRONT", "CAM_FRONT/camera_info.*not finite"),
        (corrupt_jpeg, PACKED, "CAM_BACK/image_raw/compressed.*truncated"),
        (random_bytes, PACKED, "CAM_BACK/image_raw/compressed.*neither JPEG nor PNG"),
    ],
    ids=["zero calibration", "NaN calibration", "corrupt JPEG", "random bytes"],
)
def test_unusable_message(
    drive: Drive, fault: Fault, tamper: Tamper, camera: str, says: str
) -> None:
    fault.expect("set skipped, topic and stamp named, memory kept")
    drive.bad(says, tamper, camera)
    fault.logged(says)
    assert drive.good().reset_reason == ""


def test_swapped_calibrations(drive: Drive, fault: Fault) -> None:
    fault.expect("set skipped, frames named")

    def swap(camera: CameraMessages) -> None:
        camera.info.header.frame_id = "CAM_BACK_optical_frame"

    drive.bad("swapped", swap)
    fault.logged("CAM_FRONT.*CameraInfo is for frame 'CAM_BACK_optical_frame'.*swapped")


def test_calibration_changed_while_driving(drive: Drive, fault: Fault) -> None:
    fault.expect("memory starts afresh (rig_change)")

    def zoom(camera: CameraMessages) -> None:
        camera.info.k = [
            value * 1.2 if i in (0, 4) else value for i, value in enumerate(camera.info.k)
        ]

    messages = drive.messages(zoom)
    drive.graph.send(messages)
    result = drive.graph.result_of(messages.stamp_ns)
    assert result.reset_reason == "rig_change"
    fault.note(f"reset reason {result.reset_reason}")


def test_transforms_missing(drive: Drive, fault: Fault) -> None:
    fault.expect("set skipped after pose.timeout_s, never an identity")
    drive.graph.send(drive.messages(), poses=False)
    fault.logged("skipped after waiting 0.1 s.*no transform|skipped after waiting 0.1 s")


def test_transforms_late(drive: Drive, fault: Fault) -> None:
    fault.expect("waited for without holding up the executor; memory goes on")
    graph = drive.graph
    assert graph.set_parameter("pose.timeout_s", 10.0).successful
    messages = drive.messages()
    graph.send(messages, poses=False)
    assert not graph.is_answered(messages.stamp_ns, within=0.3)
    # A service answers while the worker waits.
    assert graph.state() == "active"
    graph.tf.publish(messages.poses)
    result = graph.result_of(messages.stamp_ns)
    assert result.reset_reason == ""
    assert graph.set_parameter("pose.timeout_s", 0.1).successful
    fault.note("result came with the transforms, a service was answered meanwhile")


def test_transforms_in_a_loop(drive: Drive, fault: Fault) -> None:
    fault.expect("the transform that would close the loop is refused and named")
    messages = drive.messages()
    loop = messages.poses.transforms[-1]
    loop.header.frame_id, loop.child_frame_id = "base_link", "odom"
    drive.graph.tf.publish(type(messages.poses)(transforms=[loop]))
    fault.logged("transform ignored.*would close a loop")


def test_pose_jumps(drive: Drive, fault: Fault) -> None:
    fault.expect("memory starts afresh (pose_jump)")
    messages = drive.messages()
    for transform in messages.poses.transforms:
        transform.transform.translation.x += 300.0
    drive.graph.send(messages)
    result = drive.graph.result_of(messages.stamp_ns)
    assert result.reset_reason == "pose_jump"
    fault.note(f"reset reason {result.reset_reason}")


def test_clock_forward_and_back(drive: Drive, fault: Fault) -> None:
    fault.expect("forward: nothing; back: memory, images and transforms are dropped")
    graph = drive.graph
    clock = graph.node.create_publisher(Clock, "/clock", qos.transforms())
    graph.wait_for_subscribers([clock])
    clock.publish(Clock(clock=time_message(types, 10_000_000_000)))
    assert drive.good().reset_reason == ""
    clock.publish(Clock(clock=time_message(types, 9_000_000_000_000)))
    assert drive.good().reset_reason == ""
    clock.publish(Clock(clock=time_message(types, 5_000_000_000)))
    fault.logged("the clock jumped")
    result = drive.good()
    assert result.reset_reason == "clock_jump"
    fault.note(f"reset reason {result.reset_reason}")
    graph.node.destroy_publisher(clock)


def test_recording_loops(drive: Drive, fault: Fault) -> None:
    fault.expect("memory starts afresh (backward_stamp), every loop alike")
    for _ in range(3):
        drive.index = -1
        drive.graph.results.clear()
        first = drive.good()
        assert first.reset_reason == "backward_stamp"
        assert [drive.good().frames_since_reset for _ in range(3)] == [1, 2, 3]
    fault.note("3 loops, each backward_stamp, then 1, 2, 3 sets of memory")


def test_pause_longer_than_the_gap(drive: Drive, fault: Fault) -> None:
    fault.expect("memory starts afresh (gap)")
    drive.index += 20
    result = drive.good()
    assert result.reset_reason == "gap"
    fault.note(f"reset reason {result.reset_reason}")


def test_storm_of_parameters(drive: Drive, fault: Fault) -> None:
    fault.expect("valid values hold, others are refused with a reason, memory goes on")
    refused = 0
    for i in range(60):
        answer = drive.graph.set_parameter("detection.score_thresholds", [(i % 12) * 0.1])
        refused += not answer.successful
        assert answer.successful or "within 0 to 1" in answer.reason
    assert refused == 5
    assert drive.graph.set_parameter("detection.score_thresholds", [0.0]).successful
    assert drive.good().reset_reason == ""
    fault.note(f"{refused} of 60 refused, memory kept")


def test_not_a_number_as_a_parameter(drive: Drive, fault: Fault) -> None:
    fault.expect("refused with the reason")
    answer = drive.graph.set_parameter("detection.score_thresholds", [math.nan])
    assert not answer.successful
    fault.note(shortened(answer.reason))


def test_storm_of_activations(drive: Drive, fault: Fault) -> None:
    fault.expect("every transition succeeds; memory starts afresh (deactivated)")
    for _ in range(5):
        assert drive.graph.change(Transition.TRANSITION_DEACTIVATE)
        assert drive.graph.change(Transition.TRANSITION_ACTIVATE)
    wait_for_active_node(drive.graph)
    drive.graph.results.clear()
    drive.connect()
    assert drive.graph.results[0].reset_reason == "deactivated"
    fault.note("reset reason deactivated")


def test_publisher_with_wrong_qos(drive: Drive, fault: Fault) -> None:
    fault.expect("named with topic and policy, in log and diagnostics")
    publisher = drive.graph.node.create_publisher(
        Image, "CAM_FRONT/image_raw", qos.images("best_effort", 1)
    )
    fault.logged("CAM_FRONT/image_raw.*incompatible QoS.*RELIABILITY")
    drive.graph.node.destroy_publisher(publisher)


def test_two_nodes_in_one_graph(drive: Drive, fault: Fault, tmp_path: Path) -> None:
    fault.expect("both detect the same sets; one leaves, the other goes on")
    other_name = "second"
    heard: list[Object3DArray] = []
    graph = drive.graph
    subscription = graph.node.create_subscription(
        Object3DArray, f"/{other_name}/detections", heard.append, RELIABLE
    )
    transports = ["compressed" if name == PACKED else "raw" for name in NAMES]
    parameters = {"model.weights": "stand_in:5", "cameras.transports": transports}
    second = NodeProcess(tmp_path / "second.log", parameters, name=other_name)
    try:
        images = {**graph.images, PACKED: graph.compressed[PACKED]}
        publishers = [*images.values(), *graph.infos.values(), graph.tf, graph.tf_static]
        for publisher in publishers:
            graph.wait_for(
                lambda each=publisher: each.get_subscription_count() >= 2,
                f"both nodes at {publisher.topic_name}",
            )
        graph.wait_for(subscription.get_publisher_count, "the second node's results")
        # Images are best effort and discovery takes its time, so single sets may pass the second
        # node by; what it must do is detect sets that the first one detects too.
        sent: list[Time] = []

        def both() -> int:
            return sum(any(other.header.stamp == stamp for other in heard) for stamp in sent)

        while both() < 4 and len(sent) < 200:
            sent.append(drive.good().header.stamp)
        assert both() >= 4, f"the second node detected {len(heard)} of {len(sent)} sets"
    finally:
        assert second.stop() == 0
        graph.node.destroy_subscription(subscription)
    fault.note(f"second node published {len(heard)} sets and ended with code 0")


def test_diagnostics_name_every_part_afterwards(drive: Drive, fault: Fault) -> None:
    fault.expect("all parts report; counters tell what happened")
    wanted = {f"camera {name}" for name in NAMES} | {"memory", "synchroniser", "latency"}
    drive.graph.wait_for(lambda: wanted <= set(drive.graph.health), "all diagnostics")
    drive.graph.wait_for(
        lambda: drive.graph.health_value("latency", "end_to_end p99 ms"), "end-to-end latency"
    )
    fault.note(f"{len(drive.graph.health)} statuses of {NODE}")
