"""Everything around the node under test: six cameras, TF, a recorder and service clients."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rigs import CAMERAS
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger
from streampetr_ros.msg import Object3DArray
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.vehicle import SetMessages
from streampetr_ros.ros import qos

NODE = "/streampetr"
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
NAMES = tuple(name for name, _, _ in CAMERAS)


class Graph:
    """Publishers and recorders; spins only while it waits, so tests see a fixed state."""

    def __enter__(self) -> Graph:
        rclpy.init()
        self.node = rclpy.create_node("test_graph")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        create = self.node.create_publisher
        self.images = {name: create(Image, f"{name}/image_raw", RELIABLE) for name in NAMES}
        self.compressed = {
            name: create(CompressedImage, f"{name}/image_raw/compressed", RELIABLE)
            for name in NAMES
        }
        self.infos = {name: create(CameraInfo, f"{name}/camera_info", RELIABLE) for name in NAMES}
        self.tf = create(TFMessage, "/tf", qos.transforms())
        self.tf_static = create(TFMessage, "/tf_static", qos.static_transforms())
        self.results: deque[Object3DArray] = deque(maxlen=1000)
        self.markers: deque[MarkerArray] = deque(maxlen=10)
        self.health: dict[str, DiagnosticStatus] = {}
        subscribe = self.node.create_subscription
        self._detections = subscribe(Object3DArray, f"{NODE}/detections", self._on_result, RELIABLE)
        subscribe(MarkerArray, f"{NODE}/markers", self._on_markers, RELIABLE)
        subscribe(DiagnosticArray, "/diagnostics", self._on_health, RELIABLE)
        self._clients = {
            kind: self.node.create_client(kind, f"{NODE}/{name}")
            for kind, name in (
                (ChangeState, "change_state"),
                (GetState, "get_state"),
                (SetParameters, "set_parameters"),
                (Trigger, "reset"),
            )
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def wait_for(self, condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
        """Spin until the condition holds; returns its value."""
        value = self._spin_until(condition, timeout)
        assert value, f"waited {timeout} s in vain for {what}"
        return value

    def _spin_until(self, condition: Callable[[], Any], timeout: float) -> Any:
        """Spin until the condition holds or time is up; returns its last value."""
        deadline = time.monotonic() + timeout
        while not (value := condition()) and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)
        return value

    def call(self, kind: type, request: Any = None, timeout: float = 30.0) -> Any:
        """Call a service of the node under test."""
        client = self._clients[kind]
        self.wait_for(client.service_is_ready, f"service {client.srv_name}", timeout)
        future = client.call_async(request or kind.Request())
        self.wait_for(future.done, f"an answer of {client.srv_name}", timeout)
        return future.result()

    def state(self) -> str:
        return self.call(GetState).current_state.label

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, request).success

    def set_parameter(self, name: str, value: object) -> Any:
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.call(SetParameters, request).results[0]

    def wait_for_active_node(self, timeout: float = 60.0) -> None:
        """Wait until the node listens to all cameras and TF, and its results are received."""
        self.wait_for_subscribers([*self.images.values(), *self.infos.values()], timeout)
        self.wait_for_subscribers([self.tf, self.tf_static], timeout)
        self.wait_for_results_topic(timeout)

    def wait_for_results_topic(self, timeout: float = 60.0) -> None:
        """Wait until the recorder is connected to the node: earlier results would be missed."""
        self.wait_for(self._detections.get_publisher_count, "the results topic", timeout)

    def wait_for_subscribers(self, publishers: Iterable[Any], timeout: float = 60.0) -> None:
        for publisher in publishers:
            self.wait_for(
                publisher.get_subscription_count, f"subscriber of {publisher.topic_name}", timeout
            )

    def send(self, messages: SetMessages, *, mountings: bool = False, poses: bool = True) -> None:
        """Publish a frame set, CameraInfo before the images and transforms before all."""
        if mountings:
            self.tf_static.publish(messages.mountings)
        if poses:
            self.tf.publish(messages.poses)
        for camera in messages.cameras:
            self.infos[camera.camera].publish(camera.info)
            publishers = self.images if isinstance(camera.image, Image) else self.compressed
            publishers[camera.camera].publish(camera.image)

    def result_of(self, stamp_ns: int, timeout: float = 30.0) -> Object3DArray:
        """Wait for the boxes of a frame set."""

        def find() -> Object3DArray | None:
            found = [r for r in self.results if stamp_ns_from(r.header.stamp) == stamp_ns]
            return found[0] if found else None

        return self.wait_for(find, f"the result of the set at {stamp_ns} ns", timeout)

    def is_true(self, condition: Callable[[], Any], within: float) -> bool:
        """Spin until the condition holds; tells whether it did in time."""
        return bool(self._spin_until(condition, within))

    def is_answered(self, stamp_ns: int | None, within: float) -> bool:
        """Tell whether a result comes in time: of one frame set, or any."""

        def found() -> bool:
            stamps = [stamp_ns_from(result.header.stamp) for result in self.results]
            return stamp_ns in stamps if stamp_ns is not None else bool(stamps)

        return bool(self._spin_until(found, within))

    def health_value(self, status: str, key: str) -> str:
        """Return a value of the last diagnostics; empty if there is none."""
        known = self.health.get(status)
        values = {} if known is None else {pair.key: pair.value for pair in known.values}
        return values.get(key, "")

    def forget_node(self) -> None:
        """Wait until the node is gone, and drop what it sent."""
        self.wait_for(
            lambda: (
                not self.node.count_publishers(f"{NODE}/detections")
                and not any(p.get_subscription_count() for p in self.images.values())
            ),
            "the node to leave the graph",
        )
        self.results.clear()
        self.markers.clear()
        self.health.clear()

    def _on_result(self, message: Object3DArray) -> None:
        self.results.append(message)

    def _on_markers(self, message: MarkerArray) -> None:
        self.markers.append(message)

    def _on_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.health[status.name.partition(": ")[2]] = status
