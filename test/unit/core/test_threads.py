"""Linear algebra of our programs stays in one thread; bulk work lets other threads go first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streampetr_ros.core.threads import let_others_go_first

_THREADS = """
from threadpoolctl import threadpool_info

def threads():
    import numpy, scipy.linalg
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

"""
_CHILDREN = """
import multiprocessing
from streampetr_ros.core.threads import keep_linear_algebra_in_one_thread

if __name__ == "__main__":
    print(threads())
    keep_linear_algebra_in_one_thread()
    print(threads())
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.apply(threads))
"""
_COMMAND_LINE = """
import sys
from streampetr_ros.tools import cli

sys.argv = ["streampetr", "track", "--help"]
try:
    cli.main()
finally:
    print(threads())
"""
_NODE = """
from streampetr_ros.ros.node import node

node._spin = lambda _: print(threads())
node.main()
"""


def _output(program: str, folder: Path) -> list[str]:
    """Run a program as on a machine of two cores, and return the lines that it prints."""
    path = folder / "program.py"
    path.write_text(_THREADS + program)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    # A constant program in our own interpreter.
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment | {"OPENBLAS_NUM_THREADS": "2"},
    )
    return ended.stdout.splitlines()


def test_linear_algebra_has_one_thread_here_and_in_child_processes(tmp_path: Path) -> None:
    before, *after = _output(_CHILDREN, tmp_path)
    if before != "{2}":
        pytest.skip(f"this machine's linear algebra has {before} threads, not two")
    assert after == ["{1}"] * 3


def test_commands_keep_linear_algebra_in_one_thread(tmp_path: Path) -> None:
    assert _output(_COMMAND_LINE, tmp_path)[-1] == "{1}"


def test_the_node_keeps_linear_algebra_in_one_thread(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    assert _output(_NODE, tmp_path) == ["{1}"]


def real_time(priority: int) -> None:
    """Give the calling thread a real-time priority, or skip."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except (AttributeError, PermissionError):
        pytest.skip("needs the right to use real-time priorities")


def priorities(start: Callable[[], None], calls: int) -> list[int]:
    """Return the priority of a thread at its start and after each of some calls."""

    def work() -> list[int]:
        start()
        seen = [os.sched_getparam(0).sched_priority]
        for _ in range(calls):
            let_others_go_first()
            seen.append(os.sched_getparam(0).sched_priority)
        return seen

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_bulk_work_lets_other_real_time_threads_go_first():
    assert priorities(lambda: real_time(3), 3) == [3, 2, 1, 1]


def test_without_real_time_priority_nothing_changes():
    assert priorities(lambda: None, 1) == [0, 0]
