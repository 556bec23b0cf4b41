"""Simulated time: slow, fast, paused or missing, the node goes on and its latencies stay true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import pytest
from graph import NAMES, Graph
from node_process import NodeProcess
from rigs import frame_set
from rosgraph_msgs.msg import Clock
from streampetr_ros.msg import Object3DArray

from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.standard import time_message
from streampetr_ros.messages.vehicle import FrameNames, SetMessages, set_messages
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types
from streampetr_ros.ros.play import pace, read_ahead, replay_publisher
from streampetr_ros.ros.play.read_ahead import ReadAhead
from streampetr_ros.ros.play.replay_publisher import Playback, ReplayPublisher

PERIOD_S = 0.1


@pytest.fixture(name="node")
def _node(
    graph: Graph,
    start_node: Callable[..., NodeProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> NodeProcess:
    # Half a second of the recording takes five at the slowest pace.
    monkeypatch.setattr(replay_publisher, "_TAIL_S", 0.6)
    monkeypatch.setattr(replay_publisher, "_LEAST_TAIL_NS", 0)
    # The sets exist before they are played: a hiccup of the machine does not make them a slow
    # source, for which playback would be held back until the pause is over.
    monkeypatch.setattr(read_ahead, "_MARGIN", 0.01)
    node = start_node(
        **{
            "use_sim_time": True,
            "model.weights": "stand_in:20",
            "cameras.transports": ["compressed"],
            "cameras.reliability": "best_effort",
            "sync.period_s": PERIOD_S,
            "memory.memory_interval_s": 0.0,
            "memory.max_gap_s": 30.0,
        }
    )
    graph.wait_for_results_topic()
    return node


class Player:
    """Plays consecutive frame sets; remembers the results and the clock."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._next = 0
        self.clock_ns: list[int] = []
        graph.node.create_subscription(Clock, "/clock", self._on_clock, qos.transforms())

    def sets(self, count: int) -> list[SetMessages]:
        """Make the next frame sets; there is room for a tail of the clock before them."""
        first, self._next = self._next, self._next + count + 150
        return [
            set_messages(types, frame_set(i, PERIOD_S, size=(160, 90)), "jpeg", FrameNames())
            for i in range(first, first + count)
        ]

    def play(
        self, sets: Iterable[SetMessages], playback: Playback, meanwhile: Callable[[], None]
    ) -> list[Object3DArray]:
        """Play to the end and return the results."""
        self._graph.results.clear()
        publisher = ReplayPublisher(NAMES, playback)
        publisher.wait_for_subscribers()
        thread = threading.Thread(target=publisher.play, args=(ReadAhead(sets, playback.speed),))
        thread.start()
        meanwhile()
        self._graph.wait_for(lambda: not thread.is_alive(), "the end of the playback")
        thread.join()
        publisher.destroy_node()
        return list(self._graph.results)

    def play_all(self, sets: Sequence[SetMessages], playback: Playback) -> list[Object3DArray]:
        """Play until the last set is answered."""
        last_ns = sets[-1].stamp_ns
        return self.play(sets, playback, lambda: self._graph.result_of(last_ns) and None)

    def _on_clock(self, message: Clock) -> None:
        self.clock_ns.append(stamp_ns_from(message.clock))


def stages(result: Object3DArray) -> dict[str, float]:
    return dict(zip(result.latency_stages, result.latency_ms, strict=True))


def assert_latency_is_true(results: list[Object3DArray], speed: float) -> None:
    """What began with the last image is part of what began with its stamp.

    Less than all of it, if the machine is so slow that the clock ends before.
    """
    ratios = [stages(each)["end_to_end"] / (stages(each)["total"] * speed) for each in results]
    assert min(ratios) > 0.0, ratios
    assert max(ratios) > 0.5, ratios


def test_rates_and_pause(graph: Graph, node: NodeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    player = Player(graph)
    without_clock = player.play_all(player.sets(2), Playback(clock=False))
    assert all("end_to_end" not in stages(each) for each in without_clock)
    assert all(stages(each)["total"] > 0 for each in without_clock)
    graph.wait_for(lambda: "/clock has not been" in graph.health["node"].message, "a warning")
    assert graph.health_value("latency", "age at publication ms") == "unknown"
    results = list(without_clock)
    for speed in (0.1, 1.0, 10.0):
        played = player.play_all(player.sets(3), Playback(speed=speed))
        assert_latency_is_true(played, speed)
        results += played
    # A hiccup of the machine, for which time does not stand still, would carry the clock past the
    # set that is paused for.
    monkeypatch.setattr(pace, "_SLACK_S", 0.0)
    before, after = pause(graph, player)
    results += before + after
    assert [each.reset_reason for each in results] == ["first_frame"] + [""] * (len(results) - 1)
    assert [each.frames_since_reset for each in results] == list(range(len(results)))
    assert all(sooner <= later for sooner, later in pairwise(player.clock_ns))
    assert "the clock jumped" not in node.log


def test_a_clock_that_jitters_is_no_jump(graph: Graph, node: NodeProcess) -> None:
    """Two publishers of /clock, 12 ms apart, dropped memory, images and transforms every time."""
    player = Player(graph)
    second = graph.node.create_publisher(Clock, "/clock", qos.transforms())

    def behind() -> None:
        answered: list[Object3DArray] = []
        deadline = time.monotonic() + 15.0
        while not answered and time.monotonic() < deadline:
            graph.is_true(lambda: False, within=0.02)
            behind_ns = max(player.clock_ns, default=0) - 12_000_000
            second.publish(Clock(clock=time_message(types, max(0, behind_ns))))
            answered = [r for r in graph.results if stamp_ns_from(r.header.stamp) == last_ns]

    sets = player.sets(8)
    last_ns = sets[-1].stamp_ns
    results = player.play(sets, Playback(), behind)
    graph.node.destroy_publisher(second)
    # A busy machine may overtake some sets; none of them may restart the memory.
    assert len(results) >= 4
    assert [each.reset_reason for each in results] == ["first_frame"] + [""] * (len(results) - 1)
    node.wait_for_log("/clock steps back by .* ms .*; 2 publishers share the topic, stop all")
    assert "the clock jumped" not in node.log


def pause(graph: Graph, player: Player) -> tuple[list[Object3DArray], list[Object3DArray]]:
    """Play with a pause longer than any gap; returns the results before and after it."""
    sets = player.sets(8)
    before: list[Object3DArray] = []
    go_on = threading.Event()

    def until_paused() -> Iterator[SetMessages]:
        yield from sets[:5]
        go_on.wait(30.0)
        yield from sets[5:]

    def meanwhile() -> None:
        graph.result_of(sets[4].stamp_ns)
        before.extend(graph.results)
        # Time goes on towards the next set, but not as far, and then stands still, as it does when
        # a bag is paused.
        assert not graph.is_true(lambda: player.clock_ns[-1] >= sets[5].stamp_ns, within=0.6)
        shown = len(player.clock_ns)
        assert not graph.is_true(lambda: len(player.clock_ns) > shown, within=0.4)
        go_on.set()
        graph.result_of(sets[-1].stamp_ns)

    results = player.play(until_paused(), Playback(), meanwhile)
    return before, results[len(before) :]
