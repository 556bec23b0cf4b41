"""Pictures: drawn for listeners only, beside the detection, at the stamp of their image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from graph import NAMES, Graph
from PIL import Image
from rclpy.lifecycle import LifecycleNode
from rigs import frame_set
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from test_conversions import detections, report, tracks

from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages import pictures
from streampetr_ros.messages.pictures import PictureWriter
from streampetr_ros.messages.results import SetResult
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.tree import build
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.outputs.output import Output
from streampetr_ros.ros.outputs.overlays import OverlayOutput


@pytest.fixture(name="node")
def _node(graph: Graph) -> Iterator[LifecycleNode]:
    assert graph
    node = LifecycleNode("drawing")
    node.trigger_configure()
    node.trigger_activate()
    yield node
    node.destroy_node()


@pytest.fixture(name="said")
def _said() -> list[str]:
    return []


def activate(output: Output) -> None:
    for topic in output._topics.values():
        topic.publisher.on_activate(None)


@pytest.fixture(name="output")
def _output(node: LifecycleNode, said: list[str]) -> Iterator[OverlayOutput]:
    parameters = {"overlays.width": 200, "overlays.top_view_size": 120, "cameras.names": NAMES}
    output = OverlayOutput(node, build(NodeParameters, parameters), (), said.append)
    output.open()
    activate(output)
    output.start()
    yield output
    output.close()


def result(index: int = 0) -> SetResult:
    return SetResult(
        frame_set=frame_set(index),
        detections=detections(),
        tracks=tracks(),
        report=report(),
        camera_frames={name: f"{name}_optical" for name in NAMES},
        latency_ms={},
    )


@pytest.fixture(name="listen")
def _listen(graph: Graph, output: OverlayOutput) -> Iterator[Callable[[str], list]]:
    """Subscribe to a picture; returns the list that what comes is put into."""
    subscriptions = []

    def listen(name: str) -> list[CompressedImage]:
        received: list[CompressedImage] = []
        topic = f"/drawing/{name}/compressed"
        subscriptions.append(
            graph.node.create_subscription(CompressedImage, topic, received.append, qos.outputs())
        )
        graph.wait_for(lambda: output.has_listeners, "the subscription")
        return received

    yield listen
    for subscription in subscriptions:
        graph.node.destroy_subscription(subscription)
    graph.wait_for(lambda: not output.has_listeners, "the end of the subscription")


def test_only_what_is_looked_at_is_drawn(
    graph: Graph,
    output: OverlayOutput,
    listen: Callable[[str], list],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []
    render = pictures.render_camera
    monkeypatch.setattr(
        pictures,
        "render_camera",
        lambda frame, *rest: (drawn.append(frame.calibration.name), render(frame, *rest))[1],
    )
    output.publish(result(0))
    assert not output.has_listeners
    received = listen("overlays/CAM_BACK")
    output.publish(result(1))
    graph.wait_for(lambda: received, "a picture")
    assert drawn == ["CAM_BACK"]
    picture = received[0]
    back = next(c for c in frame_set(1).cameras if c.calibration.name == "CAM_BACK")
    assert stamp_ns_from(picture.header.stamp) == back.stamp_ns
    assert picture.header.frame_id == "CAM_BACK_optical"
    assert "jpeg" in picture.format
    assert Image.open(BytesIO(bytes(picture.data))).size == (200, 112)


def test_top_view(graph: Graph, output: OverlayOutput, listen: Callable[[str], list]) -> None:
    received = listen("top_view")
    output.publish(result())
    graph.wait_for(lambda: received, "a picture")
    assert received[0].header.frame_id == "base_link"
    pixels = np.asarray(Image.open(BytesIO(bytes(received[0].data))))
    assert pixels.shape == (120, 120, 3)
    # The car, 10 m ahead and 3.5 m to the right, is where it belongs in the color of cars.
    scale = 120 / 112.0
    row, column = round(60 - 10.0 * scale), round(60 + 3.5 * scale)
    ground = np.array([22, 25, 31])
    assert (pixels[row - 1 : row + 2, column - 1 : column + 2, 2] > ground[2] + 40).any()


def test_pictures_of_distorting_lenses_are_straightened() -> None:
    """A lens that pushes the picture outwards leaves black corners when straightened."""
    one = result()
    frame = one.frame_set.cameras[0]
    white = replace(frame, pixels=np.full_like(frame.pixels, 255))
    lens = replace(
        frame.calibration, distortion_model="plumb_bob", distortion=np.array([0.3, 0, 0, 0, 0.0])
    )
    bent = replace(white, calibration=lens)
    topic = f"~/overlays/{frame.calibration.name}/compressed"
    corners = []
    for each in (white, bent):
        of_one = replace(one, frame_set=replace(one.frame_set, cameras=(each,)))
        picture = PictureWriter(types, NAMES, True).write(of_one)[topic]()
        pixels = np.asarray(Image.open(BytesIO(bytes(picture.data))))
        corners.append(pixels[-5, -5].max())
    assert corners[0] > 200
    assert corners[1] < 60


def test_drawing_holds_nothing_up_and_survives_errors(
    graph: Graph,
    output: OverlayOutput,
    listen: Callable[[str], list],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy, go_on = threading.Event(), threading.Event()
    drawn: list[int] = []

    def slow(frame_set: object, *_: object) -> np.ndarray:
        drawn.append(frame_set.stamp_ns)
        busy.set()
        go_on.wait(10.0)
        if len(drawn) == 1:
            raise RuntimeError("no paint")
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(pictures, "render_top_view", slow)
    received = listen("top_view")
    output.publish(result(0))
    assert busy.wait(10.0)
    # The first picture is still being drawn; these calls return all the same.
    for index in (1, 2, 3):
        output.publish(result(index))
    go_on.set()
    graph.wait_for(lambda: received, "a picture")
    assert drawn == [frame_set(0).stamp_ns, frame_set(3).stamp_ns]
    assert said == ["pictures not published: RuntimeError: no paint"]


class Words(Output):
    """An output as small as one can be."""

    def open(self) -> None:
        self.made: list[str] = []
        self.offer("~/words", String, self.word)
        self.offer("~/silence", String, lambda _: None, keeps_awake=False)

    def word(self, result: SetResult) -> String:
        self.made.append(result.report.model)
        return String(data=result.report.model)


def test_messages_are_made_for_listeners_only(graph: Graph, node: LifecycleNode) -> None:
    words = Words(node, NodeParameters(), (), print)
    words.open()
    activate(words)
    words.publish(result())
    assert not words.made
    received: list[String] = []
    subscriptions = [
        graph.node.create_subscription(String, f"/drawing/{name}", received.append, qos.outputs())
        for name in ("silence", "words")
    ]
    silence = words._topics["~/silence"].publisher
    graph.wait_for(silence.get_subscription_count, "the first subscription")
    graph.wait_for(lambda: words.has_listeners, "the second subscription")
    words.publish(result())
    graph.wait_for(lambda: received, "the word")
    assert words.made == [each.data for each in received] == ["tiny"]
    graph.node.destroy_subscription(subscriptions.pop())
    graph.wait_for(lambda: not words.has_listeners, "the end of the second subscription")
    assert silence.get_subscription_count()
    graph.node.destroy_subscription(subscriptions.pop())
    words.close()
