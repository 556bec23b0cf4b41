"""Listens to the node during the demo and sums up what it said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rich.console import Console
from rich.table import Table

from streampetr_ros.core.timing import stage_percentiles
from streampetr_ros.msg import Object3DArray

_NODE = "streampetr"
_OVERTAKEN = "overtaken sets"


class DemoRecorder:
    """Collects results and the newest diagnostics of the node.

    Args:
        listener: node that subscribes.
        spin: takes messages for seconds.
    """

    def __init__(self, listener: Node, spin: Callable[[float], None]) -> None:
        self.spin = spin
        self.results: list[Object3DArray] = []
        self.statuses: dict[str, DiagnosticStatus] = {}
        #: `time.monotonic` of the newest result, 0 before the first.
        self.last_result = 0.0
        self._node = listener
        deep = QoSProfile(depth=100)
        self._node.create_subscription(Object3DArray, f"/{_NODE}/detections", self._on_result, deep)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, deep)

    @property
    def fault(self) -> str:
        """Why the node cannot be configured; empty when it can."""
        return next(
            (
                status.message
                for name, status in self.statuses.items()
                if name.endswith("node") and status.level == DiagnosticStatus.ERROR
            ),
            "",
        )

    def node_is_active(self) -> bool:
        """Tell whether the node offers its results."""
        return self._node.count_publishers(f"/{_NODE}/detections") > 0

    def drops(self) -> dict[str, int]:
        """Return what was dropped or went wrong, by reason, from the newest diagnostics."""
        counts: dict[str, int] = {}
        for status in self.statuses.values():
            if "synchroniser" not in status.name:
                continue
            for pair in status.values:
                named = pair.key.startswith(("dropped", "problem", "overtaken", "degraded"))
                # Images dropped are told by their reason already.
                told = pair.key == "problem: dropped image"
                if named and not told and pair.value.isdecimal() and int(pair.value):
                    counts[pair.key.replace("dropped:", "images,")] = int(pair.value)
        return counts

    def _on_result(self, message: Object3DArray) -> None:
        self.last_result = time.monotonic()
        self.results.append(message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.statuses[status.name] = status


def print_summary(recorder: DemoRecorder, console: Console, drawn: int, folder: Path) -> None:
    """Print sets, drops, latencies and pictures."""
    results = recorder.results
    objects = sum(len(result.objects) for result in results)
    degraded = sum(result.cameras_used < result.cameras_expected for result in results)
    restarts = [result.reset_reason for result in results if result.reset_reason]
    console.print(f"\nframe sets through the node: [bold]{len(results)}[/]", end="")
    console.print(f" ({degraded} with fewer cameras), {objects} boxes")
    console.print(f"memory started {len(restarts)} time(s): {', '.join(restarts) or '-'}")
    drops = recorder.drops()
    console.print(
        "dropped: " + (", ".join(f"{n} x {why}" for why, n in drops.items()) or "nothing")
    )
    if results:
        table = Table("stage", "p50 ms", "p99 ms", title="Latency per frame set")
        rows = (dict(zip(r.latency_stages, r.latency_ms, strict=True)) for r in results)
        for stage, times in stage_percentiles(rows).items():
            table.add_row(stage, f"{times['p50']:.1f}", f"{times['p99']:.1f}")
        console.print(table)
    if drops.get(_OVERTAKEN, 0) > len(results) // 4:
        console.print(
            "overtaken: this machine needs longer for a frame set than the cameras for the next, "
            "and the node takes the newest; --speed 0.2 plays slower and shows more"
        )
    first = f"the first of them {folder / '000_cameras.jpg'}; annotations are dashed"
    console.print(f"pictures: {drawn} frame sets, {first}" if drawn else "pictures: none")
