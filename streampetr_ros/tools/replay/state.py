"""Where a replay stands, on disk, so that one that was ended goes on instead of starting over."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

from streampetr_ros.core.files import replacing
from streampetr_ros.pipeline.data import PipelineSnapshot
from streampetr_ros.tools.replay.records import RESULTS, read_summary

_STATE = ".replay_state"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayState:
    """A replay after some frame set.

    Attributes:
        key: tells runs of other inputs or settings apart.
        count: results written.
        position: sets of the source tried.
        problems: what was wrong with sets so far, by reason.
        snapshot: of the pipeline.
    """

    key: str
    count: int
    position: int
    problems: dict[str, int]
    snapshot: PipelineSnapshot


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


def load_replay_state(folder: Path, key: str) -> ReplayState | None:
    """Read the state of an interrupted run; None if there is none of this key to go on with."""
    file = folder / _STATE
    if not file.is_file():
        return None
    try:
        # Written by `save_state` into the folder of the user's own results.
        state = pickle.loads(file.read_bytes())  # noqa: S301
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, TypeError):
        return None
    if not isinstance(state, ReplayState) or state.key != key:
        return None
    return state if _lines(folder / RESULTS) >= state.count else None


def finish_state(folder: Path) -> None:
    """Forget the state of a run that is complete."""
    (folder / _STATE).unlink(missing_ok=True)


def finished_key(folder: Path) -> str:
    """Return the key of the run whose results are complete in a folder; empty if there is none."""
    return str(read_summary(folder).get("key", ""))


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0
