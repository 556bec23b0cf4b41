"""Where a replay stands, on disk, so that one that was ended goes on instead of starting over."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streampetr_ros.core.files import replacing
from streampetr_ros.pipeline.data import PipelineSnapshot
from streampetr_ros.tools.replay.records import RESULTS, read_summary

_STATE = ".replay_state"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayState:
    """A replay after some frame set, or before the first.

    Attributes:
        key: tells runs of other inputs or settings apart.
        count: results written.
        position: sets of the source tried.
        problems: what was wrong with sets so far, by reason.
        snapshot: of the pipeline; None before the first.
    """

    key: str
    count: int = 0
    position: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    snapshot: PipelineSnapshot | None = None


def run_key(*parts: object) -> str:
    """Return a short text that changes with any of the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def file_facts(path: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of a file, or of each file in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [
        (each.name, each.stat().st_size, each.stat().st_mtime_ns)
        for each in files
        if each.is_file()
    ]


def save_state(folder: Path, state: ReplayState) -> None:
    """Write the state, completely or not at all."""
    with replacing(folder / _STATE) as temporary:
        temporary.write_bytes(pickle.dumps(state))


def load_replay_state(folder: Path, key: str) -> ReplayState:
    """Read the state of an interrupted run, that of a new one if there is none of this key."""
    new = ReplayState(key=key)
    try:
        # Written by `save_state` into the folder of the user's own results.
        state = pickle.loads((folder / _STATE).read_bytes())  # noqa: S301
        lines = (folder / RESULTS).read_bytes().count(b"\n")
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, TypeError):
        return new
    known = isinstance(state, ReplayState) and state.key == key and lines >= state.count
    return state if known else new


def finish_state(folder: Path) -> None:
    """Forget the state of a run that is complete."""
    (folder / _STATE).unlink(missing_ok=True)


def finished_key(folder: Path) -> str:
    """Return the key of the run whose results are complete in a folder; empty if there is none."""
    return str(read_summary(folder).get("key", ""))
