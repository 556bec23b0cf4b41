"""Whether the node does what it is for: each stage may be well while no box comes out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

#: Seconds that are looked back on, and periods without a result that are an error.
_WINDOW_S, _PERIODS = 10.0, 10
#: Least seconds without a result that are an error, whatever the period.
_LEAST_S = 2.0
#: A frame set that is in work for longer hangs, seconds.
_HANGS_S = 1.0
#: Sets that a share is made of, and the share without a result from which on it is said.
_FEW, _TOLERATED = 5, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProgress:
    """What has happened since activation, as counts that only grow.

    Attributes:
        time_s: when, seconds that never go back.
        node_ns: the node's time, which may stand still.
        images: received, of all cameras.
        sets: frame sets formed.
        results: frame sets published.
        left_out: sets that are not wanted now: not due, or nobody listens.
        restarts: of the memory while it was in use.
        transforms: received.
        period_s: between frame sets; 0 until known.
        busy_s: since when the worker has been at its present set.
        waiting_for: why no set forms, in words; empty while sets flow.
        reason: what was said last about a set that gave no result.
    """

    time_s: float
    node_ns: int = 0
    images: int = 0
    sets: int = 0
    results: int = 0
    left_out: int = 0
    restarts: int = 0
    transforms: int = 0
    period_s: float = 0.0
    busy_s: float = 0.0
    waiting_for: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement.

    Attributes:
        is_error: nothing comes out.
        is_warning: less comes out than should.
        message: in words.
        silent_s: since the last result; 0 while results come.
        transforms_silent_s: since the last transform.
    """

    is_error: bool
    is_warning: bool
    message: str
    silent_s: float = 0.0
    transforms_silent_s: float = 0.0


class OutcomeJudge:
    """Judges the results of a running node; begins afresh with every activation.

    Args:
        begin: what there was at activation.
    """

    def __init__(self, begin: NodeProgress) -> None:
        self._seen = deque([begin])
        self._last_result_s = self._last_transform_s = self._last_tick_s = begin.time_s

    def judge(self, now: NodeProgress) -> Verdict:
        """Judge, given what has happened until now."""
        before = self._seen[-1]
        if now.results + now.left_out > before.results + before.left_out:
            self._last_result_s = now.time_s
        if now.transforms > before.transforms:
            self._last_transform_s = now.time_s
        if now.node_ns != before.node_ns:
            self._last_tick_s = now.time_s
        self._seen.append(now)
        while len(self._seen) > 2 and now.time_s - self._seen[1].time_s >= _WINDOW_S:
            self._seen.popleft()
        patience_s = max(_LEAST_S, _PERIODS * now.period_s)
        silent_s = now.time_s - self._last_result_s
        transforms_silent_s = now.time_s - self._last_transform_s
        if now.time_s - self._last_tick_s > patience_s:
            return Verdict(False, True, "simulated time stands still", silent_s)
        if silent_s > patience_s:
            sentence = f"no result for {silent_s:.1f} s: {self._why(now)}"
            return Verdict(True, False, sentence, silent_s, transforms_silent_s)
        is_warning, message = self._share(now)
        return Verdict(False, is_warning, message, 0.0, transforms_silent_s)

    def _why(self, now: NodeProgress) -> str:
        first = self._seen[0]
        if now.busy_s > _HANGS_S:
            return (
                f"one frame set has been in work for {now.busy_s:.1f} s; its network or its "
                "decoding hangs"
            )
        if now.images == first.images:
            return "no image arrives"
        if now.sets == first.sets:
            return now.waiting_for or "the images form no frame set"
        return now.reason or "frame sets are overtaken before they are done"

    def _share(self, now: NodeProgress) -> tuple[bool, str]:
        first = self._seen[0]
        sets, results = now.sets - first.sets, now.results - first.results
        left_out, restarts = now.left_out - first.left_out, now.restarts - first.restarts
        window = f"the last {now.time_s - first.time_s:.0f} s"
        lost = max(0, sets - results - left_out) + restarts
        if sets >= _FEW and lost > _TOLERATED * sets:
            why = f": {now.reason}" if now.reason else ""
            return True, (
                f"{lost} of {sets} frame sets of {window} gave no result or restarted the "
                f"memory{why}"
            )
        if not results and left_out:
            return False, "no result is wanted now"
        return False, f"{results} results in {window}"
