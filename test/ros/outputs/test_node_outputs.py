"""Everything a running node publishes beside its boxes: tracks, standard messages, pictures."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from drive import Drive
from graph import NAMES, NODE, Graph
from node_process import DEFAULTS, NodeProcess
from rigs import EASY_TRACKING, frame_set
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger
from streampetr_ros.msg import Object3DArray
from test_viewers import RVIZ, foxglove_topics, rviz_topics
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import Marker, MarkerArray

from streampetr_ros.backends.opening import open_backend
from streampetr_ros.core.config import dump_config
from streampetr_ros.core.types import FrameSet
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.vehicle import FrameNames, set_messages
from streampetr_ros.pipeline.data import StepResult
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types

Listen = Callable[..., list]

HAS_AUTOWARE = importlib.util.find_spec("autoware_perception_msgs") is not None
MESSAGES_PAGE = Path(__file__).resolve().parents[3] / "docs" / "messages.md"


@pytest.fixture(name="node", scope="module")
def _node(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    folder = tmp_path_factory.mktemp("node")
    dump_config(EASY_TRACKING, folder / "tracking.yaml")
    parameters = {"tracking.config_file": str(folder / "tracking.yaml")}
    process = NodeProcess(folder / "node.log", parameters)
    graph.wait_for_active_node()
    yield process
    assert process.stop() == 0
    graph.forget_node()


@pytest.fixture(name="listen")
def _listen(graph: Graph) -> Iterator[Listen]:
    """Subscribe to a topic of the node; returns the list that messages are put into."""
    subscriptions = []

    def listen(kind: type, name: str, profile: object = None) -> list:
        received: list = []
        subscription = graph.node.create_subscription(
            kind, f"{NODE}/{name}", received.append, profile or qos.outputs()
        )
        subscriptions.append(subscription)
        graph.wait_for(subscription.get_publisher_count, f"the publisher of {name}")
        return received

    yield listen
    for subscription in subscriptions:
        graph.node.destroy_subscription(subscription)


def drive_until_received(graph: Graph, node: NodeProcess, lists: Iterable[list]) -> Drive:
    """Drive until something came on every topic; the node may learn late who listens."""
    graph.results.clear()
    drive = Drive(graph, node)
    for _ in range(20):
        drive.good()
        if graph.is_true(lambda: all(lists), within=0.5):
            return drive
    raise AssertionError(f"topics stay silent:\n{node.log}")


def published(graph: Graph) -> dict[str, str]:
    # Its topics may be known before its name.
    graph.wait_for(lambda: NODE[1:] in graph.node.get_node_names(), "the node's name")
    listed = graph.node.get_publisher_names_and_types_by_node(NODE[1:], "/")
    return {name: kinds[0] for name, kinds in listed}


def offline(frame_sets: list) -> list[StepResult]:
    torch.set_num_threads(1)
    backend = open_backend(str(DEFAULTS["model.weights"]), "tiny")
    config = PipelineConfig(
        policy=MemoryPolicyConfig(max_gap_s=5.0), tracking=EASY_TRACKING, cameras=NAMES
    )
    pipeline = StreamingPipeline(backend, config)
    try:
        return [pipeline.step(each) for each in frame_sets]
    finally:
        pipeline.close()


def stamps(received: list[Object3DArray]) -> list[int]:
    return [stamp_ns_from(message.header.stamp) for message in received]


def test_tracks_online_equal_offline(graph: Graph, node: NodeProcess, listen: Listen) -> None:
    received = listen(Object3DArray, "tracks")
    frame_sets: list[FrameSet] = []
    # The node may learn late who listens: what came is compared with the end of the drive.
    while len(received) < 4 and len(frame_sets) < 20:
        frame_sets.append(frame_set(len(frame_sets)))
        messages = set_messages(types, frame_sets[-1], "raw", FrameNames())
        graph.send(messages, mountings=len(frame_sets) == 1)
        result = graph.result_of(frame_sets[-1].stamp_ns)
        graph.is_true(lambda: stamps(received)[-1:] == [frame_sets[-1].stamp_ns], within=0.5)
    count = len(received)
    assert count >= 4
    assert stamps(received) == [each.stamp_ns for each in frame_sets[-count:]]
    for message, expected in zip(received, offline(frame_sets)[-count:], strict=True):
        tracks = expected.tracks
        assert len(tracks) > 10
        objects = {found.track_id: found for found in message.objects}
        assert sorted(objects) == sorted(tracks.ids.tolist())
        for row, identity in enumerate(tracks.ids.tolist()):
            found = objects[identity]
            place = found.pose.position
            expected_place = tracks.boxes.centers[row]
            np.testing.assert_allclose([place.x, place.y, place.z], expected_place, atol=1e-3)
            assert found.age == pytest.approx(tracks.ages[row], abs=1e-6)
            table = np.reshape(found.covariance, (6, 6))
            np.testing.assert_allclose(table, tracks.covariances[row], rtol=1e-3, atol=1e-4)
    track_ids = [found.track_id for found in result.objects]
    np.testing.assert_array_equal(track_ids, expected.detections.track_ids)
    assert message.cameras_used == 6
    assert message.latency_stages == result.latency_stages
    assert "track" in message.latency_stages


def test_every_kind_of_message_arrives(graph: Graph, node: NodeProcess, listen: Listen) -> None:
    received = {
        name: listen(kind, name)
        for kind, name in (
            (Object3DArray, "tracks"),
            (Detection3DArray, "vision/detections"),
            (Detection3DArray, "vision/tracks"),
            (MarkerArray, "markers"),
            (MarkerArray, "track_markers"),
            (CompressedImage, "overlays/CAM_FRONT/compressed"),
            (CompressedImage, "top_view/compressed"),
        )
    }
    if HAS_AUTOWARE:
        kinds = importlib.import_module("autoware_perception_msgs.msg")
        received["autoware/detections"] = listen(kinds.DetectedObjects, "autoware/detections")
        received["autoware/tracks"] = listen(kinds.TrackedObjects, "autoware/tracks")
    drive = drive_until_received(graph, node, received.values())
    result = drive.good()
    for name in ("tracks", "vision/detections", "vision/tracks"):
        graph.wait_for(
            lambda of=received[name]: of[-1].header == result.header, f"{name} of the same set"
        )
    assert len(received["vision/detections"][-1].detections) == len(result.objects)
    assert "publishing failed" not in node.log


def test_label_info_waits_for_late_listeners(
    graph: Graph, node: NodeProcess, listen: Listen
) -> None:
    labels = listen(LabelInfo, "vision/label_info", qos.latched())
    graph.wait_for(lambda: labels, "the latched label info")
    assert [each.class_name for each in labels[0].class_map][:2] == ["car", "truck"]
    assert graph.set_parameter("detection.score_thresholds", [0.001]).successful
    graph.wait_for(lambda: len(labels) == 2, "the label info with the new threshold")
    assert labels[1].threshold == pytest.approx(0.001)
    assert graph.set_parameter("detection.score_thresholds", [0.0]).successful


def test_a_reset_ends_tracks_and_clears_markers(
    graph: Graph, node: NodeProcess, listen: Listen
) -> None:
    tracks, markers = listen(Object3DArray, "tracks"), listen(MarkerArray, "track_markers")
    drive = drive_until_received(graph, node, (tracks, markers))
    stamp = drive.good().header.stamp
    graph.wait_for(lambda: tracks[-1].header.stamp == stamp, "tracks")
    graph.wait_for(lambda: markers[-1].markers[0].header.stamp == stamp, "markers")
    largest = max(found.track_id for found in tracks[-1].objects)
    assert not any(each.action == Marker.DELETEALL for each in markers[-1].markers)
    assert graph.call(Trigger).success
    result = drive.good()
    assert result.reset_reason == "manual"
    stamp = result.header.stamp
    graph.wait_for(lambda: tracks[-1].header.stamp == stamp, "tracks")
    graph.wait_for(lambda: markers[-1].markers[0].header.stamp == stamp, "markers")
    assert markers[-1].markers[0].action == Marker.DELETEALL
    assert min(found.track_id for found in tracks[-1].objects) > largest


def test_viewer_files_name_topics_of_the_node(graph: Graph, node: NodeProcess) -> None:
    topics = published(graph)
    named = {*rviz_topics(RVIZ.read_text(encoding="utf-8")), *foxglove_topics()}
    assert len(named) > 9
    assert named <= set(topics)


def test_page_lists_the_topics_of_the_node(graph: Graph, node: NodeProcess) -> None:
    page = MESSAGES_PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(~?/[^`]+)` \| `([^`]+)` \|", page, flags=re.MULTILINE)
    if not HAS_AUTOWARE:
        rows = [row for row in rows if "autoware" not in row[0]]
    # CAMERA and STAGE stand for names.
    patterns = {re.sub("[A-Z]+", r"\\w+", topic.replace("~", NODE)): kind for topic, kind in rows}
    of_ros = ("/rosout", "/parameter_events", f"{NODE}/transition_event")
    topics = {name: kind for name, kind in published(graph).items() if name not in of_ros}
    for name, kind in topics.items():
        fitting = [each for pattern, each in patterns.items() if re.fullmatch(pattern, name)]
        assert fitting == [kind.replace("/msg/", "/")], name
    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in topics), pattern


def test_topics_can_be_left_out(
    graph: Graph, node: NodeProcess, start_node: Callable[..., NodeProcess]
) -> None:
    node.stop()
    graph.forget_node()
    start_node(
        **{
            "tracking.enabled": False,
            "outputs.vision": False,
            "outputs.autoware": "off",
            "outputs.markers": False,
            "outputs.overlays": False,
        }
    )
    graph.wait_for_active_node()
    words = ("tracks", "vision", "autoware", "markers", "overlays", "top_view")
    assert not [name for name in published(graph) if any(word in name for word in words)]
