"""The node under test in a process of its own."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rigs import CAMERAS

#: What every test wants unless it says otherwise: a small network with random weights, all boxes.
DEFAULTS: dict[str, object] = {
    "model.name": "tiny",
    "model.weights": "random:3",
    "model.threads": 1,
    "cameras.reliability": "reliable",
    "cameras.transports": ["raw"],
    "detection.score_thresholds": [0.0],
    "detection.range_min": [-999.0, -999.0, -999.0],
    "detection.range_max": [999.0, 999.0, 999.0],
    "diagnostics.period_s": 0.2,
    "diagnostics.log_period_s": 0.0,
    "memory.max_gap_s": 5.0,
    "sync.period_s": 0.5,
    "sync.offsets_s": [round(0.043 - lag * 1e-3, 4) for _, _, lag in CAMERAS],
}


def yaml_text(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(yaml_text(each) for each in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


class NodeProcess:
    """Starts the node; its output goes to a file that tests can look into."""

    def __init__(self, log: Path, parameters: Mapping[str, object], name: str = "") -> None:
        self._log = log
        file = log.with_suffix(".yaml")
        chosen = {**DEFAULTS, **parameters}
        lines = [f"    {name}: {yaml_text(value)}" for name, value in chosen.items()]
        file.write_text("\n".join(["/**:", "  ros__parameters:", *lines]) + "\n")
        command = [sys.executable, "-m", "streampetr_ros.ros.node.node"]
        command += ["--ros-args", "--params-file", str(file)]
        command += ["-r", f"__node:={name}"] if name else []
        # One buffer less between the node's log and the tests.
        environment = {**os.environ, "RCUTILS_LOGGING_BUFFERED_STREAM": "0"}
        # A node of this process offers its services until nobody refers to it, and would be asked.
        gc.collect()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_for_log(self, pattern: str, start: int = 0, timeout: float = 30.0) -> str:
        """Wait for a line; returns it. `start` is a length of the log to look behind."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(f".*{pattern}.*", self.log[start:])
            if found:
                return found.group(0)
            assert time.monotonic() < deadline, f"no '{pattern}' in:\n{self.log[start:]}"
            time.sleep(0.02)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the node to end by itself; return its exit code."""
        return self._process.wait(timeout)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20.0) -> int:
        """Signal the node and return its exit code."""
        if self.is_alive:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
