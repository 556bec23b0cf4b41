"""The log of problems says each once per period and stays bounded, whatever it is told."""

from __future__ import annotations

from streampetr_ros.core.problems import Problem, ProblemLog


class Watch:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_kind_at_each_place_once_per_period():
    said: list[str] = []
    watch = Watch()
    log = ProblemLog(said.append, 5.0, watch)
    for _ in range(10):
        log.report(Problem.BAD_IMAGE, "/front", "front is bad")
        log.report(Problem.BAD_IMAGE, "/rear", "rear is bad")
        log.report(Problem.NOT_DUE, "", "")
    watch.now = 5.0
    log.report(Problem.BAD_IMAGE, "/front", "front is bad")
    assert said == ["front is bad", "rear is bad", "front is bad (9 more since the last report)"]
    assert log.counts() == {Problem.BAD_IMAGE: 21, Problem.NOT_DUE: 10}


def test_ten_thousand_names_fill_neither_log_nor_memory():
    said: list[str] = []
    log = ProblemLog(said.append, 5.0, Watch())
    for k in range(10_000):
        log.report(Problem.BAD_TRANSFORM, f"frame_{k}", f"transform of frame_{k} ignored")
    assert len(said) < 300
    assert len(log._said) + len(log._silent) < 600
    assert log.counts()[Problem.BAD_TRANSFORM] == 10_000


def test_text_from_outside_is_one_line_of_bounded_length():
    said: list[str] = []
    log = ProblemLog(said.append, 0.0, Watch())
    log.report(Problem.BAD_IMAGE, "x", "frame 'a\nERROR\x1b[31m" + "b" * 10**6 + "'; mend it")
    assert said[0].isprintable()
    assert len(said[0]) < 700
    assert said[0].endswith("; mend it")
